"""Buildkite: the agent's own command makes a token for any audience.

https://buildkite.com/docs/agent/cli/reference/oidc and https://buildkite.com/docs/pipelines/security/oidc

Not through the package `id`: its public function asks Google Cloud before Buildkite, so that an agent on one of
Google's machines would present the identity of the machine, the same for every job on it; and it sets no limit on the
command's time.

Nothing is masked here. `buildkite-agent redactor add` would take values on its stdin: a process for each step, with the
agent's own token, to hide what stepcreds replaces in the command's output already, and what is dead when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.command import printed_token
from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Common, Found, claim, git_ref, machine
from stepcreds.ci.matrix import named, node
from stepcreds.model import Job


class Buildkite(Common):
    """A job of a Buildkite agent."""

    name: ClassVar[str] = "buildkite"
    title: ClassVar[str] = "Buildkite"
    folder_variables: ClassVar[tuple[str, ...]] = ("BUILDKITE_BUILD_CHECKOUT_PATH",)

    @property
    def identity_variables(self) -> tuple[str, ...]:
        # With the agent's token the command could ask for ID tokens of its own.
        return (*super().identity_variables, "BUILDKITE_AGENT_ACCESS_TOKEN")

    def detects(self, environment: Mapping[str, str]) -> bool:
        return environment.get("BUILDKITE") == "true"

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        command = ("buildkite-agent", "oidc", "request-token", "--audience", audience)
        return Found(printed_token(command, environment, who=self.title), "buildkite-agent", fresh=True)

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        here = machine()
        # The values of a build matrix are in no variable; each of its jobs has an id of its own all the same.
        matrix = node(
            environment.get("BUILDKITE_PARALLEL_JOB", ""), environment.get("BUILDKITE_PARALLEL_JOB_COUNT", "")
        )
        name = claim(claims, "step_key") or environment.get("BUILDKITE_STEP_KEY", "")
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "pipeline_id") or environment.get("BUILDKITE_PIPELINE_ID", ""),
            run_id=claim(claims, "build_id") or environment.get("BUILDKITE_BUILD_ID", ""),
            # A retried job gets a new id in the same build.
            run_attempt=claim(claims, "job_id") or environment.get("BUILDKITE_JOB_ID", ""),
            job=named(name or environment.get("BUILDKITE_LABEL", ""), matrix),
            step=environment.get("BUILDKITE_STEP_ID", ""),
            runner={**here, "name": environment.get("BUILDKITE_AGENT_NAME") or here["name"]},
            actor=environment.get("BUILDKITE_BUILD_CREATOR", ""),
            ref=git_ref(claim(claims, "build_branch"), claim(claims, "build_tag"))
            or git_ref(environment.get("BUILDKITE_BRANCH", ""), environment.get("BUILDKITE_TAG", "")),
            commit=claim(claims, "build_commit") or environment.get("BUILDKITE_COMMIT", ""),
            matrix=matrix,
        )

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        """https://buildkite.com/docs/pipelines/configure/managing-log-output; a group ends where another begins."""
        return f"~~~ {title}\n", "+++ stepcreds\n"
