"""Looks at processes, ten thousand times: what /proc tells of them, and whether they have ended."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 120.0  # seconds for a process that has nothing to wait for


def has_ended(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Whether it ends within `patience` seconds, noticed at once: `Popen.wait` looks every 50 ms where it has a limit."""
    if process.poll() is None:
        pidfd = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(patience * 1000)
        finally:
            os.close(pidfd)
    return process.poll() is not None


def until_gone(pid: int, session: int) -> None:
    """Waits for a process that is not our child."""
    deadline = time.monotonic() + PATIENCE
    while session_of(pid) == session and time.monotonic() < deadline:
        time.sleep(0.01)


def signal_all(pids: list[int], number: int) -> int:
    """How many of them were there."""
    struck = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            struck += 1
    return struck


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def sessions() -> list[tuple[int, int]]:
    """Every process that runs, and its session."""
    found = [(int(name), session_of(int(name))) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return [(pid, session) for pid, session in found if session]


def session_of(pid: int) -> int:
    """0 for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process, ten thousand times
            state, _, _, session = file.read().rpartition(b")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state in (b"Z", b"X") else int(session)


def environ(pid: int) -> bytes:
    """What it was started with; nothing where we may not know."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""
