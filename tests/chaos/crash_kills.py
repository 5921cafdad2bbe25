"""One life of stepcreds that ends, or half ends, by SIGKILL: at a random moment, or exactly before a line of it.

Nothing here judges; what may and may not come of a kill is crash_batch's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crash_plan import ONE, SCENARIOS, VICTIMS, Kill, Point, shell
from crash_processes import PATIENCE, children, environ, has_ended, sessions, signal_all, until_gone
from crash_stack import CrashStack
from simulated_job import Job

# Isolated from the start, or it would begin with starting itself again.
STEPCREDS = ["-I", "-m", "stepcreds"]
LAUNCHER = Path(__file__).with_name("crash_launch.py")
MARKER = "CRASH_STEP"  # in the environment of everything that a step starts
OUTPUT = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class Life(NamedTuple):
    """What became of the processes. Times are epoch seconds."""

    kill: Kill
    hit: bool
    at: float  # of the kill
    begun: float  # of the command, 0.0 where it did not begin
    code: int  # of the front
    folder: Path
    ledger: Path
    running: tuple[int, ...]  # processes that were left
    private: tuple[str, ...]  # folders that were left
    recovery: subprocess.CompletedProcess[str] | None

    @property
    def said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")


class Killer:
    """Runs and kills on `stack`; `batch` is a folder whose ledger steps of the batch share."""

    def __init__(self, stack: CrashStack, batch: Path) -> None:
        self.stack = stack
        self.batch = batch
        self.ledger = batch / ".stepcreds"
        (batch / "stepcreds.yml").write_text(stack.config_for(self.ledger))

    def run(self, kill: Kill) -> Life:
        return _Run(self, kill).run()

    def whole(self, name: str, scenario: str, *, record: bool = False) -> tuple[float, list[tuple[str, str, int]]]:
        """How long a life lasts that nobody ends (seconds), and its lines in order where they are recorded."""
        run = _Run(self, Kill(name, scenario, "both", 0.0, 0.0, recover=False))
        if scenario == "revoke":
            run.leave_something()
        start = time.monotonic()
        code = run.start({"log": str(run.log), "kill": None} if record else None).wait(PATIENCE)
        seconds = time.monotonic() - start
        run.drain()
        # `doctor` finds these servers' credentials short-lived.
        assert code == 0 or (scenario, code) == ("doctor", 1), (
            f"{scenario} ended with {code}:\n{(run.folder / 'output').read_text()}"
        )
        if scenario == "outputs":
            run.recover()
        return seconds, lines_of(run.log) if record else []


class _Run:
    def __init__(self, killer: Killer, kill: Kill) -> None:
        self.stack, self.kill = killer.stack, kill
        self.folder = killer.batch / kill.name
        self.folder.mkdir()
        self.private = self.folder / "private"
        self.private.mkdir()
        self.log = self.folder / "log"
        self.log.touch()
        self.mark = self.folder / "mark"
        self.job: Job | None = None
        self.home, self.ledger = killer.batch, killer.ledger
        if kill.scenario == "outputs":
            self.job = Job(killer.stack, self.folder / "job")
            self.job.config.write_text(self.stack.config_for(None))
            self.use = self.job.use(profile="handed", outputs="true")
            self.home, self.ledger = self.job.workspace, self.job.ledger
        elif kill.scenario == "revoke" or kill.recover:
            self.home, self.ledger = self.folder, self.folder / ".stepcreds"
            (self.folder / "stepcreds.yml").write_text(self.stack.config_for(self.ledger))

    def run(self) -> Life:
        if self.kill.scenario == "revoke":
            self.leave_something()
        timed = not isinstance(self.kill.moment, Point)
        process = self.start(None if timed else self.order())
        at = self.strike_by_time(process) if timed else 0.0
        has_ended(process, PATIENCE)
        code = process.wait(0)
        worker, told = self.told()
        at = at or told
        if self.worker or worker:
            until_gone(self.worker or worker, process.pid)
        self.drain()
        left = self.left_by_a_half(process.pid) if self.kill.victims in ONE else self.left(process.pid)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        recovery = self.recover() if self.kill.recover and at else None
        begun = self.mark.stat().st_mtime if self.mark.exists() else 0.0
        private = tuple(path.name for path in self.private.iterdir())
        return Life(self.kill, bool(at), at, begun, code, self.folder, self.ledger, left, private, recovery)

    def order(self) -> dict[str, object]:
        assert isinstance(self.kill.moment, Point)
        return {"log": str(self.log), "kill": {**self.kill.moment._asdict(), "victims": VICTIMS[self.kill.victims][0]}}

    def variables(self, name: str) -> dict[str, str]:
        own = {
            MARKER: name,
            "CRASH_MARK": str(self.mark),
            "XDG_RUNTIME_DIR": str(self.private),
        }
        known = self.stack.variables(name, **own)
        if self.job is None:
            return known
        url = "ACTIONS_ID_TOKEN_REQUEST_URL"
        return self.use.environment("main", **{url: known[url], **own})

    def start(self, order: dict[str, object] | None) -> subprocess.Popen[bytes]:
        how = STEPCREDS if order is None else ["-I", str(LAUNCHER), json.dumps(order)]
        return self.popen([*how, *SCENARIOS[self.kill.scenario].arguments], self.variables(self.kill.name))

    def popen(self, arguments: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        self.worker = 0
        # The Action insists on a pipe, as the runner's is. What one says is less than the pipe holds.
        self.pipe, end = os.pipe() if self.job else (-1, os.open(self.folder / "output", OUTPUT, 0o600))
        try:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.home,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=end,
                stderr=end,
                start_new_session=True,
            )
        finally:
            os.close(end)

    def drain(self) -> None:
        if self.pipe >= 0:
            os.set_blocking(self.pipe, False)
            with suppress(BlockingIOError):
                (self.folder / "output").write_bytes(os.read(self.pipe, 65536))
            os.close(self.pipe)

    def strike_by_time(self, process: subprocess.Popen[bytes]) -> float:
        """When the first of the victims was killed, 0.0 if it had ended before."""
        assert isinstance(self.kill.moment, float)
        first, second = VICTIMS[self.kill.victims]
        if has_ended(process, self.kill.moment):
            return 0.0
        at = self.strike(process, first)
        if at and second:
            time.sleep(self.kill.gap)
            self.strike(process, second)
        return at

    def strike(self, process: subprocess.Popen[bytes], victims: tuple[str, ...]) -> float:
        """Where more than one is to die, all are stopped first, or the first death would be noticed by the other."""
        workers = children(process.pid)
        self.worker = self.worker or next(iter(workers), 0)
        pids = [process.pid] if "front" in victims else []
        # Before the fork the front is all there is.
        pids += [self.worker or process.pid] if "worker" in victims else []
        if len(pids) > 1:
            signal_all(pids, signal.SIGSTOP)
        groups = children(self.worker) if "command" in victims and self.worker else []
        at = time.time()  # noqa: TID251 - compared with the servers' logs
        struck = signal_all(pids, signal.SIGKILL)
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        return at if struck else 0.0

    def told(self) -> tuple[int, float]:
        """What the launcher wrote down: the worker's id, and the time of the kill."""
        worker, at = 0, 0.0
        for line in self.log.read_text().splitlines():
            match line.split():
                case ["worker", pid]:
                    worker = int(pid)
                case ["killed", when, _]:
                    at = float(when)
        return worker, at

    def left_by_a_half(self, session: int) -> tuple[int, ...]:
        """The half that is left ends all of it: a worker that was forked just before its front was killed as well, and
        after the worker what it had started to be ended with the job."""
        deadline = time.monotonic() + PATIENCE
        while (left := self.left(session)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return left

    def left(self, session: int) -> tuple[int, ...]:
        """Every process of the step that still runs."""
        name = f"{MARKER}={self.kill.name}\0".encode()
        return tuple(pid for pid, its in sessions() if its == session or name in environ(pid))

    def leave_something(self) -> None:
        """A step of which both halves are killed while its command runs, for `revoke` to find."""
        command = ("exec", "migrate", *shell("exec sleep 300"))
        process = self.popen([*STEPCREDS, *command], self.variables(f"{self.kill.name}-first"))
        deadline = time.monotonic() + PATIENCE
        while not self.mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.strike(process, ("front", "worker", "command"))
        process.wait(PATIENCE)
        self.mark.unlink(missing_ok=True)
        shutil.rmtree(self.private)
        self.private.mkdir()

    def recover(self) -> subprocess.CompletedProcess[str]:
        """The end of the job."""
        variables = self.variables(f"{self.kill.name}-recovery")
        arguments = ["revoke", "--all"]
        if self.job is not None:
            url = "ACTIONS_ID_TOKEN_REQUEST_URL"
            variables = self.use.environment("post", **{url: variables[url]})
            arguments = ["action", "post"]
        return subprocess.run(
            [sys.executable, *STEPCREDS, *arguments],
            cwd=self.home,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def lines_of(log: Path) -> list[tuple[str, str, int]]:
    """Half, file and line of each line that a recorded life executed; not of the processes between fork and exec."""
    found = []
    for text in log.read_text().splitlines():
        kind, half, *place = text.split()
        if kind == "line" and half != "other":
            file, _, line = place[0].rpartition(":")
            found.append((half, file, int(line)))
    return found
