"""One `stepcreds exec`, or one use of the Action, as flags and configuration say it; light, because the front makes it
while the worker is still importing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from stepcreds.config.model import Config, Profile


class Request(NamedTuple):
    """What is asked for."""

    profiles: tuple[Profile, ...]  # the first, then each --also
    argv: tuple[str, ...]
    recorded: tuple[str, ...]  # argv as the ledger recognises it
    inherit: Literal["all", "clean"] = "all"
    grace: float = 4.0  # seconds between the first signal and SIGKILL
    redact: bool | None = None  # None: unless the CI was told to mask, or a person watches
    reason: str | None = None  # for the ledger, in the author's words
    id_token_file: Path | None = None
    leak_scan: bool = True  # look for the credential in files that the command changed
    delivery: Literal["exec", "outputs"] = "exec"  # to one command, or to the job's later steps
    summary: bool = True  # write a table to the page of the run, where the CI has one


class Order(NamedTuple):
    """What the front hands to the worker, through a pipe that only these two hold."""

    request: Request
    config: Config
    step_uid: str
    quiet: bool = False
    operator_token: str | None = None  # in clear, as everything that the two tell each other
    ends_handed_out: bool = False  # what earlier steps of the job handed out ends before anything else
    keeps_state: bool = False  # the CI's runner is told what is held, for the end of the job,
    shown_state: str = ""  # and this is the file that the command finds in the place of the one for that
    # What older credentials without proof are, that end before anything else: see `recovery.Task.without_proof`.
    on_revoke_failure: Literal["fail", "warn", "profile"] = "profile"

    def __repr__(self) -> str:
        return "Order(***)"
