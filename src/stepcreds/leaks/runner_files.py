"""The files that the CI's runner reads when a step has ended: what the command left there of its credential goes.

The command may have put anything in their place. Nothing is read but a regular file that lies where it lay before, and
nothing is written through a link: a new file takes the place of the old one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from stepcreds.leaks.search import Search
from stepcreds.model import Leak

# Sixteen times what GitHub takes as a summary or as outputs; more variables than an environment can hold.
LARGEST = 16 * 1024 * 1024  # bytes

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MODE = 0o644  # as the runner makes them


class RunnerFile(NamedTuple):
    """One of these files, as it was before the command."""

    name: str  # of the variable that holds its path
    path: str
    real: str  # where `path` led


class Misplaced(NamedTuple):
    """One of these files that cannot be looked through."""

    name: str
    what: str  # "is a symbolic link now"
    failure: str  # why it could not be emptied, "" if it was


class Cleaned(NamedTuple):
    """What came of looking."""

    leaks: tuple[Leak, ...] = ()
    misplaced: tuple[Misplaced, ...] = ()


def clean(files: Iterable[RunnerFile], search: Search) -> Cleaned:
    """Take out of `files` all that `search` finds. What cannot be looked through is emptied. Raises nothing."""
    leaks: list[Leak] = []
    misplaced: list[Misplaced] = []
    for file in files:
        found: list[Leak] = []
        try:
            text, status = _read(file)
            if search.occurs_in(text):
                found = search.find(text, file.name, removed=True)
                _put(file, search.without(text), status)
        except FileNotFoundError:
            pass  # the runner finds nothing either
        except (_UnfitError, OSError) as error:
            failure = _empty(file)
            found = [leak._replace(removed=not failure) for leak in found]
            what = error.what if isinstance(error, _UnfitError) else f"cannot be read: {error.strerror}"
            misplaced.append(Misplaced(file.name, what, failure))
        leaks += found
    return Cleaned(tuple(leaks), tuple(misplaced))


class _UnfitError(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def _read(file: RunnerFile) -> tuple[bytes, os.stat_result]:
    if os.path.realpath(file.path) != file.real or os.path.islink(file.real):  # noqa: PTH114
        raise _UnfitError("is a symbolic link now" if os.path.islink(file.path) else "leads elsewhere now")  # noqa: PTH114
    fd = os.open(file.real, _READ)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _UnfitError("is no regular file any more")
        with open(fd, "rb", closefd=False) as stream:  # noqa: PTH123 - pathlib has no O_NOFOLLOW
            text = stream.read(LARGEST + 1)
    finally:
        os.close(fd)
    if len(text) > LARGEST:
        raise _UnfitError(f"is larger than {LARGEST >> 20} MiB")
    return text, status


def _put(file: RunnerFile, text: bytes, status: os.stat_result) -> None:
    try:
        _replace(file.real, text, status)
    except OSError:
        _overwrite(file, text)


def _replace(path: str, text: bytes, status: os.stat_result | None) -> None:
    """Put a new file with `text` in the place of whatever is at `path`, with the mode and the owner of `status`."""
    new = f"{path}.{os.urandom(8).hex()}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as stream:  # noqa: PTH123
            if status is not None:
                with suppress(OSError):  # in a container: the runner's user, who is another
                    os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o777 if status is not None else _MODE)
            stream.write(text)
        os.rename(new, path)  # noqa: PTH104
    except OSError:
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108
        raise


def _overwrite(file: RunnerFile, text: bytes) -> None:
    """Where no new file can be made (a folder of another user, a file that is mounted): the old one, if it is alone.

    `text` is shorter than what was there: this works on a full disk. Raises `_UnfitError` where it cannot be done.
    """
    try:
        fd = os.open(file.real, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "wb", buffering=0) as stream:  # noqa: PTH123
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise _UnfitError("holds the credential, and is one with a file elsewhere (a hard link)")
            left = memoryview(text)
            while left:
                left = left[stream.write(left) :]
            os.ftruncate(fd, len(text))
    except OSError as error:
        raise _UnfitError(f"holds the credential, and cannot be written: {error.strerror}") from None


def _empty(file: RunnerFile) -> str:
    """Put an empty file in its place; why that failed, "" if it did not."""
    try:
        try:
            _replace(file.path, b"", None)
        except PermissionError:
            folder = os.path.dirname(file.path)  # noqa: PTH120
            # The command may have taken our own rights to it away.
            os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | stat.S_IRWXU)  # noqa: PTH101, PTH116
            _replace(file.path, b"", None)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
