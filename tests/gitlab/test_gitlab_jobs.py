"""GitLab's jobs as the examples have them: one credential for each, what their logs show, and what decides the result."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gitlab_runs import (
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
        made.write(".gitlab-ci.yml", (EXAMPLES / ".gitlab-ci.yml").read_text())
        yield made


ISSUED = "stepcreds: {}: issued database/creds/app-{} as USER; declared {}; measured {} in N ms; ends at TIME unless renewed\n"
MEASURED = {"migrate": "ddl", "verify": "read"}


def log(profile: str, access: str, said: str) -> str:
    """The whole log of an example's job whose command said `said`."""
    return (
        "$ command -v stepcreds || pip install --quiet stepcreds\nBIN/stepcreds\n"
        f"$ exec stepcreds exec {profile} -- ./{profile}.sh\n"
        + ISSUED.format(profile, profile, access, MEASURED[profile])
        + said
        + f"stepcreds: {profile}: proven dead N s after the command ended (lease lookup and refused logins)\n"
        "$ stepcreds revoke --all\n"
        "stepcreds: nothing to revoke: no credential is open in this ledger\n"
    )


def test_migrate_then_verify(stack: Stack, project: Project, tmp_path: Path) -> None:
    project.script("migrate.sh", "echo migrating\n" + reporting(tmp_path / "migrate"))
    project.script("verify.sh", "echo verifying\n" + reporting(tmp_path / "verify"))
    project.commit()
    run = project.run()
    assert run.code == 0, run.text
    assert normalised(project.log("migrate")) == log("migrate", "ddl in app", "migrating\n")
    assert normalised(project.log("verify")) == log("verify", "read-only in app", "verifying\n")
    first, second = reported(tmp_path / "migrate"), reported(tmp_path / "verify")
    assert first["PGUSER"] != second["PGUSER"]
    assert [refusal(stack, given) for given in (first, second)] == ["28P01", "28P01"]
    # In the log, the artifacts, the ledger, the working folder and git's own: nowhere.
    assert places(project, first["PGPASSWORD"], second["PGPASSWORD"]) == []
    assert first["PGPASSWORD"] not in run.text
    # Neither command could have logged in as its job: it did not inherit the ID token.
    assert "VAULT_ID_TOKEN" not in {*first, *second}


def test_each_job_has_a_chain_of_its_own_that_is_kept_as_its_artifact(project: Project) -> None:
    project.script("migrate.sh", "true\n")
    project.script("verify.sh", "true\n")
    project.commit()
    assert project.run().code == 0
    chains = records(project)
    issued = ["chain.opened", "credential.requested", "credential.issued"]
    assert {chain[0]["job"]["job"]: [record["kind"] for record in chain] for chain in chains} == {
        "migrate": [*issued, "credential.left", "credential.closed", "chain.closed"],
        "verify": [*issued, "credential.closed", "chain.closed"],
    }
    opened = {chain[0]["job"]["job"]: chain[0] for chain in chains}
    assert set(opened) == {"migrate", "verify"}
    assert opened["migrate"]["job"]["ci"] == "gitlab"
    assert (opened["migrate"]["job"]["run_id"], opened["migrate"]["job"]["run_attempt"]) == ("8", "9")
    kept = project.folder / ".gitlab-ci-local/artifacts/migrate/.stepcreds"
    assert [path.name.startswith("8-9-migrate-") for path in kept.iterdir()] == [True]


def test_what_a_command_prints_of_its_credential_is_redacted(project: Project, tmp_path: Path) -> None:
    project.script(
        "migrate.sh",
        reporting(tmp_path / "report")
        + 'echo "$DATABASE_URL"\necho "$PGPASSWORD" >&2\nprintf "<%s>\\n" "$(printf %s "$PGPASSWORD" | base64)"\n'
        + "set -x\n: psql \"$DATABASE_URL\" -c 'SELECT 1'\n",
    )
    project.commit()
    run = project.run("migrate")
    assert run.code == 0, run.text
    given = reported(tmp_path / "report")
    shown = f"postgresql://{given['PGUSER']}:***@{given['PGHOST']}:{given['PGPORT']}/shop?sslmode=disable"
    lines = project.log("migrate").splitlines()
    assert {shown, "***", f"+ : psql '{shown}' -c 'SELECT 1'"} <= set(lines)
    assert [line for line in lines if line.startswith("<")] == ["<***=>"]  # what base64 pads with is no secret
    assert given["PGPASSWORD"] not in run.text
    assert places(project, given["PGPASSWORD"]) == []


def test_a_file_that_a_later_job_would_be_handed_is_named(stack: Stack, project: Project, tmp_path: Path) -> None:
    project.script("migrate.sh", reporting(tmp_path / "report") + 'echo "URL=$DATABASE_URL" >build.env\n')
    project.commit()
    run = project.run("migrate")
    assert run.code == 0, run.text
    given = reported(tmp_path / "report")
    assert places(project, given["PGPASSWORD"]) == ["build.env"]
    (warning,) = [line for line in project.log("migrate").splitlines() if "warning:" in line]
    assert warning == (
        "stepcreds: warning: files that the command changed hold the credential of migrate, and outlive the step: "
        f"{project.folder}/build.env, line 1 (URL). Remove them before anything caches or uploads them; a file for a "
        "client belongs in files: of the profile"
    )
    assert refusal(stack, given) == "28P01"


