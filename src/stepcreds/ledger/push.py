"""Copies a chain out of the job's reach, into a folder where nothing is ever overwritten; it knows no other place.

Beside the chain a file of the same name and `.pushed` keeps the hash of what was copied last, so that the several ends
of one job (a `post` for each use of the Action) do not copy the same again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from stepcreds.errors import LedgerError
from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.folder import make_folder

LONGEST = 64 * 1024 * 1024  # bytes; a record is about 1,000
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def content(file: Path) -> bytes:
    """What the chain in `file` is now. Raises `LedgerError`."""
    data = _read(file)
    if len(data) > LONGEST:
        raise LedgerError(
            f"The ledger file {file} is larger than {LONGEST // 1024 // 1024} MiB, which is no job's",
            docs="ledger-push",
        )
    return data


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_pushed(file: Path, data: bytes) -> bool:
    """Whether `data` is what was copied last."""
    try:
        return _read(_note(file)) == digest(data).encode()
    except LedgerError:
        return False


def note_pushed(file: Path, data: bytes) -> None:
    """`data` has been copied. Where that cannot be kept, it is copied once more."""
    note = _note(file)
    with suppress(OSError):
        note.unlink(missing_ok=True)
        _create(note, digest(data).encode())


def push_to_folder(name: str, data: bytes, folder: Path) -> Path:
    """`data` as a new file `name` in `folder`; its path. The same file there with the same in it will do.

    Raises `LedgerError`; where a file of that name holds something else, `data` stands beside it under another name.
    """
    make_folder(folder)
    path = folder / name
    if _is_or_becomes(path, data):
        return path
    stem, _, suffix = name.rpartition(".")
    other = folder / f"{stem}.{digest(data)[:12]}.{suffix}"
    if not _is_or_becomes(other, data):
        raise ledger_error(FileExistsError(17, "two files of that name hold something else"), other)
    raise LedgerError(
        f"{path} holds another ledger than this job's; this one was copied to {other.name} beside it",
        cause="The job went on after its ledger had been copied; or somebody else put a file there under that name.",
        fix="Compare the two: stepcreds ledger verify names what was changed.",
        docs="ledger-push",
    )


def _is_or_becomes(path: Path, data: bytes) -> bool:
    try:
        _create(path, data)
    except FileExistsError:
        return _read(path) == data
    except OSError as error:
        raise ledger_error(error, path) from None
    return True


def _create(path: Path, data: bytes) -> None:
    """A new file, whole and on the disk, or none. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
    try:
        rest = data
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | _SAFELY)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise not_a_file(path)
            return file.read(LONGEST + 1)
    except OSError as error:
        raise ledger_error(error, path) from None


def _note(file: Path) -> Path:
    return file.with_name(file.name + ".pushed")
