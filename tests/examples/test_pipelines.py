"""CircleCI, Azure Pipelines, Bitbucket, Tekton and cron: the lines of each example, run with real servers behind them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipelines import EXAMPLES, Place

from stepcreds.ci.azure import AUDIENCE
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

SHA = "5e3f1c0a9b7d48e2a6c4f0b1d2e3f4a5b6c7d8e9"


@pytest.fixture
def place(stack: Stack, tmp_path: Path) -> Place:
    return Place(stack, tmp_path)


def load(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def filled(template: Any, values: Mapping[str, str], form: str) -> Any:
    """`template` with the CI's placeholders (`form`, with `NAME` for a name) replaced; none may be left."""
    text = json.dumps(template)
    for name, value in values.items():
        text = text.replace(form.replace("NAME", name), json.dumps(value)[1:-1])
    return json.loads(text)


# CircleCI.

CIRCLE = {
    "CIRCLECI": "true",
    "CIRCLE_PIPELINE_ID": "l",
    "CIRCLE_WORKFLOW_ID": "w",
    "CIRCLE_WORKFLOW_JOB_ID": "j",
    "CIRCLE_JOB": "migrate",
    "CIRCLE_USERNAME": "octocat",
    "CIRCLE_SHA1": SHA,
}


def circle_step(place: Place, command: str, **parameters: str) -> subprocess.CompletedProcess[str]:
    """A command of the orb as CircleCI runs it: by `bash -eo pipefail` in a file, its own variables set."""
    (step,) = load("circleci/orb.yml")["commands"][command]["steps"]
    run = filled(step["run"], parameters, "<< parameters.NAME >>")
    file = place.reports / "command"
    file.write_text(run["command"])
    return place.run(["/bin/bash", "-eo", "pipefail", str(file)], {**CIRCLE, **run.get("environment", {})})


@pytest.fixture
def circle(place: Place) -> Place:
    place.prints_token(
        "circleci", **{"oidc.circleci.com/project-id": "p", "oidc.circleci.com/vcs-ref": "refs/heads/main"}
    )
    installed = place.reports.parent / ".stepcreds" / "bin"
    installed.mkdir(parents=True)
    (installed / "stepcreds").symlink_to(Path(sys.executable).parent / "stepcreds")
    return place


def test_the_orb(circle: Place) -> None:
    ran = circle_step(circle, "exec", profile="migrate", script='./migrate.sh && echo "it\'s" $((1 + 1))')
    assert ran.returncode == 0, ran.stdout
    assert "migrate has ***\nit's 2\n" in ran.stdout
    circle.assert_dead("migrate", ran.stdout)
    ended = circle_step(circle, "revoke")
    assert (ended.returncode, circle.records()[-1]["kind"]) == (0, "chain.closed"), ended.stdout
    claims = json.dumps({"aud": circle.stack.address})
    assert circle.asked("circleci") == [["run", "oidc", "get", "--claims", claims]] * 2
    assert circle.job() == {
        "ci": "circleci",
        "run_id": "l",
        "run_attempt": "j",
        "job": "migrate",
        "actor": "octocat",
        "ref": "refs/heads/main",
        "commit": SHA,
        "matrix": "",
    }


def test_the_orb_fails_with_the_scripts_code(circle: Place) -> None:
    assert circle_step(circle, "exec", profile="migrate", script="./migrate.sh\nexit 3").returncode == 3


# Azure Pipelines.


@contextmanager
def token_service(token: str) -> Iterator[str]:
    """Azure's endpoint for ID tokens, which asks for the job's access token."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            known = self.headers["Authorization"] == "Bearer access-token"
            body = json.dumps({"oidcToken": token} if known else {}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/oidctoken"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def azure_roles(place: Place) -> Iterator[None]:
    """stepcreds.yml as the example's, and the roles in Vault for the audience that Azure gives."""
    document = yaml.safe_load(place.config.read_text())
    example = load("azure/stepcreds.yml")
    document["vault"] = {**example["vault"], "auth": {**document["vault"].get("auth", {}), **example["vault"]["auth"]}}
    made = []
    with place.stack.client() as vault:
        for profile in document["profiles"].values():
            role = vault.read(f"auth/{provision.MOUNT}/role/{profile['role']}")["data"]
            path = f"auth/{provision.MOUNT}/role/{profile['role']}-azure"
            vault.write_data(path, data={**role, "bound_audiences": [AUDIENCE]})
            made.append(path)
            profile["role"] += "-azure"
        place.config.write_text(yaml.safe_dump(document))
        try:
            yield
        finally:
            for path in made:
                vault.delete(path)


