"""The three prctl(2) settings that Python has no call for; it decides nothing about who gets them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from stepcreds.errors import UnsupportedError

# <linux/prctl.h>
_SET_PARENT_DEATH_SIGNAL = 1
_SET_DUMPABLE = 4
_SET_CHILD_SUBREAPER = 36


def _load() -> Callable[[int, int, int, int, int], int]:
    # `ctypes` adds 2.5 ms of conveniences to every step; its C half is all that one call needs.
    import _ctypes

    class Function(_ctypes.CFuncPtr):  # without a _restype_ the result is a C int
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO

    whole_program: Any = None  # dlopen(3): a null name is the program itself, with its C library
    return Function(_ctypes.dlsym(_ctypes.dlopen(whole_program, 0), "prctl"))


def _prctl(option: int, value: int) -> None:
    try:
        failed = _load()(option, value, 0, 0, 0)
    except (ImportError, AttributeError, OSError) as error:
        raise UnsupportedError(
            "this Python cannot call prctl(2)",
            cause=f"its ctypes module is missing or cannot reach the C library ({error})",
            fix="Use a Python that was built with libffi, as every distribution's is.",
            docs="unsupported-machine",
        ) from None
    if failed:
        import _ctypes

        raise UnsupportedError(
            f"the kernel refused prctl({option}): {os.strerror(_ctypes.get_errno())}",
            cause="a sandbox or a seccomp filter forbids it, or the kernel is older than 3.4",
            fix="Allow prctl(2): without it a process that the command leaves behind could outlive the step.",
            docs="unsupported-machine",
        )


def require_linux(platform: str = sys.platform) -> None:
    """Raises `UnsupportedError` anywhere but on Linux."""
    if platform != "linux":
        raise UnsupportedError(
            f"stepcreds runs commands on Linux only; this is {platform}",
            cause="only Linux can promise that nothing the command started outlives the step",
            fix="Run the step on a Linux runner, or in a Linux container.",
            docs="unsupported-machine",
        )


def become_subreaper() -> None:
    """Every orphan below this process becomes its child, whatever it did to get away: PR_SET_CHILD_SUBREAPER."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def forbid_inspection() -> None:
    """No core dump, no debugger, no /proc/PID/mem or environ for other processes of this user: PR_SET_DUMPABLE.

    A forked process inherits it; the command does not, because execve(2) resets it.
    """
    _prctl(_SET_DUMPABLE, 0)


def notify_of_parent_death(number: int) -> None:
    """This process gets signal `number` as soon as its parent's thread is gone: PR_SET_PDEATHSIG.

    The parent may be gone already: compare os.getppid() afterwards.
    """
    _prctl(_SET_PARENT_DEATH_SIGNAL, number)
