"""How a step speaks in a log: lines, the CI's masking commands, annotations and folds, all of them on stderr.

A log that nobody reads holds nobody: see `stderr.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stepcreds.ci.interface import CI, Level
from stepcreds.cli.log_stream import runner_reads
from stepcreds.cli.messages import annotation, coloured, render_error, render_warning
from stepcreds.cli.stderr import Stderr
from stepcreds.clock import Clock
from stepcreds.errors import StepcredsError
from stepcreds.printable import printable


class LogVoice:
    """`session.step.Voice` on this process's stderr; stdout is the command's alone.

    `quiet` keeps back what is not a problem. `started_by` is the process that started stepcreds, 0 where nothing is to
    be masked, annotated or folded: what only the CI's runner understands goes nowhere else.
    """

    def __init__(self, ci: CI, clock: Clock, *, quiet: bool = False, started_by: int = 0) -> None:
        self._ci = ci
        self._clock = clock
        self._quiet = quiet
        self._started_by = started_by
        self._colour = coloured(sys.stderr)
        self._title = ""  # of the lines that may be folded just now
        self._folded_at = 0.0  # epoch seconds; 0 while no fold is open
        self._log = Stderr(clock)
        self._held: list[str] | None = None
        self._warned: set[str] = set()

    def say(self, text: str) -> None:
        if not self._quiet:
            self._open_fold()
            self._write(f"stepcreds: {printable(text)}\n")

    def warn(self, text: str) -> None:
        if text in self._warned:  # of each credential of a step the same, say
            return
        self._warned.add(text)
        self._close_fold()
        self._write(render_warning(text, self._colour) + "\n", self._annotation(render_warning(text, False), "warning"))

    def fail(self, error: StepcredsError) -> None:
        self._close_fold()
        self._write(render_error(error, self._colour) + "\n", self._annotation(render_error(error, False), "error"))

    def mask(self, commands: str) -> bool:
        if not commands or not self._is_read():
            return False
        return self._write(commands)

    @contextmanager
    def folded(self, title: str) -> Iterator[None]:
        """What is said meanwhile may be folded by the CI, under `title`; a warning or an error never is."""
        self._title = title
        try:
            yield
        finally:
            self._close_fold()
            self._title = ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is said meanwhile is said at the end of it, in the same order."""
        held: list[str] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            self._write(*held)

    def hurry(self) -> None:
        """Somebody wants this process to end: the log is waited for no longer than a second from now on."""
        self._log.hurry()

    def _open_fold(self) -> None:
        if self._title and not self._folded_at and self._is_read():
            now = self._clock.now()
            before, _ = self._ci.collapse(self._title, now, now)
            if before:
                self._folded_at = now
                self._write(before)

    def _close_fold(self) -> None:
        if self._folded_at:
            _, after = self._ci.collapse(self._title, self._folded_at, self._clock.now())
            self._folded_at = 0.0
            self._write(after)

    def _annotation(self, rendered: str, level: Level) -> str:
        title, text = annotation(rendered)
        command = self._ci.annotate(title, text, level)
        return command if command and self._is_read() else ""

    def _is_read(self) -> bool:
        return runner_reads(2, self._started_by)

    def _write(self, *texts: str) -> bool:
        """Whether the log has it all."""
        if self._held is not None:
            self._held += texts
            return False
        return self._log.write("".join(texts))
