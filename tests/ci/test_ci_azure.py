"""Azure Pipelines: the request of its protocol over HTTP, its fixed audience, and its logging commands."""

from __future__ import annotations

import traceback

import pytest
from id_tokens import AUDIENCE, CANARY, NoHTTP, made, told
from token_endpoint import DrivenClock, Endpoint, Reply, token_reply

from stepcreds.ci.azure import AzurePipelines
from stepcreds.ci.http import PatientHTTP
from stepcreds.errors import IdentityError
from stepcreds.secret import Secret


def variables(url: str, **more: str) -> dict[str, str]:
    return {"TF_BUILD": "True", "SYSTEM_OIDCREQUESTURI": url, "SYSTEM_ACCESSTOKEN": f"access-{CANARY}", **more}


@pytest.mark.parametrize(
    ("more", "query"),
    [
        ({}, "?api-version=7.1"),
        ({"STEPCREDS_AZURE_SERVICE_CONNECTION": "a&b"}, "?api-version=7.1&serviceConnectionId=a%26b"),
    ],
)
def test_the_request(more: dict[str, str], query: str) -> None:
    with Endpoint(token_reply(made(), "oidcToken")) as endpoint:
        environment = variables(f"{endpoint.url}/jobs/1/oidctoken/", **more)
        found = AzurePipelines().token(AUDIENCE, environment, PatientHTTP({}, DrivenClock()))
        (asked,) = endpoint.asked
    assert found is not None
    assert (found.token, found.source, found.fresh) == (Secret(made()), "Azure Pipelines", True)
    assert (asked.method, asked.target) == ("POST", f"/jobs/1/oidctoken{query}")
    assert asked.headers["authorization"] == f"Bearer access-{CANARY}"
    assert asked.headers["x-tfs-fedauthredirect"] == "Suppress"
    assert asked.headers["content-length"] == "0"


def test_a_page_to_log_in_is_no_answer() -> None:
    # What Azure DevOps sends for an access token that it does not accept.
    with Endpoint(Reply(203, b"<html>Sign in")) as endpoint, pytest.raises(IdentityError) as error:
        AzurePipelines().token(AUDIENCE, variables(endpoint.url), PatientHTTP({}, DrivenClock()))
    assert told(error) == (
        "The token endpoint of Azure Pipelines at 127.0.0.1 gave no ID token: HTTP 203",
        "The request is not what the CI's token service expects.",
        "Run the job again. If it stays so, look at the CI's status page and at the runner's network.",
        "token-endpoint",
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))


def test_the_access_token_has_to_be_mapped() -> None:
    with pytest.raises(IdentityError) as error:
        AzurePipelines().token(AUDIENCE, {"TF_BUILD": "True", "SYSTEM_OIDCREQUESTURI": "http://127.0.0.1/"}, NoHTTP())
    assert told(error) == (
        "Azure Pipelines gives this step no ID token: SYSTEM_ACCESSTOKEN is not set",
        "A step gets the job's access token only where the pipeline maps it.",
        "Add to the step:\n  env:\n    SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
        "azure-access-token",
    )


def test_an_agent_without_the_url() -> None:
    with pytest.raises(IdentityError) as error:
        AzurePipelines().token(AUDIENCE, {"TF_BUILD": "True", "SYSTEM_ACCESSTOKEN": CANARY}, NoHTTP())
    assert told(error) == (
        "Azure Pipelines gives this step no ID token: SYSTEM_OIDCREQUESTURI is not set",
        "The agent is too old, or belongs to an Azure DevOps Server, which issues none.",
        "Bring the agent up to date, or hand a token over with --id-token-file.",
        "azure-access-token",
    )


def test_masks_and_annotations() -> None:
    azure = AzurePipelines()
    assert azure.mask([Secret("50%\nsecond")]) == (
        "##vso[task.setsecret]50%AZP25%0Asecond\n"
        "##vso[task.setsecret]50%AZP2525%AZP250Asecond\n"
        "##vso[task.setsecret]50%AZP25\n"
        "##vso[task.setsecret]50%AZP2525\n"
        "##vso[task.setsecret]second\n"
    )
    assert azure.annotate("title", "a\nb") == "##vso[task.logissue type=error]title%0Aa%0Ab\n"
    assert azure.annotate("title", "a", "notice") == "##vso[task.logissue type=warning]title%0Aa\n"


def test_what_a_command_must_not_inherit() -> None:
    assert AzurePipelines().identity_variables[2:] == ("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "idToken")


def test_the_job() -> None:
    environment = {
        "BUILD_BUILDID": "5",
        "SYSTEM_JOBATTEMPT": "2",
        "SYSTEM_JOBNAME": "deploy",
        "SYSTEM_TASKDISPLAYNAME": "Migrate",
        "AGENT_NAME": "a1",
        "AGENT_OS": "Linux",
        "AGENT_OSARCHITECTURE": "X64",
    }
    job = AzurePipelines().job({"iss": "https://vstoken.dev.azure.com/o", "rpo_id": "r"}, environment)
    assert (job.ci, job.iss, job.repository_id) == ("azure", "https://vstoken.dev.azure.com/o", "r")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("5", "2", "deploy", "Migrate")
    assert job.runner == {"name": "a1", "os": "Linux", "arch": "X64"}
