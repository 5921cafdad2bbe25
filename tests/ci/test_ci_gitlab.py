"""GitLab: the variable the author named, else one for the audience, else lines to paste."""

from __future__ import annotations

import pytest
from id_tokens import AUDIENCE, CANARY, NoHTTP, made, told

from stepcreds.ci.gitlab import GitLab
from stepcreds.errors import IdentityError
from stepcreds.secret import Secret

OTHER = made(aud="https://other.example.com")


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"VAULT_ID_TOKEN": made()}, "VAULT_ID_TOKEN"),
        ({"VAULT_ID_TOKEN": f" {made()}\n"}, "VAULT_ID_TOKEN"),
        ({"VAULT_ID_TOKEN": made(aud=["https://other.example.com", AUDIENCE])}, "VAULT_ID_TOKEN"),
        ({"VAULT_ID_TOKEN": made(), "A": made()}, "VAULT_ID_TOKEN"),
        ({"B": made(), "C": made(), "A": OTHER, "D": "eyJ.eyJ.x", "E": "eyJ"}, "B"),
        ({"VAULT_ID_TOKEN": OTHER, "MINE": made()}, "MINE"),
        ({"VAULT_ID_TOKEN": OTHER}, "VAULT_ID_TOKEN"),
        ({"VAULT_ID_TOKEN": "garbage"}, "VAULT_ID_TOKEN"),
    ],
)
def test_the_variable_that_is_taken(environment: dict[str, str], variable: str) -> None:
    found = GitLab().token(AUDIENCE, environment, NoHTTP())
    assert found is not None
    assert (found.source, found.variable, found.fresh) == (f"the variable {variable}", variable, False)
    assert found.token == Secret(environment[variable].strip())


def test_the_author_names_the_variable() -> None:
    found = GitLab("DEPLOY_TOKEN").token(AUDIENCE, {"VAULT_ID_TOKEN": made(), "DEPLOY_TOKEN": made(sub="a")}, NoHTTP())
    assert found is not None
    assert found.variable == "DEPLOY_TOKEN"
    assert GitLab("DEPLOY_TOKEN").identity_variables == ("STEPCREDS_ID_TOKEN", "DEPLOY_TOKEN", "CI_JOB_JWT*")


@pytest.mark.parametrize(
    ("audience", "quoted", "scalar"),
    [
        (AUDIENCE, f'"{AUDIENCE}"', AUDIENCE),
        ("vault", '"vault"', "vault"),
        ("yes", '"yes"', '"yes"'),
        ("a: b", '"a: b"', '"a: b"'),
        ("8200", '"8200"', '"8200"'),
        ("x\ny", '"x y"', '"x\\ny"'),
    ],
)
def test_without_a_token_there_are_lines_to_paste(audience: str, quoted: str, scalar: str) -> None:
    with pytest.raises(IdentityError) as error:
        GitLab().token(audience, {"SIGSTORE_ID_TOKEN": OTHER, "VAULT_ID_TOKEN": ""}, NoHTTP())
    assert told(error) == (
        f"GitLab CI/CD gave this job no ID token for {quoted}",
        "The variable VAULT_ID_TOKEN is not set, and no other holds a token for this audience.",
        f"Add to the job:\n  id_tokens:\n    VAULT_ID_TOKEN:\n      aud: {scalar}",
        "gitlab-id-tokens",
    )
    assert CANARY not in repr(error.value)


def test_the_job() -> None:
    environment = {
        "CI_SERVER_URL": "https://gitlab.example.com",
        "CI_PROJECT_ID": "7",
        "CI_PIPELINE_ID": "8",
        "CI_JOB_ID": "9",
        "CI_JOB_NAME": "migrate",
        "CI_RUNNER_DESCRIPTION": "r1",
        "CI_RUNNER_EXECUTABLE_ARCH": "linux/amd64",
    }
    job = GitLab().job({}, environment)
    assert (job.ci, job.iss, job.repository_id) == ("gitlab", "https://gitlab.example.com", "7")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("8", "9", "migrate", "")
    assert job.runner == {"name": "r1", "os": "linux", "arch": "amd64"}
    claimed = GitLab().job({"project_id": "70", "pipeline_id": "80", "job_id": "90"}, environment)
    assert (claimed.repository_id, claimed.run_id, claimed.run_attempt) == ("70", "80", "90")
