"""What stepcreds asks of a CI, and what most of them answer alike; nothing here knows any one of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

from stepcreds.ci.http import HTTP
from stepcreds.ci.wording import paste, quoted, scalar
from stepcreds.model import Job
from stepcreds.secret import Secret

Level = Literal["error", "warning", "notice"]


class Found(NamedTuple):
    """A token as the CI gave it, not looked at yet."""

    token: Secret
    source: str  # in words, for messages: "GitHub Actions", "the variable VAULT_ID_TOKEN"
    variable: str = ""  # the variable that held it, "" where none did
    fresh: bool = False  # True: made for this very request, so a wrong time in it is a wrong clock


class Advice(NamedTuple):
    """Why something is likely so, and what to change, with the lines to paste."""

    cause: str
    fix: str


class CI(Protocol):
    """One CI. An object of it holds no state but the name of the variable that the author of the pipeline chose."""

    name: ClassVar[str]  # for the ledger: "github"
    title: ClassVar[str]  # for people: "GitHub Actions"
    masks: ClassVar[bool]  # True: this CI hides masked values in its log itself, so output need not be redacted
    names_its_job: ClassVar[bool]  # True: `job` is the same without claims, but for the issuer

    @property
    def identity_variables(self) -> tuple[str, ...]:
        """Names of variables that hold or fetch identity; a name that ends in `*` stands for all that begin so.

        The command must not inherit them.
        """
        ...

    def detects(self, environment: Mapping[str, str]) -> bool:
        """Whether this process runs as a job of this CI."""
        ...

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        """A token for `audience`. None: this CI has none to give here.

        Raises `IdentityError` with the lines to paste where it should have one.
        """
        ...

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        """Which job of which run this is, by the (unverified) claims first, else by the environment."""
        ...

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        """What to do about a token of this CI that is for `found` and not for `audience`."""
        ...

    def mask(self, values: Sequence[Secret]) -> str:
        """What to print before anything else so that the CI hides `values`; "" where it has no such command."""
        ...

    def outputs_file(self, environment: Mapping[str, str]) -> str:
        """The file that hands this step's outputs to later steps; "" where the CI has none."""
        ...

    def output(self, name: str, value: str) -> str:
        """What to append to `outputs_file` for one output."""
        ...

    def annotate(self, title: str, text: str, level: Level = "error") -> str:
        """What to print to show `text` beside the run; "" where the CI has no such command."""
        ...

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        """What to print before and after lines that the log may fold under `title`; "" and "" where it folds none.

        `start` and `end` are epoch seconds; the text before the lines needs no `end`.
        """
        ...

    def runner_files(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """The files that the runner reads when the step has ended, and hands on: name of the variable -> path."""
        ...

    def summary_file(self, environment: Mapping[str, str]) -> str:
        """The file to which a step may append Markdown for the page of the run; "" where there is none."""
        ...

    def folders(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """The folders of the job that outlive the step: the one for temporary files, and the workspace."""
        ...


class Common:
    """What a CI is unless its file says otherwise: a variable may hold a token, nothing can be masked or annotated."""

    masks: ClassVar[bool] = False
    names_its_job: ClassVar[bool] = False
    title: ClassVar[str] = ""
    file_variables: ClassVar[tuple[str, ...]] = ()  # for `runner_files`
    folder_variables: ClassVar[tuple[str, ...]] = ()  # for `folders`

    def __init__(self, id_token_variable: str = "VAULT_ID_TOKEN") -> None:  # noqa: S107 - the name of a variable
        self.id_token_variable = id_token_variable

    @property
    def identity_variables(self) -> tuple[str, ...]:
        return ("STEPCREDS_ID_TOKEN", self.id_token_variable)

    def held(self, environment: Mapping[str, str]) -> Found | None:
        """The token in the variable that the author named, if it holds anything."""
        value = environment.get(self.id_token_variable, "").strip()
        if not value:
            return None
        return Found(Secret(value), f"the variable {self.id_token_variable}", self.id_token_variable)

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        """For a CI that was asked for `audience`, and for a token that somebody handed over."""
        meant = found[0] if found else audience
        return Advice(
            cause="Whoever asked for the token named another audience than stepcreds.yml does (vault.auth.audience; "
            "without it, the address of Vault).",
            fix=f"Ask for a token with the audience {quoted(audience)}. If Vault's role is bound to the audience that "
            "the token has, say so in stepcreds.yml; and if that does not name Vault's host, take the address out of "
            "the file and set STEPCREDS_VAULT_ADDR:" + paste("vault:", "  auth:", f"    audience: {scalar(meant)}"),
        )

    def mask(self, values: Sequence[Secret]) -> str:
        return ""

    def outputs_file(self, environment: Mapping[str, str]) -> str:
        return ""

    def output(self, name: str, value: str) -> str:
        return ""

    def annotate(self, title: str, text: str, level: Level = "error") -> str:
        return ""

    def collapse(self, title: str, start: float, end: float) -> tuple[str, str]:
        return "", ""

    def runner_files(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        return {name: environment[name] for name in self.file_variables if environment.get(name, "").startswith("/")}

    def summary_file(self, environment: Mapping[str, str]) -> str:
        return ""

    def folders(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(path for name in self.folder_variables if (path := environment.get(name, "")).startswith("/"))


def of_author(environment: Mapping[str, str], name: str) -> str:
    """What the author of the pipeline says of the job in STEPCREDS_<name>, where no CI does: RUN_ID, JOB, ACTOR, …"""
    return environment.get(f"STEPCREDS_{name}", "")


def git_ref(branch: str, tag: str = "") -> str:
    """A ref in full by the names of its branch or tag; "" where there is neither."""
    if tag:
        return f"refs/tags/{tag}"
    return f"refs/heads/{branch}" if branch else ""


def machine() -> dict[str, str]:
    """Name, operating system and architecture of this machine, for a CI that does not tell them."""
    here = os.uname()
    return {"name": here.nodename, "os": here.sysname, "arch": here.machine}


def claim(claims: Mapping[str, object], name: str) -> str:
    """The claim `name` as text; "" where it is missing or is neither text nor a whole number."""
    value = claims.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
