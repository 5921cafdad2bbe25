"""One ledger file on disk: opened safely, locked, its tail read, its end extended; it knows lines, not records.

Each append opens the file anew. A lock made with flock(2) belongs to the open file description, which the two halves
of a forked pair would share: only a description of its own keeps one half out while the other writes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.errors import LedgerError
from stepcreds.ledger.faults import damaged, ledger_error, not_a_file
from stepcreds.ledger.folder import sync_folder
from stepcreds.ledger.link import MAX_LINE

# Two hundred steps of one job on a busy machine wait for each other, not for a failure.
LOCK_WAIT = 30.0  # seconds
LOCK_PAUSE = 0.01  # seconds

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Tail(NamedTuple):
    """The end of a file."""

    length: int  # bytes, up to and with the last newline
    last: bytes  # the last whole line, without its newline; empty where there is none
    torn: bytes  # what stands after the last newline: a write that nobody was told had succeeded


class LedgerFile:
    """A ledger file, locked between `__enter__` and `__exit__`.

    Raises `LedgerError` where it is not a regular file of this user, where the lock is not to be had within
    `wait` seconds, and where the file was removed meanwhile. `create` makes a missing file, 0600.
    """

    def __init__(self, path: Path, clock: Clock, *, create: bool = False, wait: float = LOCK_WAIT) -> None:
        self.path = path
        self._clock = clock
        self._wait = wait
        self._flags = os.O_RDWR | os.O_APPEND | _SAFELY | (os.O_CREAT if create else 0)
        self._fd = -1

    def __enter__(self) -> LedgerFile:
        try:
            self._fd = os.open(self.path, self._flags, 0o600)
        except OSError as error:
            raise ledger_error(error, self.path) from None
        try:
            self._require_own_file()
            self._undo_umask()
            self._lock()
            self._require_still_there()
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)  # which also unlocks it

    def tail(self) -> Tail:
        """The end of the file. Reads at most two lines' length, and raises `LedgerError` where no line ends in it."""
        size = os.fstat(self._fd).st_size
        for window in (8192, 2 * (MAX_LINE + 1)):
            start = max(0, size - window)
            try:
                data = os.pread(self._fd, size - start, start)
            except OSError as error:
                raise ledger_error(error, self.path) from None
            end = data.rfind(b"\n") + 1
            begin = data.rfind(b"\n", 0, max(0, end - 1)) + 1
            if start == 0 or begin > 0:
                return Tail(start + end, data[begin : max(0, end - 1)], data[end:])
        raise damaged(self.path)

    def first(self) -> bytes:
        """The first line, without its newline. Raises `LedgerError`."""
        try:
            return os.pread(self._fd, MAX_LINE + 1, 0).partition(b"\n")[0]
        except OSError as error:
            raise ledger_error(error, self.path) from None

    def append(self, data: bytes, tail: Tail) -> None:
        """Put whole lines at the end, in place of what is torn there, and on the disk before returning.

        Where that fails no whole line is left behind, and a `LedgerError` raised.
        """
        try:
            self._write(data, tail)
            if tail.length == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            raise ledger_error(error, self.path) from None

    def keep_aside(self, torn: bytes) -> str:
        """Write `torn` to a file of its own beside this one, 0600. Returns that file's name."""
        kept = self.path.with_name(f"{self.path.name}.torn-{hashlib.sha256(torn).hexdigest()[:12]}")
        try:
            # Left by a writer that was killed between this and the append.
            kept.unlink(missing_ok=True)
            fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
            try:
                _write_all(fd, torn)
                os.fsync(fd)
            finally:
                os.close(fd)
            sync_folder(kept.parent)
        except OSError as error:
            raise ledger_error(error, kept) from None
        return kept.name

    def _write(self, data: bytes, tail: Tail) -> None:
        if tail.torn:
            self._overwrite(data, tail)
            return
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except BaseException:
            os.ftruncate(self._fd, tail.length)
            raise

    def _overwrite(self, data: bytes, tail: Tail) -> None:
        # In place, not cut and then appended: killed at any point in between, the file still ends in a torn line,
        # and the next append puts that on record.
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        os.lseek(self._fd, tail.length, os.SEEK_SET)
        _write_all(self._fd, data)
        os.ftruncate(self._fd, tail.length + len(data))
        os.fsync(self._fd)

    def _require_own_file(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise not_a_file(self.path)
        if status.st_nlink > 1:
            raise LedgerError(
                f"The ledger file {self.path} has {status.st_nlink} names: it is a hard link",
                cause="Somebody linked another file there, which would be written to; or the ledger's folder was "
                "copied with hard links.",
                fix="Look at the file, and remove it from the folder; or copy it in place of the link: cp FILE NEW && "
                "mv NEW FILE",
                docs="ledger",
            )
        if status.st_uid != os.geteuid():
            raise LedgerError(
                f"The ledger file {self.path} belongs to user {status.st_uid}; this step runs as user {os.geteuid()}",
                cause="An earlier step ran as another user (a container, sudo), or somebody put the file there.",
                fix="Run the steps of a job as one user, or give each user its own ledger.path in stepcreds.yml.",
                docs="ledger",
            )

    def _undo_umask(self) -> None:
        """What a umask took of a new file's mode is given back: the next append opens it again, perhaps not as root."""
        status = os.fstat(self._fd)
        if status.st_size == 0 and stat.S_IMODE(status.st_mode) & 0o600 != 0o600:
            try:
                os.fchmod(self._fd, 0o600)
            except OSError as error:
                raise ledger_error(error, self.path) from None

    def _require_still_there(self) -> None:
        if os.fstat(self._fd).st_nlink == 0:
            raise ledger_error(FileNotFoundError(errno.ENOENT, ""), self.path)

    def _lock(self) -> None:
        deadline = self._clock.monotonic() + self._wait
        while not self._locked():
            if self._clock.monotonic() >= deadline:
                raise LedgerError(
                    f"The ledger file {self.path} was locked by {_holder(self._fd)} for {self._wait:.0f} s",
                    cause="Another step of the same job writes to it, or was stopped while it did.",
                    fix="End or resume that process, and run the step again.",
                    docs="ledger",
                )
            self._clock.sleep(LOCK_PAUSE)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ledger_error(error, self.path) from None
        return True


def _holder(fd: int) -> str:
    # proc_locks(5): "1: FLOCK ADVISORY WRITE 1234 08:01:5678 0 EOF"
    try:
        with Path("/proc/locks").open(encoding="ascii", errors="replace") as locks:
            rows = [line.split() for line in locks if "FLOCK" in line and "->" not in line]
    except OSError:
        rows = []
    inode = f":{os.fstat(fd).st_ino}"
    pids = [row[4] for row in rows if len(row) > 5 and row[5].endswith(inode)]
    return f"process {pids[0]}" if pids else "another process"


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
