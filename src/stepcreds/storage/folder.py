"""A folder of copies, as if it were a store: it keeps no versions, and is read alone."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from stepcreds.clock import rfc3339
from stepcreds.config.store_url import StoreURL
from stepcreds.storage.fault import Kind, StoreFault
from stepcreds.storage.store import Version

# What a copy, or a fetching, that was killed left there (ledger/push.py, pull.py).
_PART = re.compile(r"\..+\.[0-9a-f]{8}")  # a file
_PARTS = ".stepcreds-pull"  # a folder of them, in the one that was fetched into
_ERRORS: dict[int, Kind] = {
    errno.ENOENT: "gone",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ELOOP: "no-file",
}
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Folder:
    """See `store.Store`; nothing is created through it."""

    def __init__(self, url: StoreURL) -> None:
        self._folder = Path(url.bucket)

    async def create(self, key: str, data: bytes) -> None:
        raise StoreFault("unsupported")

    async def read(self, key: str, version: str, start: int, end: int) -> bytes:
        try:
            fd = os.open(self._folder / key, os.O_RDONLY | _SAFELY)
            with os.fdopen(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise StoreFault("no-file")
                file.seek(start)
                return file.read(end - start)
        except OSError as error:
            raise _fault(error) from None

    async def versions(self, prefix: str) -> AsyncIterator[Version]:
        try:
            for path, info in _files(self._folder):
                key = str(path.relative_to(self._folder))
                if key.startswith(prefix):
                    # What is no file is no folder's either: reading it says so.
                    size = info.st_size if info is not None and stat.S_ISREG(info.st_mode) else 1
                    time = f"{rfc3339(info.st_mtime)[:19]}Z" if info is not None else ""
                    yield Version(key, "", (0.0, 0), time, size, current=True)
        except OSError as error:
            raise _fault(error) from None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """All that is in it, however deep, but folders that can be searched; None: nobody can look at it. Links are not
    followed. Raises OSError where it cannot be searched itself."""
    with os.scandir(folder) as found:
        waiting = [entry for entry in found if entry.name != _PARTS]
    while waiting:
        entry = waiting.pop()
        try:
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                with os.scandir(entry.path) as found:
                    waiting += found
            elif not _PART.fullmatch(entry.name):
                yield Path(entry.path), info
        except FileNotFoundError:  # since it was listed
            continue
        except OSError:
            yield Path(entry.path), None


def _fault(error: OSError) -> StoreFault:
    number = error.errno or 0
    return StoreFault(_ERRORS.get(number, "refused"), "" if number == errno.ELOOP else errno.errorcode.get(number, ""))
