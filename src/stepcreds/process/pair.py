"""Two processes for each step, so that killing either leaves one that ends the command's tree and the credential.

    CI ─ front (P) ─ worker (W) ─ command (C) ─ …

The front is what the CI started; the worker, its child, does the work; the command is the worker's child. Both are
subreapers, so whatever the command starts stays below them. See docs/processes.md.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from stepcreds.clock import Clock, SystemClock
from stepcreds.errors import StepcredsError
from stepcreds.process import kernel
from stepcreds.process.cancel import ENDING, PLAIN
from stepcreds.process.custody import Custody, encode
from stepcreds.process.front import Front, Left
from stepcreds.process.handover import Handover
from stepcreds.process.lifeline import Lifeline
from stepcreds.process.proc import children
from stepcreds.process.worker import Worker

__all__ = ["Custody", "Worker", "run_pair"]

_SYSTEM_CLOCK = SystemClock()


def run_pair(
    worker: Callable[[Worker], int],
    take_over: Callable[[Custody], int],
    *,
    meanwhile: Callable[[], None] | None = None,
    leave: Callable[[Custody], int] | None = None,
    clock: Clock = _SYSTEM_CLOCK,
) -> int:
    """Runs `worker` in a process of its own and returns its exit code; returns in the front only.

    Call it early, in the main thread, before anything heavy is imported and before a thread is started.

    `meanwhile` is called in the front, once the worker has begun; if it raises, that is raised again as soon as the
    worker has ended, which has to find out by itself that there is nothing to do (see `handover`).

    If the worker dies, or `worker` raises, the front ends everything below it and returns what `take_over` makes
    of what was still held. If the front dies, the worker's `Worker.front_gone` is set, its output goes nowhere,
    `Cancelled` is raised where that is allowed, and a command that runs is killed; should `worker` raise then,
    `take_over` is called in the worker.

    With `leave` a step that was asked to end does not hold whoever waits for it: 7 seconds after the signal, once the
    command is over (`Worker.ending`), the front returns what `leave` makes of what is still held, and the worker goes
    on alone, as if the front had been killed.

    Raises `UnsupportedError` where the promise cannot be kept (not Linux, no /proc, prctl forbidden) and
    `StepcredsError` where the kernel has no process or file left to give; nothing has been started then.
    """
    kernel.require_linux()
    spared = frozenset(children())
    kernel.become_subreaper()
    kernel.forbid_inspection()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or both processes would write what is in the buffer
    try:
        _open_standard_files()
        inherited = _inherited_files()
        nowhere = os.open(os.devnull, os.O_RDWR)
        channel, worker_channel = os.pipe()
        lifeline, own_lifeline = os.pipe()  # nobody writes to it: its end says that the front has ended
    except OSError as error:
        raise _cannot_start(error) from None
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take the exit codes with it
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING + PLAIN)
    front, front_group = os.getpid(), os.getpgrp()
    try:
        child = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING + PLAIN)
        raise _cannot_start(error) from None
    if child == 0:
        os.close(channel)
        os.close(own_lifeline)
        _be_worker(
            lambda: Worker(worker_channel, Lifeline(lifeline, inherited, nowhere), front, front_group),
            worker_channel,
            worker,
            take_over,
        )
    os.close(worker_channel)
    os.close(lifeline)
    os.close(nowhere)
    attendant = Front(child, channel, spared, clock, may_leave=leave is not None)
    attendant.settle_in()
    try:
        if meanwhile is not None:
            meanwhile()
    except BaseException:
        attendant.attend()
        raise
    result = attendant.attend()
    if isinstance(result, Left) and leave is not None:
        return leave(result)
    return take_over(result) if isinstance(result, Custody) else result


def new_handover() -> Handover:
    """What `meanwhile` hands over by, made before the fork. Raises `StepcredsError`."""
    try:
        _open_standard_files()
        return Handover()
    except OSError as error:
        raise _cannot_start(error) from None


def _be_worker(
    begin: Callable[[], Worker], channel: int, life: Callable[[Worker], int], take_over: Callable[[Custody], int]
) -> NoReturn:
    code = 125  # of no meaning: the front takes over from a worker that has not said goodbye
    try:
        try:
            me = begin()
        except (StepcredsError, OSError) as error:
            unfit = error if isinstance(error, StepcredsError) else _cannot_start(error)
            os.write(channel, encode({"unfit": [unfit.what, unfit.cause, unfit.fix, unfit.docs]}))
            raise
        code = me.run(life, take_over)
        me.say_goodbye(code)
    finally:
        os._exit(code & 0xFF)  # whatever is on the stack below belongs to the front


def _open_standard_files() -> None:
    """Makes sure that 0, 1 and 2 are open, so that no file of ours gets such a number.

    Reading or writing one that was closed still fails with EBADF, in the command too.
    """
    for descriptor in range(3):
        if not _is_inherited(descriptor):
            # The lowest free number is this one.
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY), True)


def _inherited_files() -> tuple[int, ...]:
    """Every open file that came from whoever started this process: the standard three, and a shell's `3>&1`."""
    numbers = map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
    return tuple(number for number in numbers if _is_inherited(number))


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # it is closed
        return False


def _cannot_start(error: OSError) -> StepcredsError:
    return StepcredsError(
        f"the worker process cannot be started: {error.strerror}",
        cause="the machine, the container or the user has no process, file or memory left to give",
        fix="Look at `ulimit -u`, `ulimit -n` and the container's limit of processes. Nothing was issued.",
        docs="worker-not-started",
    )
