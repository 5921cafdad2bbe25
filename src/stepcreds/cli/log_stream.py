"""Which of our two outputs a CI's runner reads: a masking command that went elsewhere would be a secret in a file."""

from __future__ import annotations

import os
import stat

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox"})


def runner_reads(descriptor: int, started_by: int) -> bool:
    """Whether what is written to `descriptor` (1 or 2) reaches whoever reads the step's log.

    `started_by` is the process that started stepcreds. A shell that redirects, pipes or captures us gives us another
    file than its own; anything but a shell (the runner itself, with `shell: stepcreds exec …`) starts us with its log.
    What cannot be found out counts as no.
    """
    try:
        ours = os.fstat(descriptor)
        if stat.S_ISREG(ours.st_mode):
            return False
        with open(f"/proc/{started_by}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            name = file.read(64).strip()
        if name not in SHELLS:
            return True
        theirs = [os.stat(f"/proc/{started_by}/fd/{number}") for number in (1, 2)]  # noqa: PTH116
    except OSError:
        return False
    return any((ours.st_dev, ours.st_ino) == (other.st_dev, other.st_ino) for other in theirs)
