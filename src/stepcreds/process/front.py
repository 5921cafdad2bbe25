"""The process that the CI started, while its worker works: it forwards signals, and remembers what is held.

It does nothing about credentials itself, and stays small: nothing is imported here that the worker alone needs.
"""

from __future__ import annotations

import math
import os
import signal
from types import FrameType

from stepcreds.clock import Clock
from stepcreds.errors import UnsupportedError
from stepcreds.process.cancel import ENDING, PLAIN
from stepcreds.process.custody import Custodian, Custody, Lines, describe
from stepcreds.process.descendants import end_descendants
from stepcreds.process.terminal import reclaim_terminal
from stepcreds.process.wakeup import Wakeup

# Seconds after the signal that asks the step to end, and after its command has ended, that the worker has for the rest
# before the front leaves it alone: GitHub kills what is left of a cancelled step after 10.
STAYS = 7.0
STAYS_AFTER_THE_COMMAND = 1.0


class Left(Custody):
    """What is still held by a worker that was left alone with it."""


class Front:
    """The front of one worker, made in the main thread."""

    def __init__(self, worker: int, channel: int, spared: frozenset[int], clock: Clock, *, may_leave: bool) -> None:
        """`channel` is where the worker speaks; `spared` are children that were there before it.

        `may_leave`: see `attend`. The first process of a container stays all the same: with it everything ends.
        """
        self._clock = clock
        self._may_leave = may_leave and os.getpid() != 1
        self._asked_by = ""
        self._asked_at = math.inf  # monotonic seconds, as
        self._ending_at = 0.0
        self._worker = worker
        self._channel = channel
        self._spared = spared
        self._custodian = Custodian()
        self._code: int | None = None
        self._failure = ""
        self._unfit: list[str] = []
        self._continued = False

    def settle_in(self) -> None:
        """Handles signals from now on, but for those that this process was started to ignore (nohup)."""
        for number in ENDING + PLAIN:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._forward)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def attend(self) -> int | Custody | Left:
        """Waits for the worker: its exit code; or, if it ended without one, what it left, once its tree is dead.

        Where it `may_leave`, and the step was asked to end some time ago and has no command (any more), it waits no
        longer: what is still held then. The worker goes on alone when this process ends.

        Raises `UnsupportedError` if it could not become a worker in the first place.
        """
        lines = Lines()
        wakeup = Wakeup()
        wakeup.watch(self._channel)
        os.set_blocking(self._channel, False)
        while (data := self._read()) != b"":
            if data is None:
                left = self._leaves_at() - self._clock.monotonic()
                if left <= 0:
                    self._worker = 0
                    self._stop_listening()
                    return Left(*self._custodian.custody(self._asked_by))
                wakeup.wait(left)
                continue
            for message in lines.feed(data):
                self._custodian.note(message)
                if "ending" in message:
                    self._ending_at = self._clock.monotonic()
                elif "suspend" in message:
                    self._stop(0)
                elif "done" in message:
                    self._code = message["done"]
                elif "unfit" in message:
                    self._unfit = message["unfit"]
                elif "failed" in message:
                    self._failure = message["failed"]
        worker, self._worker = self._worker, 0  # its id can be another's as soon as it has been waited for
        self._stop_listening()
        ended = _how_it_ended(worker)
        os.close(self._channel)
        if self._code is not None:
            return self._code
        if self._unfit:
            what, cause, fix, docs = self._unfit
            raise UnsupportedError(what, cause=cause, fix=fix, docs=docs)
        return self._custodian.custody((self._failure or ended) + self._clear_away(wakeup))

    def _clear_away(self, wakeup: Wakeup) -> str:
        """Ends the tree that the worker left, and takes the terminal back; what failed of that, which is no reason to
        keep what it held alive."""
        failures = ""
        for clear in (lambda: end_descendants(wakeup, self._clock, spared=self._spared), reclaim_terminal):
            try:
                clear()
            except Exception as error:  # noqa: BLE001
                failures += f"; what it left could not be cleared away: {describe(error)}"
        return failures

    def _leaves_at(self) -> float:
        """The monotonic second from which on nobody is to wait for this process."""
        if not self._may_leave or (self._custodian.started and not self._custodian.ending):
            return math.inf
        return max(self._asked_at + STAYS, self._ending_at + STAYS_AFTER_THE_COMMAND)

    def _read(self) -> bytes | None:
        """What the worker has said; None: nothing new; b"": it never will again."""
        try:
            return os.read(self._channel, 65536)
        except BlockingIOError:
            return None
        except OSError:  # cannot happen to a pipe; if it does, the worker is as good as gone
            return b""

    def _stop_listening(self) -> None:
        """What is left to do is not up to anybody: ending, and the exit code.

        Ignored, because Python gives up handlers while it shuts down; the code would be that of the next signal.
        """
        for number in ENDING + PLAIN:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTSTP else signal.SIG_IGN)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._continued |= number == signal.SIGCONT
        if number in ENDING and not self._asked_by:
            self._asked_by, self._asked_at = _name_of(number), self._clock.monotonic()
        if self._worker:
            os.kill(self._worker, number)
            if number in ENDING and _is_stopped(self._worker):
                os.kill(self._worker, signal.SIGCONT)  # or the request would wait with it
        if number == signal.SIGTSTP:
            self._stop(os.getpid())

    def _stop(self, target: int) -> None:
        """Stops `target` (this process, or 0: its group) as Ctrl-Z does; returns when it is continued.

        For a group that no shell controls ("orphaned") the kernel drops the signal, because nobody could continue
        it: then the command must not stay stopped either.
        """
        self._continued = False
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(target, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        if not self._continued and self._worker:
            os.kill(self._worker, signal.SIGCONT)


def _is_stopped(worker: int) -> bool:
    """Whether somebody has stopped this child: a command's own stop is none of the worker."""
    try:
        return os.waitid(os.P_PID, worker, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it has ended: the kernel knows no such child for this question
        return False


def _how_it_ended(worker: int) -> str:
    """Waits for this child."""
    _, status = os.waitpid(worker, 0)
    if not os.WIFSIGNALED(status):
        return f"the worker ended with exit code {os.WEXITSTATUS(status)} before it was done"
    return f"the worker was killed by {_name_of(os.WTERMSIG(status))}"


def _name_of(number: int) -> str:
    """Of the real-time ones Python knows the first and the last."""
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")
