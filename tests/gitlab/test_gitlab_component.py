"""The component: included in each way GitLab knows, what its inputs do, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitlab_runs import (
    COMPONENT,
    EXAMPLES,
    Project,
    gitlab_project,
    normalised,
    places,
    records,
    refusal,
    reported,
    reporting,
)
from stepcreds.devstack.stack import Stack


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[Project]:
    with gitlab_project(stack, tmp_path / "shop") as made:
        yield made


LOCAL = {"local": "templates/stepcreds.yml"}
INPUTS = {"profile": "verify", "run": "echo running", "audience": "https://vault.example.com:8200"}


def pipeline(project: Project, *jobs: dict[str, Any], more: dict[str, Any] | None = None, **include: str) -> None:
    """A pipeline that includes the component once for each of `jobs`, which are inputs beside those of `INPUTS`."""
    included = [{**(include or LOCAL), "inputs": {**INPUTS, **job}} for job in jobs]
    document = {"stages": ["deploy", "later"], "include": included, **(more or {})}
    project.write(".gitlab-ci.yml", yaml.safe_dump(document, sort_keys=False))
    (project.folder / "templates").mkdir(exist_ok=True)
    shutil.copy(COMPONENT, project.folder / "templates/stepcreds.yml")
    project.commit()


def test_the_example_includes_it_from_the_catalogue(stack: Stack, project: Project, tmp_path: Path) -> None:
    project.write(".gitlab-ci.yml", (EXAMPLES / "component.gitlab-ci.yml").read_text())
    project.script("migrate.sh", "echo migrating\n" + reporting(tmp_path / "migrate"))
    project.script("verify.sh", 'echo "$DATABASE_URL"\n' + reporting(tmp_path / "verify"))
    project.serve_component("1.4.2")  # what @1 stands for
    project.commit()
    assert "downloaded stepcreds/stepcreds 1.4.2 templates/stepcreds" in project.fetch_component()
    run = project.run()
    assert run.code == 0, run.text
    migrate, verify = reported(tmp_path / "migrate"), reported(tmp_path / "verify")
    assert normalised(project.log("migrate")) == (
        '$ command -v stepcreds || python3 -m pip install --quiet --root-user-action=ignore "stepcreds"\n'
        "BIN/stepcreds\n"
        "$ exec stepcreds exec migrate -- bash -eo pipefail -c \"$(cat <<'END OF RUN' # collapsed multi-line command\n"
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        "migrating\n"
        "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
        "$ stepcreds revoke --all\n"
        "stepcreds: nothing to revoke: no credential is open in this ledger\n"
    )
    said = project.log("verify").splitlines()
    shown = f"postgresql://{verify['PGUSER']}:***@{verify['PGHOST']}:{verify['PGPORT']}/shop?sslmode=disable"
    assert {"verifying", shown} <= set(said)
    assert [refusal(stack, given) for given in (migrate, verify)] == ["28P01", "28P01"]
    assert places(project, migrate["PGPASSWORD"], verify["PGPASSWORD"]) == []


def test_it_is_included_from_the_same_repository(project: Project) -> None:
    pipeline(project, {"as": "verify"})
    run = project.run()
    assert run.code == 0, run.text
    assert "running\n" in project.log("verify")
    assert [chain[-1]["kind"] for chain in records(project)] == ["chain.closed"]


def test_a_mirror_includes_its_own_at_the_commit_that_it_tests(project: Project) -> None:
    pipeline(project, {"as": "verify"}, component="$CI_SERVER_FQDN/$CI_PROJECT_PATH/stepcreds@$CI_COMMIT_SHA")
    run = project.run()
    assert run.code == 0, run.text
    assert "running\n" in project.log("verify")


def test_a_hidden_job_is_extended(project: Project) -> None:
    jobs = {
        name: {"extends": ".verify", "stage": "later", "script": [f"exec stepcreds exec verify -- echo {name}"]}
        for name in ("one", "two")
    }
    pipeline(project, {"as": ".verify", "run": "echo never"}, more=jobs)
    run = project.run()
    assert run.code == 0, run.text
    for name in jobs:
        assert f"\n{name}\n" in project.log(name)
        assert project.log(name).endswith("nothing to revoke: no credential is open in this ledger\n")


def test_what_stands_under_its_name_is_merged(project: Project) -> None:
    more = {
        "verify": {"environment": "production", "variables": {"MORE": "more"}, "artifacts": {"expire_in": "1 year"}}
    }
    pipeline(project, {"as": "verify", "run": 'echo "<$MORE>"'}, more=more)
    merged = yaml.safe_load(project.run("--preview").text.partition("parsing")[0])["verify"]
    assert merged["environment"] == "production"
    assert merged["variables"] == {"AFTER_SCRIPT_IGNORE_ERRORS": "false", "MORE": "more"}
    assert merged["artifacts"] == {
        "when": "always",
        "access": "developer",
        "paths": [".stepcreds/"],
        "expire_in": "1 year",
    }
    assert merged["after_script"] == ["stepcreds revoke --all"]
    run = project.run()
    assert run.code == 0, run.text
    assert "<more>\n" in project.log("verify")


# Each would be something else if any shell but the one inside stepcreds read it.
TRICKY = r"""
echo "user $PGUSER" '$PGUSER' `echo back` "$(echo dollar)" \\ $((1+1))
case x in x) echo "a)b";; esac
cat <<'END'
here: $PGUSER 'it''s' "quoted"
END
echo $'tab\tis' 2>/dev/null || true
"""


@pytest.mark.parametrize("shell", ["bash -eo pipefail", "sh -e"])
def test_only_the_inner_shell_reads_the_script(project: Project, shell: str) -> None:
    pipeline(project, {"as": "verify", "run": TRICKY, "shell": shell})
    run = project.run()
    assert run.code == 0, run.text
    said = normalised(project.log("verify"))
    assert r"user USER $PGUSER back dollar \ 2" in said
    assert "a)b\n" in said
    assert "here: $PGUSER 'it''s' \"quoted\"\n" in said


@pytest.mark.parametrize(
    ("shell", "script", "code"),
    [
        ("bash -eo pipefail", "false\necho never", 1),
        ("bash -eo pipefail", "(exit 7) | cat\necho never", 7),
        ("sh -e", "sh -c 'exit 5'\necho never", 5),
        ("bash -eo pipefail", "echo begun; exit 3", 3),
    ],
)
def test_the_script_decides_the_job(project: Project, shell: str, script: str, code: int) -> None:
    pipeline(project, {"as": "verify", "run": script, "shell": shell})
    run = project.run()
    assert run.code == 1
    assert f" FAIL {code} " in run.text
    assert "never" not in project.log("verify").replace(script, "")
    assert "proven dead" in project.log("verify")


def test_it_runs_on_the_default_branch_and_nowhere_else(project: Project) -> None:
    pipeline(project, {"as": "verify"})
    project.git("checkout", "--quiet", "-b", "feature")
    assert "never" in project.run("--list-all").text
    project.git("checkout", "--quiet", "main")
    assert "on_success" in project.run("--list-all").text


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"profile": "verify; env"}, "`profile` input: `verify; env` does not match required regex"),
        ({"profile": "$(env)"}, "`profile` input: `$(env)` does not match required regex"),
        ({"shell": "zsh"}, "`shell` input: `zsh` cannot be used because it is not in the list of allowed options"),
        ({"audience": "a b"}, "`audience` input: `a b` does not match required regex"),
        ({"rules": "always"}, "`rules` input: provided value is not a array"),
    ],
)
def test_inputs_that_are_refused(project: Project, inputs: dict[str, str], message: str) -> None:
    pipeline(project, {"as": "verify", **inputs})
    run = project.run("--list")
    assert (run.code, message in run.text) == (1, True), run.text


@pytest.mark.parametrize("missing", INPUTS)
def test_inputs_that_are_required(project: Project, missing: str) -> None:
    pipeline(project, {"as": "verify"})
    text = (project.folder / ".gitlab-ci.yml").read_text()
    (line,) = [line for line in text.splitlines(keepends=True) if line.strip().startswith(f"{missing}:")]
    project.write(".gitlab-ci.yml", text.replace(line, ""))
    run = project.run("--list")
    assert run.code == 1
    assert f"`{missing}` input: required value has not been provided" in run.text


def test_every_input_is_described_and_none_holds_a_secret() -> None:
    header, body = yaml.safe_load_all(COMPONENT.read_text())
    inputs = header["spec"]["inputs"]
    assert all(described["description"].endswith(".") for described in inputs.values())
    assert {name for name, described in inputs.items() if "default" not in described} == set(INPUTS)
    text = COMPONENT.read_text().split("\n---\n")[1]
    assert {name for name in inputs if f"$[[ inputs.{name} ]]" in text} == set(inputs)
    # Nothing that a pipeline's variables could set stands between the author's script and the shell.
    assert set(body["$[[ inputs.as ]]"]["variables"]) == {"AFTER_SCRIPT_IGNORE_ERRORS"}
    assert not {name for name in inputs if any(word in name for word in ("token", "password", "secret"))}
