"""This process's stderr, which may be a pipe whose reader stands still, or one that a command has made non-blocking.

What it does not take in time is lost; a later text is taken again if it can be. It does not know what is written.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import threading

from stepcreds.clock import Clock

PATIENCE = 5.0  # seconds, in the life of a process, for a stderr that takes nothing
PATIENCE_IN_A_HURRY = 1.0
PIECE = 4096  # bytes: what a pipe that can take anything takes at once (PIPE_BUF, pipe(7))


class Stderr:
    """One for each process, whichever of its threads have something to say."""

    def __init__(self, clock: Clock) -> None:
        self._left = PATIENCE
        self._clock = clock
        self._lock = threading.Lock()
        self._is_cut = False  # whether the last text ends in the middle

    def hurry(self) -> None:
        """Somebody wants this process to end."""
        self._left = min(self._left, PATIENCE_IN_A_HURRY)

    def write(self, text: str) -> bool:
        """Whether all of `text` was taken."""
        if sys.stderr is None or not text:  # it was closed when we started
            return False
        data = memoryview(("\n" * self._is_cut + text).encode(sys.stderr.encoding, "backslashreplace"))
        if not self._lock.acquire(timeout=max(0.0, self._left)):
            self._left = 0.0
            return False
        try:
            while data:
                data = data[self._take(data[:PIECE]) :]
                self._is_cut = bool(data)
        except OSError:  # nobody reads it any more; what is being ended is ended all the same
            return False
        finally:
            self._lock.release()
        return True

    def _take(self, data: memoryview) -> int:
        """How many bytes of `data` it has taken. Raises OSError."""
        while True:
            try:
                return _write_without_waiting(data)
            except BlockingIOError:
                if not self._wait():
                    raise

    def _wait(self) -> bool:
        """Whether it is worth another try."""
        begin = self._clock.monotonic()
        ready = _ready(self._left) if self._left > 0 else False
        # A millisecond at least: another process may be quicker each time.
        self._left -= max(0.001, self._clock.monotonic() - begin)
        return ready


def _write_without_waiting(data: memoryview) -> int:
    """How many bytes of `data` stderr took at once. Raises OSError; `BlockingIOError` where that is none."""
    status = os.fstat(2)
    if not (stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)):
        return _write_if_ready(data)
    try:
        # A description of our own: O_NONBLOCK on the one that we share would be the command's, too.
        log = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # another user's
        return _write_if_ready(data)
    try:
        return os.write(log, data)
    finally:
        os.close(log)


def _write_if_ready(data: memoryview) -> int:
    if not _ready(0):
        raise BlockingIOError
    return os.write(2, data)


def _ready(seconds: float) -> bool:
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
