"""Reads chains back as credentials: what was requested, issued and closed, joined; it does not check the chain.

A reader of a damaged ledger still wants to see the rest, and `stepcreds revoke` must still end what is named there:
lines that are no records are counted and left out. Whether a ledger can be believed is `verify`'s to say.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from stepcreds.config.model import LedgerSettings
from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.folder import chain_files
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.record import NEVER, Record, job_identity
from stepcreds.model import Job


@dataclass(frozen=True)
class CredentialView:
    """One credential on record. A record that is not there is {}; a text that is not there is "", a time None."""

    file: Path
    job: Mapping[str, str]  # ci iss repository_id run_id run_attempt job
    credential_uid: str
    requested: Record
    issued: Record
    closed: Record

    @property
    def step_uid(self) -> str:
        return _text(self.requested or self.issued or self.closed, "step_uid")

    @property
    def step_name(self) -> str:
        return _text(self.closed, "step", "name")

    @property
    def profile(self) -> str:
        return _text(self.requested, "profile") or _text(self.closed, "profile")

    @property
    def role(self) -> str:
        return _text(self.requested, "role")

    @property
    def mount_point(self) -> str:
        return _text(self.requested, "mount_point")

    @property
    def creds(self) -> str:
        return _text(self.requested, "creds")

    @property
    def token_accessor(self) -> str:
        return _text(self.requested, "token_accessor")

    @property
    def access(self) -> str:
        return _text(self.requested, "declared", "access")

    @property
    def lease_id(self) -> str:
        return _text(self.issued, "lease_id")

    @property
    def db_user(self) -> str:
        return _text(self.issued, "db_user")

    @property
    def time(self) -> float | None:
        """When the credential came on record, in epoch seconds."""
        return _epoch(_text(self.requested or self.issued or self.closed, "time"))

    @property
    def issue_time(self) -> float | None:
        return _epoch(_text(self.issued, "issue_time"))

    @property
    def expire_time(self) -> float | None:
        """When it ends by itself, in epoch seconds; `math.inf` for never."""
        text = _text(self.issued, "expire_time")
        return math.inf if text == NEVER else _epoch(text)

    @property
    def proven_time(self) -> float | None:
        return _epoch(_text(self.closed, "verified", "time"))

    @property
    def measured_by(self) -> str:
        return _text(self.closed, "privileges", "measured_by")

    @property
    def verdict(self) -> str:
        """What the last record says, in its words; "not closed" where there is none."""
        return _text(self.closed, "verdict") or "not closed"

    @property
    def proven(self) -> bool:
        """Whether a proof of death is on record, not only the word."""
        return self.verdict == "proven dead" and self.proven_time is not None

    @property
    def seconds_alive(self) -> float | None:
        """From issue to proof; without one, to expiry: an upper bound, `math.inf` for none. None: nobody knows."""
        end = self.proven_time if self.proven else self.expire_time
        return None if self.issue_time is None or end is None else end - self.issue_time


@dataclass(frozen=True)
class ChainView:
    """One file's chain. `credentials` are in the order in which they came on record."""

    file: Path
    job: Mapping[str, str]
    credentials: tuple[CredentialView, ...]
    unreadable: int  # lines that are no records


def read_chain(file: Path) -> ChainView:
    """The chain in `file`. Raises `LedgerError` where it cannot be read at all."""
    job: dict[str, str] = {}
    found: dict[str, dict[str, Record]] = {}
    unreadable = 0
    for line in stored_lines(file):
        record = _record(line)
        kind, uid = record.get("kind"), record.get("credential_uid")
        if not isinstance(kind, str):
            unreadable += 1
        elif kind == "chain.opened" and isinstance(value := record.get("job"), dict):
            job = job or {name: text for name, text in value.items() if isinstance(text, str)}
        elif kind.startswith("credential.") and isinstance(uid, str):
            found.setdefault(uid, {}).setdefault(kind, record)
    credentials = tuple(
        CredentialView(
            file,
            job,
            uid,
            records.get("credential.requested", {}),
            records.get("credential.issued", {}),
            records.get("credential.closed", {}),
        )
        for uid, records in found.items()
    )
    return ChainView(file, job, credentials, unreadable)


def read_chains(files: Iterable[Path]) -> tuple[list[ChainView], list[LedgerError]]:
    """The chains that can be read, and why the others cannot: one bad file does not hide the rest."""
    chains: list[ChainView] = []
    errors: list[LedgerError] = []
    for file in files:
        try:
            chains.append(read_chain(file))
        except LedgerError as error:  # noqa: PERF203 - it is the loop that must go on
            errors.append(error)
    return chains, errors


def unclosed(
    settings: LedgerSettings, job: Job, *, whole_run: bool = False
) -> tuple[list[CredentialView], list[LedgerError]]:
    """The credentials of this job attempt that were requested and not closed, oldest first; and what was not readable.

    `whole_run`: those of every job of this run attempt whose chain is in the ledger's folder.
    """
    mine = job_identity(job)
    if whole_run:
        del mine["job"]
    chains, errors = read_chains(chain_files(settings.path))
    alive = [
        credential
        for chain in chains
        if mine.items() <= chain.job.items()
        for credential in chain.credentials
        if not credential.closed
    ]
    return sorted(alive, key=lambda credential: credential.time or 0.0), errors


def stored_lines(file: Path) -> Iterator[bytes]:
    """The lines of `file` with their newlines; one that is longer than a record may be comes in pieces.

    Raises `LedgerError` where the file cannot be opened or read, or is none.
    """
    try:
        # A FIFO put in the place of a file must not make its reader wait.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(fd, "rb") as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise not_a_file(file)
            yield from iter(partial(stream.readline, MAX_LINE + 2), b"")
    except OSError as error:
        raise ledger_error(error, file) from None


def _record(line: bytes) -> Record:
    try:
        value = loads(line)
    except CanonicalError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(record: Record, *names: str) -> str:
    value: object = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _epoch(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except ValueError:
        return None
