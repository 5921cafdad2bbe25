"""Copies the command's output to ours while a redactor looks at it; it does not know what the command is."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.redact import RedactedStream, Redactor

_CHUNK = 1 << 17  # bytes; more than fits into a processor's cache is slower
_PIPE = 1 << 20  # bytes; the most that a user may ask for unless the administrator changed it
_STALLED = 5.0  # seconds without a byte moving, after which the rest is given up
_STALLED_CANCELLED = 1.0  # of a step that was asked to end: the rest of its time is for the revocation
_LOOK = 0.05  # seconds
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # fcntl(2); Python 3.10 has the name too, but not everywhere


class Pump:
    """Pipes that stand in for our standard output and error, each with a thread that copies.

    One pipe serves both where both are the same file, as with `2>&1`, so that what was written first stays first.

    When the reader of our output goes away (EPIPE) the pipe is closed, so that the command gets its SIGPIPE as it
    would have without us. Any other failure to write (a full disk) loses output and must not cost the command its
    life: it is read and thrown away from there on, and `failure` says why.
    """

    def __init__(self, redactor: Redactor) -> None:
        """Starts copying. Raises `OSError` or `RuntimeError` where there are no files or threads left."""
        self.failure = ""
        self.outputs: dict[int, int] = {}  # descriptor in the command -> our writing end
        self._moved = 0
        self._threads: list[threading.Thread] = []
        # A signal must reach the main thread, which waits for it, and none of these.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for targets in ((1, 2),) if os.path.sameopenfile(1, 2) else ((1,), (2,)):
                self._open(targets, redactor.stream())
        except BaseException:
            self.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def close(self) -> None:
        """Closes our writing ends: the command has its own by now, or never will."""
        for sink in set(self.outputs.values()):
            os.close(sink)
        self.outputs = {}

    def _open(self, targets: tuple[int, ...], stream: RedactedStream) -> None:
        source, sink = os.pipe()
        self.outputs |= dict.fromkeys(targets, sink)
        with suppress(OSError):  # this user has too many big pipes already
            fcntl.fcntl(sink, _SET_PIPE_SIZE, _PIPE)
        thread = threading.Thread(target=self._copy, args=(source, targets[0], stream), daemon=True)
        try:
            thread.start()
        except RuntimeError:
            os.close(source)
            raise
        self._threads.append(thread)

    def finish(self, clock: Clock, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Waits until everything is copied, but not for a reader who does not read, nor for a survivor that may write.

        Returns 5 seconds after the last byte moved, at the latest; 1 second where somebody asked the step to end.
        """
        moved, since = self._moved, clock.monotonic()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK)
                if moved != self._moved:
                    moved, since = self._moved, clock.monotonic()
                elif clock.monotonic() - since > (_STALLED_CANCELLED if is_cancelled() else _STALLED):
                    self.failure = self.failure or "nobody read it, or a process that could not be ended kept the pipe"
                    return

    def _copy(self, source: int, target: int, stream: RedactedStream) -> None:
        try:
            while data := os.read(source, _CHUNK):
                self._write(target, stream.feed(data))
            self._write(target, stream.finish())
        except BrokenPipeError:
            pass
        finally:
            os.close(source)

    def _write(self, target: int, data: bytes) -> None:
        """Writes all of `data`, also to a file that somebody made non-blocking. Raises `BrokenPipeError`."""
        left = memoryview(data)
        while left and not self.failure:
            written = self._write_some(target, left)
            self._moved += written
            left = left[written:]

    def _write_some(self, target: int, data: memoryview) -> int:
        try:
            return os.write(target, data)
        except BlockingIOError:
            select.select((), (target,), ())
            return 0
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failure = os.strerror(error.errno or errno.EIO)
            return 0
