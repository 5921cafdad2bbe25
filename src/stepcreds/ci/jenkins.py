"""Jenkins: the OpenID Connect Provider plugin makes a token for a build, bound to a variable or a file.

https://plugins.jenkins.io/oidc-provider/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, claim, git_ref, machine
from stepcreds.ci.matrix import leg, named
from stepcreds.ci.wording import paste, quoted
from stepcreds.errors import IdentityError
from stepcreds.model import Job


class Jenkins(Common):
    """A build of Jenkins. The plugin's tokens name the job (`sub`, its URL) and the build's number."""

    name: ClassVar[str] = "jenkins"
    title: ClassVar[str] = "Jenkins"
    folder_variables: ClassVar[tuple[str, ...]] = ("WORKSPACE_TMP", "WORKSPACE")

    def detects(self, environment: Mapping[str, str]) -> bool:
        return bool(environment.get("JENKINS_URL"))

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        found = self.held(environment)
        if found is None:
            raise IdentityError(
                f"Jenkins gave this step no ID token: the variable {self.id_token_variable} is not set",
                cause="The step is not inside withCredentials, or that binds another variable.",
                fix="With the OpenID Connect Provider plugin, add a credential of the kind OpenID Connect id token, "
                f"with the audience {quoted(audience)} and the id vault-id-token. Wrap the step:"
                + paste(
                    "withCredentials([",
                    f"  string(credentialsId: 'vault-id-token', variable: '{self.id_token_variable}')",
                    "]) {",
                    "  sh 'stepcreds exec PROFILE -- COMMAND'",
                    "}",
                ),
                docs="jenkins-id-token",
            )
        return found

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        here = machine()
        # The axes of a matrix are variables that its author named; a Jenkinsfile says in STEPCREDS_MATRIX which.
        matrix = leg(environment)
        return Job(
            ci=self.name,
            iss=claim(claims, "iss") or environment.get("JENKINS_URL", ""),
            repository_id=environment.get("JOB_URL") or claim(claims, "sub"),
            run_id=claim(claims, "build_number") or environment.get("BUILD_NUMBER", ""),
            run_attempt="",
            job=named(environment.get("JOB_NAME", ""), matrix),
            step=environment.get("STAGE_NAME", ""),
            runner={**here, "name": environment.get("NODE_NAME") or here["name"]},
            # The first of the Build User Vars plugin's; the second of a pull request in a multibranch project.
            actor=environment.get("BUILD_USER_ID") or environment.get("CHANGE_AUTHOR", ""),
            ref=_ref(environment),
            commit=environment.get("GIT_COMMIT", ""),
            matrix=matrix,
        )

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause="The credential in Jenkins names another audience than stepcreds.yml does (vault.auth.audience; "
            "without it, the address of Vault), or none.",
            fix=f"In Jenkins, open the credential and set its Audience to {quoted(audience)}.",
        )


def _ref(environment: Mapping[str, str]) -> str:
    """Of a multibranch project in full, of its pull requests Jenkins' name (PR-7); else what the Git plugin says."""
    branch = environment.get("BRANCH_NAME", "")
    if environment.get("CHANGE_ID"):
        return branch
    return git_ref(branch, environment.get("TAG_NAME", "")) or environment.get("GIT_BRANCH", "")
