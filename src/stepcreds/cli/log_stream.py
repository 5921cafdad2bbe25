"""Which of our two outputs a CI's runner reads: a masking command that went elsewhere would be a secret in a file."""

from __future__ import annotations

import os
import stat

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox"})


_DEPTH = 32  # shells that a script may have between it and the runner


def runner_reads(descriptor: int, started_by: int) -> bool:
    """Whether what is written to `descriptor` (1 or 2) reaches whoever reads the step's log.

    `started_by` is the process that started stepcreds. A shell that redirects, pipes or captures us gives us another
    file than its own, or is itself given another than the shell above it; anything but a shell (the runner itself, with
    `shell: stepcreds exec …`) starts us with its log. What cannot be found out counts as no.
    """
    try:
        ours = os.fstat(descriptor)
        if stat.S_ISREG(ours.st_mode):
            return False
        above = started_by
        for _ in range(_DEPTH):
            name, parent = _name_and_parent(above)
            if name not in SHELLS:
                return True
            theirs = [os.stat(f"/proc/{above}/fd/{number}") for number in (1, 2)]  # noqa: PTH116
            if (ours.st_dev, ours.st_ino) not in [(other.st_dev, other.st_ino) for other in theirs]:
                return False
            if parent == 0:  # the first process of a container
                return True
            above = parent
    except (OSError, ValueError):
        pass
    return False


def _name_and_parent(pid: int) -> tuple[str, int]:
    """proc_pid_stat(5): `pid (name) state parent …`; the name may hold anything."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        before, _, after = file.read(1024).rpartition(")")
    return before.partition("(")[2], int(after.split()[1])
