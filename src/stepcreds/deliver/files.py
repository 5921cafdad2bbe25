"""The private folder of a step: 0700, on a tmpfs where there is one, with files of 0600; gone when the step is."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from stepcreds.errors import DeliveryError
from stepcreds.model import DeliveredFile

# What a place must have room for before anything is issued: more than a credential's files take.
ROOM = 64 * 1024  # bytes
# What a command may have made in our folder and still be cleared away after it.
DEEPEST = 32  # folders below each other
MOST = 100_000  # files and folders


def make_folder(environment: Mapping[str, str], announce: Callable[[str], None] = lambda path: None) -> str:
    """A new, empty folder that only this user can enter; memory rather than disk where the machine offers it.

    `announce` is told the path before there is anything at it, so that whoever is left can remove it after a SIGKILL at
    any point. Files can be written in it at this moment. Raises `DeliveryError` where there is no such place.
    """
    places = [environment.get("XDG_RUNTIME_DIR", ""), "/dev/shm", environment.get("TMPDIR", ""), "/tmp"]  # noqa: S108
    failures: list[str] = []
    # A relative TMPDIR would put the folder into the workspace, which is kept and uploaded.
    for place in dict.fromkeys(place for place in places if place.startswith("/")):
        path = f"{place.rstrip('/')}/stepcreds-{os.urandom(8).hex()}"
        announce(path)
        try:
            _make_private(path)
            _try_out(path)
        except OSError as error:
            failures.append(f"{place}: {error.strerror}")
            remove_folder(path)
        else:
            return path
    raise DeliveryError(
        "There is no place for the step's private folder",
        cause="; ".join(failures),
        fix="Make $TMPDIR or /dev/shm a folder that this user can write to, with room for a few files.",
        docs="delivery",
    )


def _make_private(path: str) -> None:
    os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib is not needed on this path
    os.chmod(path, 0o700)  # noqa: PTH101 - whatever the umask took of it


def _try_out(folder: str) -> None:
    """Raises `OSError` where no file of `ROOM` bytes can be written: a full tmpfs still makes folders."""
    path = f"{folder}/room"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        left = ROOM
        while left:
            left -= os.write(fd, bytes(left))
    finally:
        os.close(fd)
        os.unlink(path)  # noqa: PTH108


def write_files(folder: str, files: Iterable[DeliveredFile]) -> None:
    """Write `files`, all of them new, below `folder`. Raises `DeliveryError`."""
    for file in files:
        try:
            _make_folders(folder, os.path.dirname(file.path))  # noqa: PTH120
            fd = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as stream:  # noqa: PTH123
                os.fchmod(fd, 0o600)  # whatever the umask took of it
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
        _make_private(path)


def remove_folder(folder: str) -> list[str]:
    """Remove `folder` with all that the command may have put there; what could not be removed, best first.

    Follows no symbolic link: a link is removed, never what it points to.
    """
    removal = _Removal()
    removal.remove(folder, 0)
    return removal.left


class _Removal:
    """One walk through a folder, with an end: a command could have filled the folder with anything."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self._seen = 0

    def remove(self, path: str, depth: int) -> None:
        self._seen += 1
        try:
            if depth < DEEPEST and self._seen < MOST and stat.S_ISDIR(os.lstat(path).st_mode):
                os.chmod(path, 0o700)  # noqa: PTH101 - the command may have taken its own rights away
                with os.scandir(path) as entries:
                    names = [entry.name for entry in islice(entries, MOST - self._seen)]
                for name in names:
                    self.remove(f"{path}/{name}", depth + 1)
                os.rmdir(path)  # noqa: PTH106
            else:
                os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            pass
        except OSError:
            self.left.append(path)
