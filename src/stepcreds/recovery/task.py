"""What is asked of a recovery, and what came of it; values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple


class Remembered(NamedTuple):
    """A credential that a step held when it was last heard of, as it told the CI's runner.

    Later steps of the job can rewrite the ledger, and cannot rewrite this. No secret is in it.
    """

    credential_uid: str
    profile: str
    role: str
    creds: str
    server: str  # as `ledger.credential.server_of` names it, "" where it is no database's
    accessor: str
    lease_id: str
    username: str
    issue_time: float  # epoch seconds; 0 until issued
    expire_time: float
    step_uid: str
    delivery: str
    asked: bool = True  # False: it had a token, and had not asked for anything yet


@dataclass(frozen=True)
class Task:
    """Which credentials are to be ended."""

    lease: str | None = None  # this one, whichever job it was issued to
    # Those of this job's last step, of this job, or of every job of this run attempt that has a chain here.
    reach: Literal["step", "job", "run"] = "step"
    handed_out: bool = False  # of these only what was handed out as outputs,
    profiles: tuple[str, ...] = ()  # and of that only these profiles'; (): all
    id_token_file: Path | None = None
    close: bool = False  # close this job's chains when nothing is left
    remembered: tuple[Remembered, ...] = ()
    job_is_over: bool = False  # nothing can be run in a step of it any more
    speaks: bool = True  # says so where there is nothing to do
    # What a credential without proof is: a failure, a warning, or what its profile says (on_revoke_failure).
    without_proof: Literal["fail", "warn", "profile"] = "fail"
    summary: bool = False  # each end is a row on the page of the run, too


class Report(NamedTuple):
    """What came of a task."""

    found: int  # credentials that were to be ended
    proven: bool  # nothing is left: each is proven dead and on record, and every chain could be read
    tolerable: bool  # `proven`, or what is not has been decided to be no more than a warning
    chains: tuple[Path, ...] = ()  # of this job
    closed: tuple[Path, ...] = ()  # of these, what was closed just now
    open_steps: frozenset[str] = frozenset()  # the uids of the steps of this job that left what is not proven dead
    failure: int = 0  # what a command ends with that could not do its task at all
