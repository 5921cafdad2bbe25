"""How a step speaks in a log: lines, the CI's masking commands and its annotations, all of them on stderr."""

from __future__ import annotations

import sys

from stepcreds.ci.interface import CI, Level
from stepcreds.cli.log_stream import runner_reads
from stepcreds.cli.messages import coloured, render_error, render_warning
from stepcreds.errors import StepcredsError
from stepcreds.printable import printable


class LogVoice:
    """`session.step.Voice` on this process's stderr; stdout is the command's alone.

    `quiet` keeps back what is not a problem. `started_by` is the process that started stepcreds, 0 where nothing is to
    be masked.
    """

    def __init__(self, ci: CI, *, quiet: bool = False, started_by: int = 0) -> None:
        self._ci = ci
        self._quiet = quiet
        self._started_by = started_by
        self._colour = coloured(sys.stderr)

    def say(self, text: str) -> None:
        if not self._quiet:
            self._write(f"stepcreds: {printable(text)}\n")

    def warn(self, text: str) -> None:
        self._write(render_warning(text, self._colour) + "\n", self._annotation(text, "warning"))

    def fail(self, error: StepcredsError) -> None:
        self._write(render_error(error, self._colour) + "\n", self._annotation(error.what, "error"))

    def mask(self, commands: str) -> bool:
        if not commands or not runner_reads(2, self._started_by):
            return False
        self._write(commands)
        return True

    def _annotation(self, text: str, level: Level) -> str:
        return self._ci.annotate("stepcreds", printable(text), level)

    def _write(self, *texts: str) -> None:
        if sys.stderr is None:  # it was closed when we started
            return
        try:
            sys.stderr.write("".join(texts))
            sys.stderr.flush()
        except OSError:
            # Nobody reads the log any more. What is being ended is ended all the same.
            sys.stderr = open("/dev/null", "w")  # noqa: SIM115, PTH123 - stays open for the rest of the process
