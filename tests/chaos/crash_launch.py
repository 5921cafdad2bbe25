"""Runs stepcreds and kills it before one of its lines; or tells which lines it executes. Started by path, imports little.

    python crash_launch.py ORDER exec migrate -- true

It is what a debugger does: sys.settrace(), which a fork inherits, on the code of stepcreds alone, and nothing in
stepcreds knows of it. ORDER is JSON:

`log`         a file: `worker PID` when that half begins; `line HALF FILE:LINE` for each line where lines are recorded;
              `killed TIME HALF` right before the kill
`kill`        null to record lines; else `half`, `file` (below stepcreds/), `line` and `occurrence` of the line before
              which to kill, and `victims` of `worker`, `front`, `command`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import stepcreds.cli
from stepcreds.process.proc import children

SOURCE = str(Path(stepcreds.cli.__file__).parent.parent) + "/"
MOST = 50  # executions of a line that are recorded
OPTIMIZED = 0x1  # CO_OPTIMIZED: the code of a function; an import or the body of a class holds nothing yet


class Tracer:
    """One for the process and its forks; the halves are told apart by how many forks they are away from the start."""

    def __init__(self, log: str, kill: dict[str, Any] | None) -> None:
        # Closed by exec, so that neither half takes it for a file of the CI's.
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.kill = kill
        self.forks = 0
        self.front = os.getpid()
        self.seen = 0
        self.recorded: Counter[tuple[str, str, int]] = Counter()
        self.done = False
        self.target = SOURCE + kill["file"] if kill else ""
        os.register_at_fork(after_in_child=self.forked)

    @property
    def half(self) -> str:
        return ("front", "worker", "other")[min(self.forks, 2)]

    def forked(self) -> None:
        self.forks += 1
        if self.forks == 1:
            self.say(f"worker {os.getpid()}")

    def say(self, text: str) -> None:
        os.write(self.log, text.encode() + b"\n")

    def begin(self) -> None:
        threading.settrace(self.call)
        sys.settrace(self.call)

    def call(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if self.done or not code.co_flags & OPTIMIZED:
            return None
        if self.kill is None:
            return self.record if code.co_filename.startswith(SOURCE) else None
        if code.co_filename != self.target or not self.is_there(code):
            return None
        return self.count

    def is_there(self, code: CodeType) -> bool:
        assert self.kill is not None
        wanted = self.kill["line"]
        return any(line == wanted for _, _, line in code.co_lines())

    def record(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            place = (self.half, frame.f_code.co_filename.removeprefix(SOURCE), frame.f_lineno)
            self.recorded[place] += 1
            if self.recorded[place] <= MOST:
                self.say(f"line {place[0]} {place[1]}:{place[2]}")
        return self.record

    def count(self, frame: FrameType, event: str, argument: object) -> Any:
        assert self.kill is not None
        if event == "line" and frame.f_lineno == self.kill["line"] and self.half == self.kill["half"] and not self.done:
            self.seen += 1
            if self.seen == self.kill["occurrence"]:
                self.done = True
                self.strike(self.kill["victims"])
        return self.count

    def strike(self, victims: list[str]) -> None:
        """The other half, the command's process groups, and ourselves last: nothing of us runs in between."""
        sys.settrace(None)
        in_worker = self.half == "worker"
        mine = children()
        worker = os.getpid() if in_worker else (mine[0] if mine else 0)
        groups = mine if in_worker else grandchildren(worker)
        self.say(f"killed {time.time():.6f} {self.half}")  # noqa: TID251 - compared with the servers' logs
        with suppress(ProcessLookupError):
            if in_worker and "front" in victims:
                os.kill(self.front, signal.SIGKILL)
                while os.getppid() == self.front:  # it dies when it has a processor: before the line, and not after it
                    time.sleep(0.001)
            if not in_worker and worker and "worker" in victims:
                os.kill(worker, signal.SIGKILL)
        if "command" in victims:
            for group in groups:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
        # Before the fork the front is all there is.
        if self.half in victims or not worker:
            os.kill(os.getpid(), signal.SIGKILL)


def grandchildren(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    sys.argv = ["stepcreds", *sys.argv[2:]]
    tracer = Tracer(order["log"], order["kill"])
    tracer.begin()
    stepcreds.cli.main()
