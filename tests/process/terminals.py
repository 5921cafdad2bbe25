"""A terminal with somebody at it: a pseudo-terminal, a session on it, and a bash that controls its jobs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType

from pair_runs import DEADLINE

CTRL_C, CTRL_Z, CTRL_D = b"\x03", b"\x1a", b"\x04"


class Terminal:
    """`program` in the foreground of a terminal of its own; use as a context."""

    def __init__(self, program: Sequence[str], environment: dict[str, str]) -> None:
        self._master, self.slave = pty.openpty()
        self.seen = b""

        def control() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(  # noqa: S603
            program,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "dumb", **environment},
            start_new_session=True,
            preexec_fn=control,  # noqa: PLW1509 - there are no threads here
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self.slave)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def expect(self, text: bytes) -> bytes:
        """What the terminal showed up to `text`, which is taken off."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self._master, 65536)
        before, _, self.seen = self.seen.partition(text)
        return before

    @property
    def foreground(self) -> int:
        """The process group that has the keyboard."""
        return os.tcgetpgrp(self._master)

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def drain(self) -> None:
        """Reads what is there, so that nothing waits for us."""
        while select.select([self._master], [], [], 0)[0]:
            self.seen += os.read(self._master, 65536)

    def hang_up(self) -> None:
        """The window is closed."""
        self.process.send_signal(signal.SIGHUP)
