"""The files that the command created or changed, looked through for its credential: within bounds, changing nothing.

What is looked at: regular files by the time of their last change, which a command cannot set back; no link is followed.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.leaks.search import Search
from stepcreds.model import Leak

# Where clients and shells keep what they were told, below the home folder.
HOME_FILES = (
    *(".pgpass", ".pg_service.conf", ".psqlrc", ".psql_history", ".my.cnf", ".mysql_history", ".mariadb_history"),
    *(".env", ".netrc", ".git-credentials", ".gitconfig", ".npmrc", ".pypirc", ".dbshell", ".rediscli_history"),
    *(".bashrc", ".bash_profile", ".bash_history", ".profile", ".zshrc", ".zshenv", ".zsh_history"),
    *(".aws/credentials", ".aws/config", ".azure/credentials", ".docker/config.json", ".kube/config"),
    *(".config/gh/hosts.yml", ".config/pip/pip.conf", ".ssh/config", ".ssh/environment"),
)
# Folders full of other people's files, looked into when the rest has been seen.
_LAST = frozenset({"node_modules", ".git", ".venv", "venv", "vendor", "target", "__pycache__"})
_COMPRESSED = (".git", "objects")  # nothing can be found there as text
_SLACK = 1.0  # seconds; times of files are coarser than the clock, and those of a network file system another machine's
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Bounds(NamedTuple):
    """How much looking a step can afford."""

    seconds: float = 1.0
    file: int = 1 << 20  # bytes of each file, from its start
    total: int = 64 << 20  # bytes
    leaks: int = 20


class Seen(NamedTuple):
    """What came of looking."""

    leaks: tuple[Leak, ...] = ()
    cut: str = ""  # which bound ended it, in words; "" if none did
    partly: int = 0  # files of which only the start was looked at
    unread: int = 0  # files and folders that could not be read


class Places(NamedTuple):
    """Where to look; all of these are absolute, and lead through no link."""

    folders: Sequence[str]
    home: str  # "" where nobody knows it
    spared: frozenset[str] = frozenset()  # files and folders that are not looked at


def look(
    places: Places,
    search: Search,
    since: float,
    *,
    clock: Clock,
    is_cancelled: Callable[[], object],
    bounds: Bounds | None = None,
) -> Seen:
    """What `search` finds in the files at `places` that changed after `since` (epoch seconds). Raises nothing."""
    walk = _Walk(places, search, since - _SLACK, clock, is_cancelled, bounds or Bounds())
    try:
        walk.run()
    except _OverError as over:
        walk.cut = str(over)
    return Seen(tuple(walk.leaks), walk.cut, walk.partly, walk.unread)


class _OverError(Exception):
    """A bound was reached."""


class _Walk:
    def __init__(
        self,
        places: Places,
        search: Search,
        since: float,
        clock: Clock,
        is_cancelled: Callable[[], object],
        bounds: Bounds,
    ) -> None:
        self.leaks: list[Leak] = []
        self.cut = ""
        self.partly = 0
        self.unread = 0
        self._places = places
        self._search = search
        self._since = since
        self._clock = clock
        self._is_cancelled = is_cancelled
        self._bounds = bounds
        self._deadline = clock.monotonic() + bounds.seconds
        self._left = bounds.total

    def run(self) -> None:
        if self._places.home:
            for name in HOME_FILES:
                path = f"{self._places.home}/{name}"
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                self._file(path, path, None, status)
        for path in self._folders():
            self._folder(path)

    def _folders(self) -> Iterator[str]:
        """Every folder, those nearest to the top first; `_folder` puts what it finds into the queues."""
        self._queue = deque(self._places.folders)
        self._later: deque[str] = deque()
        visited = set(self._places.spared)
        while self._queue or self._later:
            path = (self._queue or self._later).popleft()
            if path not in visited:
                visited.add(path)
                yield path

    def _folder(self, path: str) -> None:
        try:
            fd = os.open(path, _FOLDER)
        except FileNotFoundError:
            return
        except OSError:
            self.unread += 1
            return
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self._go_on()
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if not stat.S_ISDIR(status.st_mode):
                        self._file(f"{path}/{entry.name}", entry.name, fd, status)
                    elif (os.path.basename(path), entry.name) != _COMPRESSED:  # noqa: PTH119
                        queue = self._later if entry.name in _LAST else self._queue
                        queue.append(f"{path}/{entry.name}")
        except OSError:
            self.unread += 1
        finally:
            os.close(fd)

    def _file(self, path: str, name: str, folder: int | None, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_ctime < self._since or path in self._places.spared:
            return
        if self._left <= 0:
            raise _OverError(f"{self._bounds.total >> 20} MiB were looked at")
        self.leaks += self._search.in_name(path)
        try:
            text = _beginning(name, folder, min(self._bounds.file, self._left))
        except OSError:
            self.unread += 1
            return
        self._left -= len(text)
        self.partly += len(text) < status.st_size
        if self._search.occurs_in(text):
            self.leaks += self._search.find(text, self._search.shown(path), removed=False)
        if len(self.leaks) >= self._bounds.leaks:
            raise _OverError(f"{self._bounds.leaks} places were found")

    def _go_on(self) -> None:
        if self._is_cancelled():
            raise _OverError("the step was cancelled")
        if self._clock.monotonic() > self._deadline:
            raise _OverError(f"{self._bounds.seconds:g} s were up")


def _beginning(name: str, folder: int | None, most: int) -> bytes:
    fd = os.open(name, _READ, dir_fd=folder)  # non-blocking: should it be a pipe by now, nobody waits for it
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)
