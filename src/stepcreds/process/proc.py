"""Reads from /proc which processes there are and whose children they are; it signals none. proc(5)."""

# ruff: noqa: PTH110, PTH115, PTH123, PTH208 - a Path for each of a thousand processes costs more than reading about them

from __future__ import annotations

import os
from typing import NamedTuple

from stepcreds.errors import UnsupportedError


class Process(NamedTuple):
    """One process; `pid` and `start` together are never used again until the machine starts anew."""

    pid: int
    start: int  # clock ticks since the machine started


def children() -> list[int]:
    """Ids of this process's children, those included that have ended but have not been waited for.

    Raises `UnsupportedError` where /proc does not show them.
    """
    me = os.getpid()
    try:
        if os.readlink("/proc/self") != str(me):
            raise _unsupported("the /proc that is mounted here belongs to another PID namespace")
    except OSError as error:
        raise _unsupported(f"/proc cannot be read: {error.strerror}") from None
    folder = f"/proc/{me}/task"
    if not os.path.exists(f"{folder}/{me}/children"):  # the kernel has no CONFIG_PROC_CHILDREN
        return [process.pid for process, parent in _processes() if parent == me]
    return [int(child) for thread in _names(folder) for child in _read(f"{folder}/{thread}/children").split()]


def look_at(pid: int) -> Process | None:
    """The process that has the id `pid` now, None if there is none."""
    found = _stat(pid)
    return found[0] if found else None


def below(tops: set[int]) -> list[Process]:
    """`tops` and everything below them, as far as /proc shows it to this user; each after its parent."""
    families: dict[int, list[Process]] = {}
    found: dict[Process, None] = {}
    for process, parent in _processes():
        families.setdefault(parent, []).append(process)
        if process.pid in tops:
            found[process] = None
    waiting = list(found)
    for process in waiting:  # grows
        new = [child for child in families.get(process.pid, ()) if child not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return waiting


def _processes() -> list[tuple[Process, int]]:
    """Every process, with its parent's id."""
    found = [_stat(int(name)) for name in _names("/proc") if name.isdigit()]
    return [one for one in found if one is not None]


def _stat(pid: int) -> tuple[Process, int] | None:
    # proc_pid_stat(5): "pid (comm) state ppid …", start is field 22; a comm may hold brackets and spaces itself.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (Process(pid, int(fields[19])), int(fields[1])) if fields else None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it has ended
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it has ended
        return b""


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(
        what,
        cause="without it nobody can tell what a command leaves behind",
        fix="Mount a proc file system at /proc in the container or chroot that the step runs in.",
        docs="unsupported-machine",
    )
