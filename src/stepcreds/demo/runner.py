"""The little of a CI's runner that a step meets: a folder, an environment, a log. It knows nothing of the incident."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

_MASK = "::add-mask::"


class Runner:
    """Runs the commands of steps in `folder`, and hands each line of their output to `log` as soon as it is there.

    As GitHub's runner does, it hides the values it is told to hide with `::add-mask::`, and keeps workflow commands out
    of the log (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._log = log
        self._hidden: list[str] = []

    def run(self, argv: Sequence[str], **variables: str) -> int:
        """The exit code of `argv`, run with the runner's environment and `variables`. `stepcreds` is this program."""
        program = [sys.executable, "-m", "stepcreds"] if argv[0] == "stepcreds" else [argv[0]]
        with subprocess.Popen(
            [*program, *argv[1:]],
            cwd=self._folder,
            env=self._environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                self._take(line.rstrip("\n"))
        return process.returncode

    def _take(self, line: str) -> None:
        if line.startswith(_MASK):
            self._hidden.append(unquote(line.removeprefix(_MASK)))
        elif not line.startswith("::"):
            for value in self._hidden:
                line = line.replace(value, "***")
            self._log(line)
