"""GitHub Actions, and Forgejo and Gitea, which speak its protocol: the runner has a URL and a bearer token to ask with.

Protocol and claims: https://docs.github.com/en/actions/reference/security/oidc. Workflow commands:
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands. Forgejo:
https://forgejo.org/docs/latest/user/actions/security-openid-connect/
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

from stepcreds.ci.endpoint import token_of
from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, Level, claim
from stepcreds.ci.masks import forms
from stepcreds.ci.matrix import leg, named
from stepcreds.ci.wording import paste, quoted
from stepcreds.errors import IdentityError
from stepcreds.model import Job
from stepcreds.printable import one_line
from stepcreds.secret import Secret

_URL, _BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_TITLE_LIMIT = 255  # characters of an annotation's title
_EVENT_LIMIT = 8 * 1024 * 1024  # bytes of the event's JSON


class GitHub(Common):
    """GitHub Actions, on github.com and on a GitHub Enterprise Server."""

    name: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub Actions"
    masks: ClassVar[bool] = True
    names_its_job: ClassVar[bool] = True
    marker: ClassVar[str] = "GITHUB_ACTIONS"
    # The runner's FileCommandManager.cs and CreateArtifactsFileCommand.cs (github.com/actions/runner) read these.
    file_variables: ClassVar[tuple[str, ...]] = (
        *("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_ARTIFACTS"),
    )
    folder_variables: ClassVar[tuple[str, ...]] = ("RUNNER_TEMP", "GITHUB_WORKSPACE")

    @property
    def identity_variables(self) -> tuple[str, ...]:
        return (*super().identity_variables, "ACTIONS_ID_TOKEN_REQUEST_*", "ACTIONS_RUNTIME_*")

    def detects(self, environment: Mapping[str, str]) -> bool:
        return environment.get(self.marker) == "true"

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        url, bearer = environment.get(_URL, ""), environment.get(_BEARER, "")
        if not url or not bearer:
            fork = _fork(environment)
            raise self._from_fork(*fork) if fork else self._without_permission()
        # The URL already has a query (?api-version=2.0), but nobody promises that it always will.
        asked = f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
        headers = {"Authorization": f"bearer {bearer}", "Accept": "application/json"}
        return Found(
            token_of(http.ask("GET", asked, headers), name="value", who=self.title, url=url), self.title, fresh=True
        )

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        matrix = leg(environment)
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            # Forgejo has no ids: there the name has to do.
            repository_id=claim(claims, "repository_id")
            or environment.get("GITHUB_REPOSITORY_ID", "")
            or claim(claims, "repository")
            or environment.get("GITHUB_REPOSITORY", ""),
            run_id=claim(claims, "run_id") or environment.get("GITHUB_RUN_ID", ""),
            run_attempt=claim(claims, "run_attempt") or environment.get("GITHUB_RUN_ATTEMPT", ""),
            job=named(environment.get("GITHUB_JOB", ""), matrix),
            step=environment.get("GITHUB_ACTION", ""),
            runner={key: environment.get(f"RUNNER_{key.upper()}", "") for key in ("name", "os", "arch")},
            actor=claim(claims, "actor") or environment.get("GITHUB_ACTOR", ""),
            ref=claim(claims, "ref") or environment.get("GITHUB_REF", ""),
            commit=claim(claims, "sha") or environment.get("GITHUB_SHA", ""),
            matrix=matrix,
        )

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause=f"stepcreds asked {self.title} for {quoted(audience)}, and what answered did not heed it.",
            fix=f"Look at what stands between the runner and {self.title}, a proxy or a wrapper that sets {_URL}: the "
            "audience is in the query of the request.",
        )

    def mask(self, values: Sequence[Secret]) -> str:
        return "".join(f"::add-mask::{_data(form)}\n" for form in forms(values))

    def outputs_file(self, environment: Mapping[str, str]) -> str:
        return environment.get("GITHUB_OUTPUT", "")

    def output(self, name: str, value: str) -> str:
        # The delimiter must be one that the value cannot hold: it is made after it, and nobody can guess it.
        delimiter = f"stepcreds-{os.urandom(16).hex()}"
        return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"

    def annotate(self, title: str, text: str, level: Level = "error") -> str:
        """The runner cuts the text at 4096 characters, and shows no more than ten of a level for a step.

        https://github.com/actions/runner/blob/main/src/Runner.Worker/ExecutionContext.cs; the title goes into a check
        run's annotation, which has room for 255: https://docs.github.com/en/rest/checks/runs
        """
        shown = title if len(title) <= _TITLE_LIMIT else f"{title[: _TITLE_LIMIT - 1]}…"
        shown = _data(shown).replace(":", "%3A").replace(",", "%2C")
        return f"::{level} title={shown}::{_data(text)}\n"

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        return f"::group::{_data(title)}\n", "::endgroup::\n"

    def summary_file(self, environment: Mapping[str, str]) -> str:
        return self.runner_files(environment).get("GITHUB_STEP_SUMMARY", "")

    def _without_permission(self) -> IdentityError:
        return IdentityError(
            f"{self.title} gives this job no ID token",
            cause="The job lacks the permission id-token: write. A permissions: block of the job replaces the "
            "workflow's, and a reusable workflow has at most what its caller grants.",
            fix="Add to the job (and to the job that calls it, if it is a reusable workflow):"
            + paste("permissions:", "  contents: read", "  id-token: write"),
            docs="id-token-permission",
        )

    def _from_fork(self, head: str, base: str) -> IdentityError:
        return IdentityError(
            f"{self.title} gives no ID token to a pull request from a fork ({head} into {base})",
            cause="Anyone can open one, so it runs without the permissions of this repository.",
            fix="Leave the step out of such runs, and run it after the merge, on push:"
            + paste(
                "if: github.event_name != 'pull_request' || "
                "github.event.pull_request.head.repo.full_name == github.repository"
            )
            + "\nDo not turn to pull_request_target: it would give the code of the fork this repository's permissions.",
            docs="fork-pull-request",
        )


class Forgejo(GitHub):
    """Forgejo Actions, from Forgejo 15 on."""

    name: ClassVar[str] = "forgejo"
    title: ClassVar[str] = "Forgejo Actions"
    marker: ClassVar[str] = "FORGEJO_ACTIONS"

    def _without_permission(self) -> IdentityError:
        return IdentityError(
            f"{self.title} gives this job no ID token",
            cause="Neither the job nor the workflow enables them.",
            fix="Add to the job:" + paste("enable-openid-connect: true"),
            docs="id-token-permission",
        )


class Gitea(GitHub):
    """Gitea Actions, on a version that issues ID tokens (proposed as a copy of GitHub's protocol)."""

    name: ClassVar[str] = "gitea"
    title: ClassVar[str] = "Gitea Actions"
    marker: ClassVar[str] = "GITEA_ACTIONS"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _fork(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Head and base repository of a pull request that came from elsewhere; None for any other run."""
    event = environment.get("GITHUB_EVENT_NAME", "")
    if not event.startswith("pull_request") or event == "pull_request_target":
        return None
    try:
        path = environment.get("GITHUB_EVENT_PATH", "")
        # A FIFO in its place would keep us.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # noqa: PTH123
            head = json.loads(file.read(_EVENT_LIMIT))["pull_request"]["head"]["repo"]
        # The repository of the fork may be gone: then it is null.
        name = head["full_name"] if head is not None else "a deleted repository"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    base = environment.get("GITHUB_REPOSITORY", "")
    if not isinstance(name, str) or name.lower() == base.lower():
        return None
    return one_line(name), one_line(base)