def azure_step(place: Place, step: Mapping[str, Any], job: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A `bash:` step as the Bash task runs it: the text in a file, and only what `env:` maps of the secret variables."""
    mapped = filled(step["env"], {"System.AccessToken": "access-token"}, "$(NAME)")
    file = place.reports / "bash.sh"
    file.write_text(step["bash"])
    return place.run(["/bin/bash", str(file)], {**job, **mapped})


def test_azures_template(place: Place, stack: Stack) -> None:
    token = stack.issuer.token(AUDIENCE, rpo_id="r", rpo_ref="refs/heads/main", rpo_ver=SHA, run_id="5").reveal()
    script = 'for word in a "b c"; do echo "<$word>"; done; ./verify.sh'
    steps = filled(
        load("azure/stepcreds-step.yml")["steps"], {"profile": "verify", "script": script}, "${{ parameters.NAME }}"
    )
    with azure_roles(place), token_service(token) as url:
        job = {
            "TF_BUILD": "True",
            "SYSTEM_OIDCREQUESTURI": url,
            "SYSTEM_JOBID": "0d2c",
            "SYSTEM_JOBNAME": "verify",
            "BUILD_REQUESTEDFOR": "Octo Cat",
            "STEPCREDS_VAULT_ADDR": stack.address,
        }
        ran = azure_step(place, steps[0], job)
        assert ran.returncode == 0, ran.stdout
        assert "<a>\n<b c>\nverify has ***\n" in ran.stdout
        ended = azure_step(place, steps[1], job)
    # The ledger is published from where it is, also of a job that failed.
    assert (steps[2]["publish"], steps[2]["condition"]) == (".stepcreds", "always()")
    assert list((place.config.parent / steps[2]["publish"]).glob("*.jsonl")) != []
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == "stepcreds: nothing to revoke: no credential is open in this ledger\n"
    # In the log the values are where the agent is told to hide them, and nowhere else.
    log = "".join(line for line in ran.stdout.splitlines(True) if not line.startswith("##vso[task.setsecret]"))
    place.assert_dead("verify", log)
    assert "SYSTEM_ACCESSTOKEN" not in place.given("verify")
    assert place.job() == {
        "ci": "azure",
        "run_id": "5",
        "run_attempt": "0d2c",
        "job": "verify",
        "actor": "Octo Cat",
        "ref": "refs/heads/main",
        "commit": SHA,
        "matrix": "",
    }


# Bitbucket.


def lines(place: Place, commands: list[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    file = place.reports / "script"
    file.write_text("set -e\n" + "\n".join(line for line in commands if not line.startswith("pip install ")) + "\n")
    return place.run(["/bin/bash", str(file)], variables)


@pytest.mark.parametrize(("index", "name"), [(0, "migrate"), (1, "verify")])
def test_bitbuckets_steps(place: Place, stack: Stack, index: int, name: str) -> None:
    step = load("bitbucket/bitbucket-pipelines.yml")["pipelines"]["branches"]["main"][index]["step"]
    (audience,) = step["oidc"]["audiences"]
    assert audience == "https://vault.example.com:8200"
    claims = {"repositoryUuid": "{r}", "pipelineUuid": "{p}", "stepUuid": "{s}", "branchName": "main"}
    variables = {
        "BITBUCKET_BUILD_NUMBER": "4",
        "BITBUCKET_STEP_RUN_NUMBER": "1",
        "BITBUCKET_STEP_TRIGGERER_UUID": "{u}",
        "BITBUCKET_COMMIT": SHA,
        "BITBUCKET_STEP_OIDC_TOKEN": stack.issuer.token([stack.address], **claims).reveal(),
    }
    ran = lines(place, step["script"], variables)
    assert ran.returncode == 0, ran.stdout
    assert f"{name} has ***\n" in ran.stdout
    place.assert_dead(name, ran.stdout)
    assert "BITBUCKET_STEP_OIDC_TOKEN" not in place.given(name)
    ended = lines(place, step["after-script"], variables)
    assert (ended.returncode, place.records()[-1]["kind"]) == (0, "chain.closed"), ended.stdout
    assert place.job() == {
        "ci": "bitbucket",
        "run_id": "{p}",
        "run_attempt": "1",
        "job": "{s}",
        "actor": "{u}",
        "ref": "refs/heads/main",
        "commit": SHA,
        "matrix": "",
    }


# Tekton.


def test_tektons_task(place: Place, stack: Stack) -> None:
    task, run = yaml.safe_load_all((EXAMPLES / "tekton" / "task.yaml").read_text())
    (step,) = task["spec"]["steps"]
    # The volume asks for the audience, and is where stepcreds looks.
    (source,) = task["spec"]["volumes"][0]["projected"]["sources"]
    mount = step["volumeMounts"][0]
    assert source["serviceAccountToken"]["audience"] == "https://vault.example.com:8200"
    assert mount["name"] == task["spec"]["volumes"][0]["name"]
    path = f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert path == "/var/run/secrets/tokens/vault-token"
    assert {param["name"] for param in run["spec"]["params"]} == {param["name"] for param in task["spec"]["params"]}

    pod = {"namespace": "ci", "pod": {"name": "migrate-x7-pod", "uid": "u1"}, "serviceaccount": {"name": "migrate"}}
    token = place.reports / "vault-token"
    token.write_text(stack.issuer.token([stack.address], **{"kubernetes.io": pod}).reveal())
    values = {f"params.{param['name']}": param["value"] for param in run["spec"]["params"]}
    values |= {"params.script": './migrate.sh; echo "it\'s" done', "context.taskRun.name": "migrate-x7"}
    step = filled(step, values, "$(NAME)")
    place.executable(place.reports / "script", step["script"])
    variables = {variable["name"]: variable["value"] for variable in step["env"]}
    assert "$(" not in json.dumps(variables)
    ran = place.run([str(place.reports / "script")], {**variables, "STEPCREDS_KUBERNETES_TOKEN": str(token)})
    assert ran.returncode == 0, ran.stdout
    assert "migrate has ***\nit's done\n" in ran.stdout
    place.assert_dead("migrate", ran.stdout)
    assert place.job() == {
        "ci": "kubernetes",
        "run_id": "u1",
        "run_attempt": "",
        "job": "migrate-x7",
        "actor": "",
        "ref": "",
        "commit": "",
        "matrix": "",
    }


# cron.


@pytest.fixture
def nightly(place: Place, stack: Stack) -> tuple[Place, str]:
    place.executable(place.folder / "nightly", (EXAMPLES / "cron" / "nightly").read_text())
    token = place.reports / "vault-id-token"
    token.write_text(stack.issuer.token(stack.address, sub="spiffe://example.com/nightly", run_id=None).reveal() + "\n")
    return place, str(token)


def test_a_night_says_nothing_but_what_the_script_says(nightly: tuple[Place, str]) -> None:
    place, token = nightly
    ran = place.run([str(place.folder / "nightly"), token], {})
    assert (ran.returncode, ran.stdout) == (0, "verify has ***\n")
    place.assert_dead("verify", ran.stdout)
    assert place.records()[-1]["kind"] == "chain.closed"
    job = place.job()
    assert re.fullmatch(r"\d{8}T\d{6}Z", job["run_id"])
    assert (job["ci"], job["job"]) == ("none", "nightly")


def test_a_night_that_fails(nightly: tuple[Place, str]) -> None:
    place, token = nightly
    place.script("verify", then="exit 4")
    ran = place.run([str(place.folder / "nightly"), token], {})
    assert (ran.returncode, ran.stdout) == (4, "verify has ***\n")
    place.assert_dead("verify", ran.stdout)


def test_a_night_without_a_token(nightly: tuple[Place, str]) -> None:
    place, _ = nightly
    ran = place.run([str(place.folder / "nightly"), "/nowhere"], {})
    assert (ran.returncode, ran.stdout) == (1, "cat: /nowhere: No such file or directory\n")
    assert not (place.reports / "verify").exists()
