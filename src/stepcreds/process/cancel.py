"""Turns the signals that ask a step to end into `Cancelled`, where that is safe; elsewhere it only remembers them.

All of it runs in the worker's main thread: Python runs signal handlers nowhere else.
"""

from __future__ import annotations

import signal
from collections import deque
from types import FrameType, TracebackType
from typing import Final

from stepcreds.clock import Clock, SystemClock

# What asks a step to end: Ctrl-C, a cancelled job, a closed terminal, Ctrl-\.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# What is for the command alone.
PLAIN: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH, signal.SIGTSTP)

FRONT_DIED: Final = "SIGKILL"  # the front handles everything else that ends a process

_CLOCK: Final = SystemClock()


class Cancelled(BaseException):
    """Somebody asked the step to end; `signal_name` says how: "SIGTERM".

    Not an `Exception`, so that nothing that handles failures takes it for one.
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.signal_name = signal_name


class Cancellation:
    """What has been asked so far, and whether asking may interrupt.

    `signal` is the name of the first request, "" if there was none; `asked_at` is when it came (monotonic seconds).
    """

    def __init__(self, clock: Clock = _CLOCK) -> None:
        self.signal = ""
        self.asked_at = 0.0
        self._clock = clock
        self._depth = 0
        self._arrivals: deque[signal.Signals] | None = None
        self._disregards = False

    def install(self) -> None:
        """Handles every signal of `ENDING` and `PLAIN` but those that this process was started to ignore (nohup)."""
        for number in ENDING + PLAIN:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def interruptible(self) -> Interruptible:
        """A context in which a request raises `Cancelled` at whatever it interrupts.

        Raises `Cancelled` on entry when there was a request before, and on exit when there was one that
        something on the way swallowed (an exception out of a destructor is printed and forgotten).
        """
        return Interruptible(self)

    def deferred(self) -> Deferred:
        """A context inside an interruptible one that a request does not interrupt; it raises at the end instead."""
        return Deferred(self)

    def listen(self) -> deque[signal.Signals]:
        """From now on every signal goes into the queue that is returned as well, until `stop_listening`."""
        self._arrivals = deque()
        return self._arrivals

    def stop_listening(self) -> None:
        """Signals are for nobody but this object again."""
        self._arrivals = None

    def disregard_signals(self) -> None:
        """No signal asks for anything from now on, nor has one before: for what nobody would finish afterwards."""
        self._disregards = True
        if self.signal != FRONT_DIED:
            self.signal, self.asked_at = "", 0.0

    def request(self, name: str) -> None:
        """Somebody asks the step to end."""
        if not self.signal:
            self.signal, self.asked_at = name, self._clock.monotonic()
        if self._depth:
            self._depth = 0  # what runs while the exception travels must not be interrupted by another
            raise Cancelled(self.signal)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._arrivals is not None:
            self._arrivals.append(signal.Signals(number))
        if number in ENDING and not self._disregards:
            self.request(signal.Signals(number).name)


class Interruptible:
    """See `Cancellation.interruptible`."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation

    def __enter__(self) -> None:
        self._cancellation._depth += 1
        if self._cancellation.signal:
            self._cancellation.request(self._cancellation.signal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancellation = self._cancellation
        cancellation._depth = max(0, cancellation._depth - 1)
        if kind is None and cancellation.signal:
            cancellation._depth = 0
            raise Cancelled(cancellation.signal)


class Deferred:
    """See `Cancellation.deferred`."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation

    def __enter__(self) -> None:
        self._depth, self._cancellation._depth = self._cancellation._depth, 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancellation = self._cancellation
        cancellation._depth = self._depth
        if kind is None and self._depth and cancellation.signal:
            cancellation.request(cancellation.signal)
