"""Waits until a signal has arrived or a file can be read, without losing a signal that arrives just before; it does
not say which one it was."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from types import FrameType

_LONGEST = 3600.0  # seconds; poll(2) counts milliseconds in an int


class Wakeup:
    """Wakes the main thread from `wait` whenever a signal with a handler arrives, the end of a child included.

    The byte that Python's handler in C writes stays in a pipe, so a signal between a look at the state of things
    and `wait` ends that `wait` at once. One for each process, made in its main thread.
    """

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    def watch(self, descriptor: int) -> None:
        """From now on `wait` also ends when `descriptor` can be read."""
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Returns after the next signal, or after `seconds`; perhaps earlier, so look again."""
        if self._poll.poll(max(0.0, min(seconds, _LONGEST)) * 1000):
            with suppress(BlockingIOError):
                os.read(self._read, 65536)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler is what makes SIGCHLD interrupt a wait."""
