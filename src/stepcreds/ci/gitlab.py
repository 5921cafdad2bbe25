"""GitLab CI/CD: the author's `id_tokens:` puts tokens into variables that the author names.

https://docs.gitlab.com/ci/secrets/id_token_authentication/ and https://docs.gitlab.com/ci/variables/predefined_variables/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, claim, git_ref
from stepcreds.ci.jwt import TokenShapeError, audiences, read
from stepcreds.ci.wording import paste, quoted, scalar
from stepcreds.errors import IdentityError
from stepcreds.model import Job
from stepcreds.secret import Secret


class GitLab(Common):
    """GitLab.com and self-managed GitLab. It cannot be told at run time what to mask."""

    name: ClassVar[str] = "gitlab"
    # Whoever may set a pipeline's variables may set CI_JOB_ID as well; the token is at hand, and says who the job is.
    names_its_job: ClassVar[bool] = False
    title: ClassVar[str] = "GitLab CI/CD"
    # The runner sources it before each part of the job: https://gitlab.com/gitlab-org/gitlab-runner/-/merge_requests/3708
    file_variables: ClassVar[tuple[str, ...]] = ("GITLAB_ENV",)
    folder_variables: ClassVar[tuple[str, ...]] = ("RUNNER_TEMP_PROJECT_DIR", "CI_PROJECT_DIR")

    @property
    def identity_variables(self) -> tuple[str, ...]:
        # CI_JOB_JWT and CI_JOB_JWT_V1, _V2: before GitLab 17, in every job, for the audience of the instance.
        return (*super().identity_variables, "CI_JOB_JWT*")

    def detects(self, environment: Mapping[str, str]) -> bool:
        return environment.get("GITLAB_CI") == "true"

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        named = self.held(environment)
        if named is not None and _is_for(audience, named.token):
            return named
        for name in sorted(environment):
            value = Secret(environment[name].strip())
            # Cheap first: every JWT of GitLab's begins with the base64 of `{"`.
            if value.reveal().startswith("eyJ") and _is_for(audience, value):
                return Found(value, f"the variable {name}", name)
        if named is not None:
            return named  # with what is wrong about it, for whoever checks it
        raise IdentityError(
            f"GitLab CI/CD gave this job no ID token for {quoted(audience)}",
            cause=f"The variable {self.id_token_variable} is not set, and no other holds a token for this audience.",
            fix="Add to the job:" + self._block(audience),
            docs="gitlab-id-tokens",
        )

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        return Job(
            ci=self.name,
            iss=claim(claims, "iss") or environment.get("CI_SERVER_URL", ""),
            repository_id=claim(claims, "project_id") or environment.get("CI_PROJECT_ID", ""),
            run_id=claim(claims, "pipeline_id") or environment.get("CI_PIPELINE_ID", ""),
            # A retried job gets a new id in the same pipeline.
            run_attempt=claim(claims, "job_id") or environment.get("CI_JOB_ID", ""),
            job=environment.get("CI_JOB_NAME", ""),  # of a matrix: `migrate: [eu, 14]`
            step="",
            runner={
                "name": environment.get("CI_RUNNER_DESCRIPTION", ""),
                "os": environment.get("CI_RUNNER_EXECUTABLE_ARCH", "").partition("/")[0],
                "arch": environment.get("CI_RUNNER_EXECUTABLE_ARCH", "").partition("/")[2],
            },
            actor=claim(claims, "user_login") or environment.get("GITLAB_USER_LOGIN", ""),
            ref=claim(claims, "ref_path")
            or environment.get("CI_MERGE_REQUEST_REF_PATH", "")
            or git_ref(environment.get("CI_COMMIT_BRANCH", ""), environment.get("CI_COMMIT_TAG", ""))
            or environment.get("CI_COMMIT_REF_NAME", ""),
            commit=claim(claims, "sha") or environment.get("CI_COMMIT_SHA", ""),
        )

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        """https://docs.gitlab.com/ci/jobs/job_logs/#create-custom-collapsible-sections; a name may stand there once."""
        name = f"stepcreds_{start * 1000:.0f}"
        before = f"\x1b[0Ksection_start:{start:.0f}:{name}[collapsed=true]\r\x1b[0K{title}\n"
        return before, f"\x1b[0Ksection_end:{end:.0f}:{name}\r\x1b[0K\n"

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause="The id_tokens: block of the job names another audience than stepcreds.yml does "
            "(vault.auth.audience; without it, the address of Vault).",
            fix="Change the job:" + self._block(audience),
        )

    def _block(self, audience: str) -> str:
        return paste("id_tokens:", f"  {self.id_token_variable}:", f"    aud: {scalar(audience)}")


def _is_for(audience: str, token: Secret) -> bool:
    try:
        return audience in audiences(read(token).claims)
    except TokenShapeError:
        return False
