"""The private folder of a step: 0700, on a tmpfs where there is one, with files of 0600; gone when the step is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from stepcreds.errors import DeliveryError
from stepcreds.model import DeliveredFile

DEEPEST = 32  # folders below each other that a command may have made in ours


def make_folder(environment: Mapping[str, str]) -> str:
    """A new, empty folder that only this user can enter; memory rather than disk where the machine offers it.

    Raises `DeliveryError` where none can be made.
    """
    places = [environment.get("XDG_RUNTIME_DIR", ""), "/dev/shm", environment.get("TMPDIR", ""), "/tmp"]  # noqa: S108
    failure = ""
    for place in places:
        # A relative TMPDIR would put the folder into the workspace, which is kept and uploaded.
        if not place.startswith("/"):
            continue
        path = f"{place.rstrip('/')}/stepcreds-{os.urandom(8).hex()}"
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib is not needed on this path
        except OSError as error:
            failure = f"{place}: {error.strerror}"
        else:
            return path
    raise DeliveryError(
        "There is no place for the step's private folder",
        cause=failure,
        fix="Make $TMPDIR or /dev/shm a folder that this user can write to.",
        docs="delivery",
    )


def write_files(folder: str, files: Iterable[DeliveredFile]) -> None:
    """Write `files`, all of them new, below `folder`. Raises `DeliveryError`."""
    for file in files:
        try:
            _make_folders(folder, os.path.dirname(file.path))  # noqa: PTH120
            fd = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as stream:  # noqa: PTH123
                stream.write(file.content.reveal().encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise DeliveryError(
                f"The file {file.path.removeprefix(folder + '/')} cannot be written: {error.strerror}",
                fix="Look at the space and the limits of the file system that holds the step's private folder.",
                docs="delivery",
            ) from None


def _make_folders(folder: str, path: str) -> None:
    """All below `folder` down to `path`, each 0700: ssh and gpg look at the folder that a file is in."""
    if path != folder and not os.path.isdir(path):  # noqa: PTH112
        _make_folders(folder, os.path.dirname(path))  # noqa: PTH120
        os.mkdir(path, 0o700)  # noqa: PTH102


def remove_folder(folder: str) -> list[str]:
    """Remove `folder` with all that the command may have put there; what could not be removed, best first.

    Follows no symbolic link: a link is removed, never what it points to.
    """
    left: list[str] = []
    _remove(folder, left, 0)
    return left


def _remove(path: str, left: list[str], depth: int) -> None:
    try:
        if depth < DEEPEST and stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o700)  # noqa: PTH101 - the command may have taken its own rights away
            for name in os.listdir(path):  # noqa: PTH208 - as above
                _remove(f"{path}/{name}", left, depth + 1)
            os.rmdir(path)  # noqa: PTH106
        else:
            os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        pass
    except OSError:
        left.append(path)
