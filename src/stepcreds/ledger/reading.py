"""Reads chains back as credentials: what was requested, issued and closed, joined; it does not check the chain.

A reader of a damaged ledger still wants to see the rest, and `stepcreds revoke` must still end what is named there:
lines that are no records are counted and left out. Whether a ledger can be believed is `verify`'s to say.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from stepcreds.config.model import LedgerSettings
from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.folder import chain_files
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.record import Record, job_identity
from stepcreds.ledger.view import ChainView, CredentialView, text_of
from stepcreds.model import Job

__all__ = [
    "ChainReader",
    "ChainView",
    "CredentialView",
    "chains_of",
    "read_chain",
    "read_chains",
    "stored_lines",
    "unclosed",
    "with_lease",
]


def read_chain(file: Path) -> ChainView:
    """The chain in `file`. Raises `LedgerError` where it cannot be read at all."""
    reader = ChainReader()
    for _ in reader.beside(stored_lines(file)):
        pass
    return reader.view(file)


class ChainReader:
    """Joins the records of one chain while somebody else reads its lines: all of `beside`, then `view`."""

    def __init__(self) -> None:
        self.is_whole = False  # whether `beside` came to its end
        self._job: dict[str, str] = {}
        self._opened: Record = {}
        self._found: dict[str, dict[str, list[Record]]] = {}
        self._tokens: dict[str, list[Record]] = {}
        self._unreadable = 0
        self._closed = False

    def beside(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """`lines`, as they are."""
        for line in lines:
            self._add(_record(line))
            yield line
        self.is_whole = True

    def view(self, file: Path) -> ChainView:
        """What they say; `file` is where they stand."""
        credentials = tuple(
            CredentialView(
                file,
                self._job,
                uid,
                records.get("credential.requested", [{}])[0],
                records.get("credential.issued", [{}])[0],
                tuple(records.get("credential.closed", [])),
                tuple(records.get("credential.leaked", [])),
                records.get("credential.left", [{}])[0],
                records.get("credential.measured", [{}])[0],
                tuple(self._tokens.get(uid, [])),
            )
            for uid, records in self._found.items()
        )
        return ChainView(file, self._job, credentials, self._unreadable, self._closed, self._opened)

    def _add(self, record: Record) -> None:
        kind, uid = record.get("kind"), record.get("credential_uid")
        if not isinstance(kind, str):
            self._unreadable += 1
        elif kind == "chain.closed":
            self._closed = True
        elif kind == "chain.opened" and isinstance(value := record.get("job"), dict):
            self._opened = self._opened or record
            self._job = self._job or {name: text for name, text in value.items() if isinstance(text, str)}
        elif kind == "token.revoke_failed" and isinstance(uid, str):
            self._tokens.setdefault(uid, []).append(record)
        elif kind.startswith("credential.") and isinstance(uid, str):
            self._found.setdefault(uid, {}).setdefault(kind, []).append(record)


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


def chains_of(
    settings: LedgerSettings, job: Job, *, whole_run: bool = False, by_environment: bool = False
) -> tuple[list[ChainView], list[LedgerError]]:
    """The chains of this job attempt in the ledger's folder; and why a chain could not be read.

    `whole_run`: those of every job of this run attempt. A leg of a matrix leaves the other legs alone: they run at the
    same time, and what they hold is in use. `by_environment`: nobody asked for an identity, so that `job` does not know
    its issuer.
    """
    mine = job_identity(job)
    if whole_run:
        del mine["job"]
    if by_environment:
        del mine["iss"]
    chains, errors = read_chains(chain_files(settings.path))
    return [chain for chain in chains if mine.items() <= chain.job.items() and not _another_leg(job, chain)], errors


def unclosed(
    settings: LedgerSettings, job: Job, *, whole_run: bool = False, by_environment: bool = False
) -> tuple[list[CredentialView], list[LedgerError]]:
    """The credentials in `chains_of` this job that may be alive, oldest first; and why a chain could not be read.

    They are those that were requested and not closed, and those whose closing tried to end them and has no proof.
    """
    chains, errors = chains_of(settings, job, whole_run=whole_run, by_environment=by_environment)
    left = [
        credential
        for chain in chains
        for credential in chain.credentials
        if text_of(credential.closed, "revoke", "status") not in ("not_issued", "impossible") and not credential.proven
    ]
    return sorted(left, key=lambda credential: credential.time or 0.0), errors


def _another_leg(job: Job, chain: ChainView) -> bool:
    return bool(job.matrix and chain.job.get("matrix")) and chain.job.get("job") != job_identity(job)["job"]


def with_lease(settings: LedgerSettings, lease_id: str) -> CredentialView | None:
    """The credential of that lease, in whichever chain of the ledger's folder it is on record; None: in none."""
    chains, _ = read_chains(chain_files(settings.path))
    credentials = (credential for chain in chains for credential in chain.credentials)
    return next((credential for credential in credentials if credential.lease_id == lease_id != ""), None)


def stored_lines(file: Path) -> Iterator[bytes]:
    """The lines of `file` with their newlines; one that is longer than a record may be comes in pieces.

    A file may have holes, of exabytes: they are not read, and of each that is in a line only the first piece comes.
    Raises `LedgerError` where the file cannot be opened or read, or is none.
    """
    try:
        # A FIFO put in the place of a file must not make its reader wait.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(fd, "rb") as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise not_a_file(file)
            for piece in iter(partial(stream.readline, MAX_LINE + 2), b""):
                yield piece
                if not piece.strip(b"\0"):
                    _pass_hole(stream)
    except OSError as error:
        raise ledger_error(error, file) from None


def _pass_hole(stream: BinaryIO) -> None:
    """Go on where the file has data again, or to its end. Raises OSError."""
    fd = stream.fileno()
    ahead = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        data = os.lseek(fd, stream.tell(), os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # no data any more
            raise
        data = os.fstat(fd).st_size
    os.lseek(fd, ahead, os.SEEK_SET)  # where the buffer of `stream` believes it to be
    stream.seek(data)


def first_record(file: Path) -> Record:
    """The first line of `file`; {} where it is no record. Raises `LedgerError`."""
    return _record(next(stored_lines(file), b""))


def _record(line: bytes) -> Record:
    try:
        value = loads(line)
    except CanonicalError:
        return {}
    return value if isinstance(value, dict) else {}
