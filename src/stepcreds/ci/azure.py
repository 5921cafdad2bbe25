"""Azure Pipelines: a URL and the job's access token to ask with; the audience of its tokens cannot be chosen.

https://learn.microsoft.com/en-us/rest/api/azure/devops/distributedtask/oidctoken/create (the service connection is
optional; without one the subject is the pipeline: `p://organisation/project/pipeline`) and
https://learn.microsoft.com/en-us/azure/devops/pipelines/scripts/logging-commands
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

from stepcreds.ci.endpoint import token_of
from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, Level, claim
from stepcreds.ci.masks import forms
from stepcreds.ci.wording import paste
from stepcreds.errors import IdentityError
from stepcreds.model import Job
from stepcreds.secret import Secret

AUDIENCE = "api://AzureADTokenExchange"
_URL, _BEARER, _CONNECTION = "SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "STEPCREDS_AZURE_SERVICE_CONNECTION"


class AzurePipelines(Common):
    """A job of Azure DevOps Services."""

    name: ClassVar[str] = "azure"
    title: ClassVar[str] = "Azure Pipelines"
    # Sources, binaries and what is staged as artifacts are below the second.
    folder_variables: ClassVar[tuple[str, ...]] = ("AGENT_TEMPDIRECTORY", "PIPELINE_WORKSPACE")

    @property
    def identity_variables(self) -> tuple[str, ...]:
        # idToken: what AzureCLI@2 sets with addSpnToEnvironment.
        return (*super().identity_variables, _URL, _BEARER, "idToken")

    def detects(self, environment: Mapping[str, str]) -> bool:
        return environment.get("TF_BUILD", "").lower() == "true"

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        url, bearer = environment.get(_URL, ""), environment.get(_BEARER, "")
        if not bearer:
            raise IdentityError(
                "Azure Pipelines gives this step no ID token: SYSTEM_ACCESSTOKEN is not set",
                cause="A step gets the job's access token only where the pipeline maps it.",
                fix="Add to the step:" + paste("env:", "  SYSTEM_ACCESSTOKEN: $(System.AccessToken)"),
                docs="azure-access-token",
            )
        if not url:
            raise IdentityError(
                "Azure Pipelines gives this step no ID token: SYSTEM_OIDCREQUESTURI is not set",
                cause="The agent is too old, or belongs to an Azure DevOps Server, which issues none.",
                fix="Bring the agent up to date, or hand a token over with --id-token-file.",
                docs="azure-access-token",
            )
        connection = environment.get(_CONNECTION, "")
        asked = f"{url.rstrip('/')}?api-version=7.1"
        if connection:
            asked += f"&serviceConnectionId={quote(connection, safe='')}"
        headers = {
            "Authorization": f"Bearer {bearer}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-TFS-FedAuthRedirect": "Suppress",  # a refused token is to be a 401, not a page to log in
        }
        return Found(
            token_of(http.ask("POST", asked, headers), name="oidcToken", who=self.title, url=url),
            self.title,
            fresh=True,
        )

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "rpo_id") or environment.get("BUILD_REPOSITORY_ID", ""),
            run_id=claim(claims, "run_id") or environment.get("BUILD_BUILDID", ""),
            # One for each attempt of each job; a job of a matrix is a job, whatever it is called.
            run_attempt=environment.get("SYSTEM_JOBID") or environment.get("SYSTEM_JOBATTEMPT", ""),
            job=environment.get("SYSTEM_JOBNAME") or environment.get("AGENT_JOBNAME", ""),
            step=environment.get("SYSTEM_TASKDISPLAYNAME", ""),
            runner={
                "name": environment.get("AGENT_NAME", ""),
                "os": environment.get("AGENT_OS", ""),
                "arch": environment.get("AGENT_OSARCHITECTURE", ""),
            },
            actor=environment.get("BUILD_REQUESTEDFOR", ""),
            ref=claim(claims, "rpo_ref") or environment.get("BUILD_SOURCEBRANCH", ""),
            commit=claim(claims, "rpo_ver") or environment.get("BUILD_SOURCEVERSION", ""),
        )

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause=f"Azure Pipelines gives every ID token the audience {AUDIENCE}, and no setting changes that.",
            fix=f"Bind Vault's role to it (bound_audiences={AUDIENCE}), and to org_id, prj_id and def_id as well: "
            "others are given such tokens too. Take the address out of stepcreds.yml, set STEPCREDS_VAULT_ADDR, and "
            "write into the file:" + paste("vault:", "  auth:", f"    audience: {AUDIENCE}"),
        )

    def mask(self, values: Sequence[Secret]) -> str:
        return "".join(f"##vso[task.setsecret]{_data(form)}\n" for form in forms(values))

    def annotate(self, title: str, text: str, level: Level = "error") -> str:
        kind = "error" if level == "error" else "warning"
        return f"##vso[task.logissue type={kind}]{_data(title)}%0A{_data(text)}\n"

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        return f"##[group]{title}\n", "##[endgroup]\n"


def _data(text: str) -> str:
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")
