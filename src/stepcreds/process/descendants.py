"""Finds and ends everything below this process; what a command hands to another daemon is not below it.

This process is a subreaper (kernel.become_subreaper): whatever loses its parent becomes its child. So it is enough to
end one's own children until there are none, level by level; and the id of one's own child can be nobody else's
until one has waited for it, so no signal can hit a stranger. proc(5), waitid(2), "children" and PR_SET_CHILD_SUBREAPER.
"""

# ruff: noqa: PTH110, PTH115, PTH123, PTH208 - a Path for each of a thousand processes costs more than reading about them

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from stepcreds.clock import Clock
from stepcreds.errors import UnsupportedError
from stepcreds.process.wakeup import Wakeup

_LIMIT = 10.0  # seconds for all of it
_PATIENCE = 1.0  # seconds for processes of other users, once they are all that is left
_LOOK_AGAIN = 0.05  # seconds; a SIGKILL takes effect in microseconds unless the machine is busy
_ROUNDS = 20  # after which a tree that still has new members is made to stand still first


@dataclass(frozen=True)
class Ended:
    """What has become of everything below this process."""

    killed: int  # processes that died of our SIGKILL
    survivors: tuple[int, ...]  # ids of those that could not be ended: another user's, or stuck in the kernel
    statuses: dict[int, int]  # as waitpid(2) has them, by process id


def children() -> list[int]:
    """Ids of this process's children, those included that have ended but have not been waited for.

    Raises `UnsupportedError` where /proc does not show them.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            raise _unsupported("the /proc that is mounted here belongs to another PID namespace")
    except OSError as error:
        raise _unsupported(f"/proc cannot be read: {error.strerror}") from None
    return _children_of(os.getpid())


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
        if rounds >= _ROUNDS:
            _signal_below(mine, signal.SIGSTOP)  # the dead make room for new ones where a limit held them back
        refused = {pid for pid in mine if not _kill(pid)}
        _signal_below(refused, signal.SIGKILL)
        if mine - refused:
            give_up_at = deadline
        elif give_up_at == deadline:
            give_up_at = min(deadline, clock.monotonic() + _PATIENCE)
        statuses |= _await(mine - refused, wakeup, clock)
        rounds += 1
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


def _signal_below(tops: set[int], number: signal.Signals) -> None:
    """Sends `number` to whatever is below `tops`, which is others' children.

    Their ids may be used anew at any time: each process is held fast (pidfd) while its parent is looked at again.
    """
    parents = list(tops)
    for parent in parents:  # grows
        for pid in _children_of(parent):
            try:
                held = os.pidfd_open(pid)
            except OSError:
                continue
            try:
                if pid in _children_of(parent):
                    parents.append(pid)
                    signal.pidfd_send_signal(held, number)
            except OSError:
                continue  # another user's, too
            finally:
                os.close(held)


def _children_of(process: int) -> list[int]:
    """Ids of the children of `process`, of all its threads; none if it is gone."""
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return _children_by_stat(process)
    folder = f"/proc/{process}/task"
    return [int(child) for thread in _names(folder) for child in _read(f"{folder}/{thread}/children").split()]


def _children_by_stat(process: int) -> list[int]:
    """The same by looking at every process: for kernels without CONFIG_PROC_CHILDREN."""
    ids = [int(name) for name in _names("/proc") if name.isdigit()]
    # proc_pid_stat(5): "pid (comm) state ppid …", and a comm may hold brackets and spaces itself.
    return [pid for pid in ids if _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1:2] == [b"%d" % process]]


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
