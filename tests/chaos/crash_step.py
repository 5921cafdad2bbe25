"""One whole step that nobody kills, started or run to its end: the same for a crowd and for a soak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from crash_processes import has_ended

PATIENCE = 900.0  # seconds that a step may take, on a machine with hundreds of them


class Started:
    """`stepcreds exec PROFILE -- COMMAND` in `folder`, whose stepcreds.yml it finds there; `said` is a file.

    In a session of its own: a Ctrl-C is for whoever started it.
    """

    def __init__(self, profile: str, *command: str, folder: Path, variables: Mapping[str, str], said: Path) -> None:
        self._said = said
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-m", "stepcreds", "exec", profile, "--", *command],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def wrong(self, patience: float) -> str:
        """What is wrong with its end, "" for nothing; one that has none within `patience` seconds is killed."""
        if not has_ended(self.process, patience):
            self.process.kill()
            self.process.wait()
            return f"did not end in time: {self.said}"
        code = self.process.returncode
        return f"ended with {code}: {self.said}" if code else ""


def run_step(profile: str, *command: str, folder: Path, variables: Mapping[str, str], said: Path) -> str:
    """As `Started.wrong` has it."""
    return Started(profile, *command, folder=folder, variables=variables, said=said).wrong(PATIENCE)