@pytest.mark.parametrize("code", [1, 3, 42])
def test_the_command_that_fails_decides_the_job(stack: Stack, project: Project, tmp_path: Path, code: int) -> None:
    project.script("migrate.sh", reporting(tmp_path / "report") + f"exit {code}\n")
    project.script("verify.sh", "echo never\n")
    project.commit()
    run = project.run()
    assert run.code == 1
    assert f" FAIL {code} " in run.text
    assert "nothing to revoke" in project.log("migrate")
    assert not (project.folder / ".gitlab-ci-local/output/verify.log").exists()
    assert refusal(stack, reported(tmp_path / "report")) == "28P01"


def test_a_job_without_an_id_token_says_what_to_add(stack: Stack, project: Project) -> None:
    project.forget()
    project.script("migrate.sh", "echo never\n")
    project.commit()
    run = project.run("migrate")
    assert (run.code, " FAIL 125 " in run.text) == (1, True)
    refused = (
        f'stepcreds: error: GitLab CI/CD gave this job no ID token for "{stack.address}"\n'
        "  cause: The variable VAULT_ID_TOKEN is not set, and no other holds a token for this audience.\n"
        "  fix: Add to the job:\n"
        "      id_tokens:\n"
        "        VAULT_ID_TOKEN:\n"
        f"          aud: {stack.address}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#gitlab-id-tokens\n"
    )
    assert project.log("migrate").count(refused) == 2  # exec, and after_script


def test_a_branch_that_anybody_may_push_to_gets_nothing(stack: Stack, project: Project) -> None:
    project.identify(ref="feature", ref_protected="false")
    project.script("migrate.sh", "echo never\n")
    project.commit()
    run = project.run("migrate")
    assert (run.code, " FAIL 125 " in run.text) == (1, True)
    said = project.log("migrate")
    assert "stepcreds: error: Vault refused the login" in said
    assert "never" not in said


def test_the_job_that_verifies_cannot_log_in_for_ddl(stack: Stack, tmp_path: Path) -> None:
    """With the roles bound as docs/gitlab.md and the example say, and a verification that was tampered with."""
    environments = {"migrate": "production-ddl", "verify": "production"}
    bound = {profile: {"environment": name} for profile, name in environments.items()}
    with gitlab_project(stack, tmp_path / "shop", bound) as project:
        for name in environments.values():
            project.identify(name, environment=name)
        example = (EXAMPLES / ".gitlab-ci.yml").read_text()
        project.write(".gitlab-ci.yml", example)
        project.script("migrate.sh", "echo migrating\n")
        project.script("verify.sh", "echo verifying\n")
        project.commit()
        run = project.run()
        assert run.code == 0, run.text
        project.write(".gitlab-ci.yml", example.replace("stepcreds exec verify --", "stepcreds exec migrate --"))
        project.commit()
        run = project.run()
        assert (run.code, " FAIL 125 " in run.text) == (1, True), run.text
        assert "migrating\n" in project.log("migrate")
        assert "stepcreds: error: Vault refused the login" in project.log("verify")
        assert "verifying\n" not in project.log("verify")


def test_jobs_of_a_matrix_have_credentials_and_chains_of_their_own(
    stack: Stack, project: Project, tmp_path: Path
) -> None:
    databases = ("orders", "billing")

    def copied(document: dict[str, Any]) -> None:
        migrate = document["profiles"]["migrate"]
        document["profiles"] = {f"migrate-{name}": deepcopy(migrate) for name in databases}

    project.write("stepcreds.yml", project.config(copied))
    project.write(".gitlab-ci.yml", (EXAMPLES / "matrix.gitlab-ci.yml").read_text())
    # GitLab's token names the job and its environment, which differ in each.
    for number, name in enumerate(databases, 20):
        environment = f"production/migrate-{name}"
        project.identify(environment, environment=environment, job_id=str(number))
    project.script(
        "migrate.sh", reporting(tmp_path / "report-X").replace("report-X", 'report-" + os.environ["PROFILE"] + "')
    )
    project.commit()
    run = project.run()
    assert run.code == 0, run.text
    given = [reported(tmp_path / f"report-migrate-{name}") for name in databases]
    assert given[0]["PGUSER"] != given[1]["PGUSER"]
    assert [refusal(stack, one) for one in given] == ["28P01", "28P01"]
    chains = records(project)
    assert sorted(chain[0]["job"]["run_attempt"] for chain in chains) == ["20", "21"]
    assert sorted(chain[1]["profile"] for chain in chains) == ["migrate-billing", "migrate-orders"]
    assert [chain[-1]["kind"] for chain in chains] == ["chain.closed", "chain.closed"]
    assert places(project, *(one["PGPASSWORD"] for one in given)) == []
