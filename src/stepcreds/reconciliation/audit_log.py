"""Reads audit logs from end to end: what concerns a scope, and which time they cover; memory does not grow with the
rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from stepcreds.reconciliation.audit_entry import entry_of
from stepcreds.reconciliation.audit_file import pieces, size
from stepcreds.reconciliation.coverage import Coverage, Extent, Period
from stepcreds.reconciliation.scope import Scope
from stepcreds.reconciliation.sieve import Sieve
from stepcreds.reconciliation.vault_side import VaultSide

_TRIES = 100  # lines at either end of a piece that may be none of Vault's

Progress = Callable[[str, int], object]  # file, bytes of it that are read by now


@dataclass
class ReadFile:
    """One file of an audit log."""

    name: str
    lines: int = 0
    unreadable: int = 0  # of the lines that were to be read as JSON
    torn: bool = False  # it ends in the middle of a line, or of its compression
    periods: Sequence[Period] = ()  # none: there is no line of an audit log in it


@dataclass
class AuditLog:
    """All files together."""

    vault: VaultSide
    files: list[ReadFile] = field(default_factory=list)

    @property
    def coverage(self) -> Coverage:
        return Coverage(period for file in self.files for period in file.periods)


def read_audit(files: Iterable[str], scope: Scope, progress: Progress = lambda _file, _read: None) -> AuditLog:
    """What is in `files` (see `audit_file.audit_files`). Raises `UsageError` for one that cannot be read."""
    log = AuditLog(VaultSide(scope))
    # One that was asked for by name may have other tokens than those that say their role.
    sieve = Sieve(scope.issuing, scope.others, roles=scope.roles, leases=bool(scope.wanted.roles))
    for name in sorted(files, key=_beginning):
        log.files.append(_read(name, sieve, log.vault, progress))
    return log


def _read(name: str, sieve: Sieve, vault: VaultSide, progress: Progress) -> ReadFile:
    file, extent = ReadFile(name), Extent()
    for piece in pieces(name):
        _see(piece.data, extent)
        for number, line in sieve.lines(piece.data, file.lines + 1):
            entry = entry_of(line, name, number)
            if entry is not None:
                vault.take(entry)
            elif line.strip():
                file.unreadable += 1
        file.lines += piece.data.count(b"\n")
        file.torn = piece.torn
        progress(name, piece.read)
    file.periods = extent.periods
    return file


def _beginning(name: str) -> float:
    """The time of the first entry; what cannot be asked twice, or has none, comes first."""
    if not size(name):
        return 0.0
    extent = Extent()
    _see(next(pieces(name)).data, extent)
    return extent.periods[0].start if extent.periods else 0.0


def _see(data: bytes, extent: Extent) -> None:
    """The times of the first and the last entry in `data`."""
    start, end = 0, len(data)
    for _ in range(_TRIES):
        after = data.find(b"\n", start) + 1 or len(data)
        if entry := entry_of(data[start:after], "", 0):
            extent.saw(entry.time)
            break
        start = after
    for _ in range(_TRIES):
        before = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        if entry := entry_of(data[before:end], "", 0):
            extent.saw(entry.time)
            break
        end = before
