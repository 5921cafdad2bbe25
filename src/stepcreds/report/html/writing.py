"""Puts a page where it is asked for: whole or not at all, and over nothing but an earlier page of stepcreds."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from stepcreds.errors import UsageError
from stepcreds.printable import one_line

OURS = b'<meta name="generator" content="stepcreds '
HEAD = 4096  # bytes, among which that stands


def require_place(path: Path, *, force: bool) -> None:
    """Raises `UsageError` where something is at `path` that is to stay. With `force` any regular file may go."""
    try:
        status = path.lstat()
        ours = stat.S_ISREG(status.st_mode) and (force or _is_ours(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_written(path, error) from None
    if not ours:
        raise UsageError(
            f"{one_line(str(path))} is there already, and is no report of stepcreds",
            fix="Name another file with --output"
            + (", or replace it with --force." if stat.S_ISREG(status.st_mode) else "."),
            docs="ledger-report",
        )


def write(path: Path, pieces: Iterable[str], *, force: bool) -> None:
    """Write the page, and put it in the place of an earlier one. Raises `UsageError`."""
    require_place(path, force=force)
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(pieces)
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise _not_written(path, error) from None


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return OURS in file.read(HEAD)


def _not_written(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"The report cannot be written to {one_line(str(path))}: {error.strerror or error}",
        fix="Name another file with --output, or a folder that this user may write to.",
        docs="ledger-report",
    )
