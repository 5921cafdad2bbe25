"""What runs on this machine, from /proc, and waiting for processes that are not our children to end."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path


def children() -> dict[int, list[int]]:
    """Process id -> its children's, of the whole machine."""
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.setdefault(int(fields[1]), []).append(int(folder.name))
    return found


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first."""
    tree = children()
    found: list[int] = []
    waiting = list(tree.get(pid, []))
    while waiting:
        found.append(waiting[0])
        waiting += tree.get(waiting.pop(0), [])
    return found


def names(pids: list[int]) -> set[str]:
    """What those of them that are still there are called."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


class Watched:
    """File descriptors of processes; taken while these live, so a process id used again cannot mislead."""

    def __init__(self, pids: list[int]) -> None:
        assert pids
        self._waiting: dict[int, int] = {}
        for pid in pids:
            with suppress(ProcessLookupError):  # ended since it was listed
                self._waiting[os.pidfd_open(pid)] = pid

    def alive_after(self, seconds: float) -> list[int]:
        """Those that have not ended after at most `seconds` each; it returns as soon as all have."""
        alive = []
        for descriptor, pid in self._waiting.items():
            poll = select.poll()  # select(2) knows no descriptor above 1023
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(seconds * 1000):
                alive.append(pid)
            os.close(descriptor)
        self._waiting = {}
        return alive
