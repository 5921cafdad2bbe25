"""Watches over one running command: passes signals on, keeps its time, lends it the terminal; then ends its tree.

Everything happens in the main thread between two waits; signal handlers only note what arrived.
"""

from __future__ import annotations

import math
import os
import signal
from collections import deque
from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.process.cancel import ENDING
from stepcreds.process.descendants import Ended, end_descendants
from stepcreds.process.proc import children
from stepcreds.process.terminal import Terminal, expects_keyboard
from stepcreds.process.worker import Worker

# Requests that come together are one: `timeout` signals its child and then the child's group, a service manager
# signals every process of a job. A person who means it twice, or a CI that escalates, takes longer.
_BURST = 0.5  # seconds
# How long what the command leaves behind may take to end by itself: a `tee` that has yet to write its last lines.
_LEFTOVERS = 0.2  # seconds
_CHANGES = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG


class Supervision:
    """One command; `process` is its id, which stays taken (nobody waits for it) until `end`."""

    def __init__(
        self,
        process: int,
        worker: Worker,
        clock: Clock,
        arrivals: deque[signal.Signals],
        *,
        max_ttl: float,
        grace: float,
    ) -> None:
        self.timed_out = False
        self._process = process
        self._worker = worker
        self._clock = clock
        self._arrivals = arrivals
        self._grace = grace
        self._stop_at = clock.monotonic() + max_ttl
        self._asked_at = math.inf
        self._kill_at = math.inf
        self._has_ended = False
        self._is_stopped = False
        self._is_stop_expected = False
        self._terminal = Terminal.find(worker.front_group)
        self._has_keyboard = expects_keyboard()

    def watch(self) -> None:
        """Returns when the command has ended, or has to be killed."""
        if self._terminal and self._has_keyboard:
            self._terminal.lend(self._process)
        while True:
            self._notice_changes()
            if self._has_ended or self._worker.front_gone:
                return
            if any(map(self._is_final, self._taken())):
                return
            now = self._clock.monotonic()
            if now >= self._kill_at:
                return
            if now >= self._stop_at:
                self.timed_out = True
                self._ask(signal.SIGTERM)
            self._worker.wakeup.wait(min(self._stop_at, self._kill_at) - now)

    def end(self) -> Ended:
        """Kills the command if it still runs, and everything below this process; gives the terminal back."""
        was_killed = True
        try:
            if self._has_ended:
                self._let_leftovers_end()
            ended = end_descendants(self._worker.wakeup, self._clock)
            was_killed = not os.WIFEXITED(ended.statuses.get(self._process, signal.SIGKILL))
            return ended
        finally:
            if self._terminal:
                if not self._worker.front_gone:
                    self._terminal.take_back(repair=was_killed)
                self._terminal.close()

    def _notice_changes(self) -> None:
        """Takes note of what has become of the command; waits for orphans, as init would, but not for the command.

        As long as nobody has waited for it, its id cannot become that of another process or group.
        """
        while change := os.waitid(os.P_ALL, 0, _CHANGES | os.WNOWAIT):
            is_over = change.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
            if change.si_pid == self._process and is_over:
                self._has_ended = True
                return
            if change.si_pid != self._process:
                os.waitid(os.P_PID, change.si_pid, _CHANGES)
                continue
            self._notice_stop()

    def _notice_stop(self) -> None:
        """Takes note of whether the command is stopped: of the last event, which may not be the one just seen."""
        try:
            change = os.waitid(os.P_PID, self._process, _CHANGES & ~os.WEXITED)
        except ChildProcessError:
            return  # it has ended since: the kernel knows no such child for this question
        if change:
            self._is_stopped = change.si_code != os.CLD_CONTINUED
            if self._is_stopped:
                self._on_stop(change.si_status)

    def _taken(self) -> list[signal.Signals]:
        """What has arrived since the last look; SIGCONT last, because Python tells the order of none.

        Handlers run in the order of numbers, and a SIGTSTP that came first must not be what remains.
        """
        taken = [self._arrivals.popleft() for _ in range(len(self._arrivals))]
        return sorted(taken, key=lambda number: number is signal.SIGCONT)

    def _is_final(self, number: signal.Signals) -> bool:
        """Passes the signal `number` on, unless it says that the command is to be killed."""
        if number in ENDING:
            if self._asked_at < math.inf:
                return self.timed_out or self._clock.monotonic() - self._asked_at >= _BURST
            self._ask(number)
        elif number is signal.SIGCONT:
            self._go_on()
        else:
            self._is_stop_expected = number is signal.SIGTSTP
            self._signal(number)
        return False

    def _ask(self, number: signal.Signals) -> None:
        self._asked_at = self._clock.monotonic()
        self._kill_at = self._asked_at + self._grace
        self._stop_at = math.inf
        self._signal(number)
        if self._is_stopped:
            self._signal(signal.SIGCONT)  # or the request would wait with it

    def _signal(self, number: signal.Signals) -> None:
        with suppress(PermissionError):  # all of it runs as another user: sudo
            os.killpg(self._process, number)

    def _on_stop(self, number: int) -> None:
        """Does what a shell's own job would do: waits for the terminal, or stops with everything around it.

        Without a terminal there is nobody to continue us; whoever stopped the command will continue it.
        """
        if self._terminal is None:
            return
        wants_terminal = number in (signal.SIGTTIN, signal.SIGTTOU)
        if wants_terminal and self._terminal.lend(self._process):
            self._signal(signal.SIGCONT)
            return
        self._terminal.take_back()
        if not self._is_stop_expected:  # otherwise the front was stopped first
            self._worker.suspend()

    def _go_on(self) -> None:
        self._is_stop_expected = False
        if self._terminal and self._has_keyboard:
            self._terminal.lend(self._process)
        self._signal(signal.SIGCONT)

    def _let_leftovers_end(self) -> None:
        until = self._clock.monotonic() + _LEFTOVERS
        while others := [child for child in children() if child != self._process]:
            for other in others:
                os.waitpid(other, os.WNOHANG)
            left = until - self._clock.monotonic()
            if left <= 0 or self._worker.front_gone:
                return
            self._worker.wakeup.wait(left)
