"""CircleCI: a token for the organisation in a variable, and one for any audience from CircleCI's own command.

https://circleci.com/docs/openid-connect-tokens/ and https://circleci.com/docs/oidc-tokens-with-custom-claims/

Not through the package `id`: it adds `--root-issuer`, and with that the tokens of every customer of CircleCI come from
the one issuer https://oidc.circleci.com, so that a Vault role with a claim too few lets strangers in. Without it the
issuer is the organisation's own, the same as in the variable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.command import printed_token
from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Common, Found, claim, git_ref, machine
from stepcreds.ci.jwt import TokenShapeError, audiences, read
from stepcreds.ci.matrix import named, node
from stepcreds.model import Job
from stepcreds.secret import Secret

_VARIABLE = "CIRCLE_OIDC_TOKEN_V2"


class CircleCI(Common):
    """A job on CircleCI's cloud or server."""

    name: ClassVar[str] = "circleci"
    title: ClassVar[str] = "CircleCI"
    # Sourced at the start of each step: https://circleci.com/docs/guides/security/set-environment-variable/
    file_variables: ClassVar[tuple[str, ...]] = ("BASH_ENV",)

    @property
    def identity_variables(self) -> tuple[str, ...]:
        return (*super().identity_variables, "CIRCLE_OIDC_TOKEN", _VARIABLE)

    def detects(self, environment: Mapping[str, str]) -> bool:
        return environment.get("CIRCLECI") == "true"

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        held = Secret(environment.get(_VARIABLE, "").strip())
        try:
            if audience in audiences(read(held).claims):
                return Found(held, f"the variable {_VARIABLE}", _VARIABLE)
        except TokenShapeError:
            pass  # not set, or for another audience: the command makes one
        command = ("circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": audience}))
        return Found(printed_token(command, environment, who=self.title), "circleci run oidc get", fresh=True)

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        # A matrix names its jobs (`migrate-eu-14`). The nodes of `parallelism:` are one job, with one id.
        matrix = node(environment.get("CIRCLE_NODE_INDEX", ""), environment.get("CIRCLE_NODE_TOTAL", ""))
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "oidc.circleci.com/project-id") or environment.get("CIRCLE_PROJECT_ID", ""),
            # A rerun is a new workflow of the same pipeline.
            run_id=environment.get("CIRCLE_PIPELINE_ID") or environment.get("CIRCLE_WORKFLOW_ID", ""),
            run_attempt=environment.get("CIRCLE_WORKFLOW_JOB_ID") or environment.get("CIRCLE_WORKFLOW_ID", ""),
            job=named(environment.get("CIRCLE_JOB", ""), matrix),
            step="",
            runner=machine(),
            actor=environment.get("CIRCLE_USERNAME") or _user(claim(claims, "sub")),
            ref=claim(claims, "oidc.circleci.com/vcs-ref")
            or git_ref(environment.get("CIRCLE_BRANCH", ""), environment.get("CIRCLE_TAG", "")),
            commit=environment.get("CIRCLE_SHA1", ""),
            matrix=matrix,
        )

    def folders(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        # As it stands in the configuration: `~/project`.
        path = environment.get("CIRCLE_WORKING_DIRECTORY", "")
        if path == "~" or path.startswith("~/"):
            path = environment.get("HOME", "") + path[1:]
        return (path,) if path.startswith("/") else ()


def _user(subject: str) -> str:
    """The user's id in `org/…/project/…/user/…`, for whoever has no account that CircleCI could name."""
    _, _, rest = f"/{subject}".partition("/user/")
    return rest.partition("/")[0]
