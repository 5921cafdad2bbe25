"""A folder in memory for what makes thousands of files that nobody keeps: a disk's file system takes processor time for
each, four fifths of what it takes to start a server or to copy the Action."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PLACE = Path("/dev/shm")
ROOM = 2 << 30  # bytes


@contextmanager
def temporary_files_in_memory() -> Iterator[None]:
    """What `tempfile` makes in this process is in memory, where there is room for it, and programs may be run there."""
    if not _is_fit():
        yield
        return
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix="tests-", dir=PLACE))
    folder.chmod(0o755)  # PostgreSQL runs as nobody
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def _is_fit() -> bool:
    with suppress(OSError):
        said = os.statvfs(PLACE)
        return not said.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) and said.f_bavail * said.f_frsize > ROOM
    return False
