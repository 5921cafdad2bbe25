"""What the operating system says about a ledger's file or folder, as the one error that leaves the ledger."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from stepcreds.errors import LedgerError

Place = Literal["ledger.path", "ledger.push"]


def damaged(path: Path) -> LedgerError:
    """The error for a file whose last line no stepcreds has written."""
    return LedgerError(
        f"The ledger file {path} does not end with a record of a ledger",
        cause="Something else has written to it.",
        fix=f"Run `stepcreds ledger verify {path}`, keep the file as evidence, and move it out of the folder.",
        docs="ledger",
    )


def not_a_file(path: Path) -> LedgerError:
    """The error for a FIFO, a folder or a device where a ledger file should be."""
    return ledger_error(IsADirectoryError(errno.EISDIR, ""), path)


def ledger_error(error: OSError, path: Path, key: Place = "ledger.path") -> LedgerError:
    """What the operating system said about `path`, with what to do about it; `key` names it in stepcreds.yml."""
    what, cause, fix = _CAUSES.get(error.errno or 0, ("", "", ""))
    return LedgerError(
        f"The ledger cannot use {path}: {what or error.strerror or type(error).__name__}",
        cause=cause,
        fix=(fix or _ANOTHER[key]).format(key=key),
        docs="ledger",
    )


# A copy may well be on a disk of the network; locks of a ledger are not kept on each of those.
_ANOTHER: Mapping[Place, str] = {
    "ledger.path": "Set {key} in stepcreds.yml to a folder on a local disk that this user can write to.",
    "ledger.push": "Set {key} in stepcreds.yml to a folder that this user can write to.",
}
_FULL = ("the disk is full", "", "Make room on that disk, or set {key} in stepcreds.yml to a folder on another.")
_DENIED = ("this user may not", "The folder or the file belongs to another user, or its mode forbids writing.", "")
_NOT_A_FILE = ("it is not a regular file", "Something else was put in its place.", "Look at what it is, and remove it.")
# By errno.
_CAUSES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: (
        "the file may not grow any further",
        "A limit on the size of files (ulimit -f) is set.",
        "Raise the limit.",
    ),
    errno.EROFS: ("the disk is read-only", "", ""),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOENT: (
        "it is gone",
        "Something removed it: a checkout with `clean: true`, say, deletes ignored folders of the workspace.",
        "Set {key} in stepcreds.yml to a folder outside the workspace.",
    ),
    errno.ELOOP: ("it is a symbolic link", _NOT_A_FILE[1], _NOT_A_FILE[2]),
    errno.EISDIR: _NOT_A_FILE,
    errno.ENXIO: _NOT_A_FILE,
    errno.ENOTDIR: ("a part of that path is not a folder", "", ""),
}
