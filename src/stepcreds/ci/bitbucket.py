"""Bitbucket Pipelines: a step with `oidc:` finds a token in a variable, for the audiences that it lists.

https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/ and, for
`audiences:`, https://www.atlassian.com/blog/bitbucket/bitbucket-pipelines-oidc-now-supports-multiple-audiences
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, claim, git_ref, machine
from stepcreds.ci.matrix import node
from stepcreds.ci.wording import paste, scalar
from stepcreds.errors import IdentityError
from stepcreds.model import Job
from stepcreds.secret import Secret

_VARIABLE = "BITBUCKET_STEP_OIDC_TOKEN"


class Bitbucket(Common):
    """A step of Bitbucket Cloud."""

    name: ClassVar[str] = "bitbucket"
    title: ClassVar[str] = "Bitbucket Pipelines"
    # https://www.atlassian.com/blog/bitbucket/easily-share-data-between-steps-in-bitbucket-pipelines
    file_variables: ClassVar[tuple[str, ...]] = ("BITBUCKET_PIPELINES_VARIABLES_PATH",)
    folder_variables: ClassVar[tuple[str, ...]] = ("BITBUCKET_CLONE_DIR",)

    @property
    def identity_variables(self) -> tuple[str, ...]:
        return (*super().identity_variables, _VARIABLE)

    def detects(self, environment: Mapping[str, str]) -> bool:
        return bool(environment.get("BITBUCKET_BUILD_NUMBER"))

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        value = environment.get(_VARIABLE, "").strip()
        if not value:
            raise IdentityError(
                f"Bitbucket Pipelines gives this step no ID token: {_VARIABLE} is not set",
                cause="The step does not ask for one.",
                fix="Add to the step:" + _block(audience),
                docs="bitbucket-oidc",
            )
        return Found(Secret(value), f"the variable {_VARIABLE}", _VARIABLE)

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "repositoryUuid") or environment.get("BITBUCKET_REPO_UUID", ""),
            run_id=claim(claims, "pipelineUuid") or environment.get("BITBUCKET_PIPELINE_UUID", ""),
            run_attempt=environment.get("BITBUCKET_STEP_RUN_NUMBER", ""),
            job=claim(claims, "stepUuid") or environment.get("BITBUCKET_STEP_UUID", ""),
            step="",
            runner=machine(),
            actor=environment.get("BITBUCKET_STEP_TRIGGERER_UUID", ""),
            ref=git_ref(claim(claims, "branchName"))
            or git_ref(environment.get("BITBUCKET_BRANCH", ""), environment.get("BITBUCKET_TAG", "")),
            commit=environment.get("BITBUCKET_COMMIT", ""),
            # A parallel step has a uuid of its own, which is its job's name here.
            matrix=node(
                environment.get("BITBUCKET_PARALLEL_STEP", ""), environment.get("BITBUCKET_PARALLEL_STEP_COUNT", "")
            ),
        )

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause="Without audiences: of its own, a step gets the audience of the workspace "
            "(ari:cloud:bitbucket::workspace/…).",
            fix="Name the audience in the step:" + _block(audience),
        )


def _block(audience: str) -> str:
    return paste("oidc:", "  audiences:", f"    - {scalar(audience)}")
