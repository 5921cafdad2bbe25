"""Nobody reads the log: the reader of a step's output stands still, and its pipe is full. What the step has to say is lost,
and its credential ends."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest
from chaos_table import Tell
from step_runs import Running, until
from sweep_runs import DEAD, RUNS, Sweep

from processes import Watched
from stepcreds.devstack.stack import Stack

# To the last byte, and as whoever shares the pipe finds it: it blocks.
FILL = """
import os
os.set_blocking(1, False)
for size in (4096, 1):
    try:
        while True:
            os.write(1, b"x" * size)
    except BlockingIOError:
        pass
os.set_blocking(1, True)
"""
FULL = 60_000  # bytes in a pipe of 64 KiB that takes no more


class Unread(Running):
    """A step with stdout and stderr in one pipe, from which nobody reads."""

    def _start(
        self, stack: Stack, folder: Path, command_line: Sequence[str], variables: Mapping[str, str | None]
    ) -> None:
        merged: dict[str, str | None] = {**stack.environment(), **variables}
        self.log, write = os.pipe()
        self.process = subprocess.Popen(
            command_line,
            cwd=folder,
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            text=True,
        )
        os.close(write)

    def is_full(self) -> bool:
        unread = fcntl.ioctl(self.log, termios.FIONREAD, struct.pack("i", 0))
        return int(struct.unpack("i", unread)[0]) > FULL

    def wait(self, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        code = self.process.wait(seconds)
        return subprocess.CompletedProcess(self.process.args, code, "", "")

    def __enter__(self) -> Unread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.log)


CODES = {"exit": 7, "SIGTERM": 143, "worker": 137}
TOLD = {
    "exit": ("step: nobody reads its log", "lock"),
    "SIGTERM": ("step: SIGTERM, and nobody reads its log", RUNS),
    "worker": ("worker: SIGKILL, and nobody reads the log", RUNS),
}
FAST = (("exit", "--redact"), ("worker", "--no-redact"))


@pytest.mark.parametrize(
    ("what", "redact"),
    [
        pytest.param(what, redact, marks=[] if (what, redact) in FAST else [pytest.mark.chaos])
        for what in CODES
        for redact in ("--redact", "--no-redact")
    ],
)
def test_a_log_that_nobody_reads(sweep: Sweep, row: Tell, what: str, redact: str) -> None:
    fills = "head -c 300000 /dev/zero" if redact == "--redact" else f"{sys.executable} -c '{FILL}'"
    go = sweep.folder / "go"
    stays = f"while ! [ -e {go} ]; do sleep 0.05; done; exit 7"
    command = ("sh", "-c", f"echo ran > {sweep.marker}; {fills}; {stays}")
    with Unread(sweep.stack, sweep.config_file, "exec", redact, "migrate", "--", *command) as step:
        until(lambda: step.is_full() or step.process.poll() is not None, "a full pipe")
        rest = Watched([step.worker])
        moment = time.monotonic()
        if what == "exit":
            go.touch()
        else:
            is_asked = what == "SIGTERM"
            step.kill(step.process.pid if is_asked else step.worker, signal.SIGTERM if is_asked else signal.SIGKILL)
        run = step.wait()
    assert rest.alive_after(60) == []
    fault, stage = TOLD[what]
    sweep.tell(row, f"{fault}, {redact}", stage, run, moment)
    sweep.check(run, code=CODES[what], ran=True, verdicts=[DEAD])
