"""Ends everything below this process; what a command hands to another daemon is not below it.

This process is a subreaper (kernel.become_subreaper): whatever loses its parent becomes its child. So it is enough to
end one's own children until there are none, level by level; and the id of one's own child can be nobody else's
until one has waited for it, so no signal can hit a stranger. waitid(2), PR_SET_CHILD_SUBREAPER(2const).
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.process.proc import Process, below, children, look_at
from stepcreds.process.wakeup import Wakeup

_LIMIT = 10.0  # seconds for all of it
_PATIENCE = 1.0  # seconds for processes of other users, once they are all that is left
_LOOK_AGAIN = 0.05  # seconds; a SIGKILL takes effect in microseconds unless the machine is busy
_SWEEPS = frozenset(2 << doubling for doubling in range(20))  # rounds in which the whole tree is dealt with at once


class Ended(NamedTuple):
    """What has become of everything below this process."""

    killed: int  # processes that died of a SIGKILL
    survivors: tuple[int, ...]  # ids of those that could not be ended: another user's, or stuck in the kernel
    statuses: dict[int, int]  # as waitpid(2) has them, by process id


def reap() -> dict[int, int]:
    """Waits for every child that has ended, without waiting for one to end; statuses by process id."""
    found: dict[int, int] = {}
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return found
            found[pid] = status
    except ChildProcessError:
        return found


def end_descendants(wakeup: Wakeup, clock: Clock, *, spared: frozenset[int] = frozenset()) -> Ended:
    """Kills and waits for everything below this process but `spared` children; returns after 10 seconds at the latest.

    Children of processes of another user, which cannot be killed, are killed where they run as this one.
    """
    statuses: dict[int, int] = {}
    deadline = clock.monotonic() + _LIMIT
    give_up_at = deadline
    rounds = 0
    while clock.monotonic() < give_up_at:
        mine = set(children()) - spared
        if not mine and (spared or _is_childless()):
            break
        rounds += 1
        if rounds in _SWEEPS:  # the tree is deep, or it keeps forking
            _stop_all(spared, deadline, clock)
            _kill_below(mine)
        refused = {pid for pid in mine if not _kill(pid)}
        if refused:
            _kill_below(refused)
        if mine - refused:
            give_up_at = deadline
        elif give_up_at == deadline:
            give_up_at = min(deadline, clock.monotonic() + _PATIENCE)
        statuses |= _await(mine - refused, wakeup, clock)
    statuses |= reap()
    killed = sum(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL for status in statuses.values())
    return Ended(killed, tuple(sorted(set(children()) - spared)), statuses)


def _kill(pid: int) -> bool:
    """Whether the child `pid` could be killed, with its process group if it leads one.

    One signal ends a whole group at once, however fast its members fork; and a group that our own child leads
    holds only what that child made.
    """
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    return True


def _kill_below(tops: set[int]) -> None:
    for process in below(tops):
        _signal(process, signal.SIGKILL)


def _await(dying: set[int], wakeup: Wakeup, clock: Clock) -> dict[int, int]:
    """Waits a short while, until all of `dying` have died, or any child if none is; statuses of all that ended."""
    until = clock.monotonic() + _LOOK_AGAIN
    statuses = reap()
    while not (dying <= statuses.keys() if dying else statuses) and (left := until - clock.monotonic()) > 0:
        wakeup.wait(left)
        statuses |= reap()
    return statuses


def _is_childless() -> bool:
    """The kernel's own word for it; /proc may leave out a child while another one ends."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _stop_all(spared: frozenset[int], deadline: float, clock: Clock) -> None:
    """Makes the tree stand still, so that it stops growing: what is stopped neither forks nor makes room for others."""
    known: set[Process] = set()
    while clock.monotonic() < deadline:
        tree = set(below(set(children()) - spared))
        if tree <= known:
            return
        for process in tree - known:
            _signal(process, signal.SIGSTOP)
        known |= tree


def _signal(process: Process, number: signal.Signals) -> None:
    """Sends `number` to `process`, to none that has got its id since (pidfd), and not if it is another user's."""
    with suppress(OSError):
        held = os.pidfd_open(process.pid)
        try:
            if look_at(process.pid) == process:
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)
