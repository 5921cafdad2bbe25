"""Another process of the same user, that wants what stepcreds holds: run by path, by any Python, with ids of processes.

    python -I neighbour.py PID…      # prints, as JSON, each thing that it got: ["environ 4711", …]

It tries what needs no privilege. Nothing of stepcreds is imported.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from collections.abc import Callable

FILES = ("environ", "mem", "maps", "smaps", "pagemap", "auxv", "io", "syscall", "stack", "personality", "timerslack_ns")
LINKS = ("cwd", "root", "exe", "ns/mnt")
# <linux/ptrace.h>, and the numbers of <asm/unistd.h>: process_vm_readv(2) has one per machine, pidfd_getfd(2) one for all.
ATTACH, DETACH, SEIZE = 16, 17, 0x4206
_WALL = 0x40000000  # <linux/wait.h>
PROCESS_VM_READV = {"x86_64": 310, "aarch64": 270}.get(platform.machine(), 0)
PIDFD_GETFD = 438
# What a kernel keeps from every neighbour by itself (yama's ptrace_scope), whatever stepcreds does.
ATTACHES = ("mem", "pagemap", "syscall", "stack", "personality", "ptrace", "process_vm_readv", "pidfd_getfd")

_libc = ctypes.CDLL(None, use_errno=True)


def succeeds(attempt: Callable[[], object]) -> bool:
    try:
        return bool(attempt())
    except OSError:
        return False


def read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(64)


def memory(pid: int) -> bytes:
    """Of its first page that can be read."""
    with open(f"/proc/{pid}/maps") as maps:  # noqa: PTH123
        start = next(int(line.partition("-")[0], 16) for line in maps if " r" in line)
    with open(f"/proc/{pid}/mem", "rb") as file:  # noqa: PTH123
        file.seek(start)
        return file.read(64)


def attach(pid: int) -> bool:
    if _libc.ptrace(ATTACH, pid, None, None) == 0:
        os.waitpid(pid, _WALL)
        _libc.ptrace(DETACH, pid, None, None)
        return True
    return bool(_libc.ptrace(SEIZE, pid, None, None) == 0)  # ends with this process


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_across(pid: int) -> bool:
    """At an address where there may be nothing: EFAULT says that the kernel let us look."""
    here = ctypes.create_string_buffer(64)
    local = Vector(ctypes.addressof(here), 64)
    remote = Vector(0x400000, 64)
    count = _libc.syscall(PROCESS_VM_READV, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return bool(PROCESS_VM_READV) and (count >= 0 or ctypes.get_errno() == 14)


def take_file(pid: int) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return any(_libc.syscall(PIDFD_GETFD, handle, number, 0) >= 0 for number in range(32))
    finally:
        os.close(handle)


def open_file(pid: int) -> bool:
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115
    return True


def attempts(pid: int) -> dict[str, Callable[[], object]]:
    made: dict[str, Callable[[], object]] = {name: lambda name=name: read(f"/proc/{pid}/{name}") for name in FILES}  # type: ignore[misc]
    made |= {name: lambda name=name: os.readlink(f"/proc/{pid}/{name}") for name in LINKS}  # type: ignore[misc]  # noqa: PTH115
    made |= {
        "mem": lambda: memory(pid),
        "fd": lambda: open_file(pid),
        "map_files": lambda: os.listdir(f"/proc/{pid}/map_files"),  # noqa: PTH208
        "process_vm_readv": lambda: read_across(pid),
        "pidfd_getfd": lambda: take_file(pid),
        "ptrace": lambda: attach(pid),
    }
    return made


if __name__ == "__main__":
    got = [
        f"{name} {pid}"
        for pid in map(int, sys.argv[1:])
        for name, attempt in attempts(pid).items()
        if succeeds(attempt)
    ]
    sys.stdout.write(json.dumps(got) + "\n")
