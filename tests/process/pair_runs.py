"""Starts `pair_driver.py` as a CI would start stepcreds, and looks at what becomes of it and of everything below."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"
SETPRIV = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
DEADLINE = 60.0  # seconds; for conditions that are met at once unless something is wrong

T = TypeVar("T")


def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`; fails after a minute."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.005)
    return value


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def lines_of(path: Path) -> list[str]:
    """The complete lines of a file that may not exist yet."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def signal_log(path: Path, *ends: str) -> list[str]:
    """The command that logs its signals to `path`."""
    return [sys.executable, str(HERE / "signal_log.py"), str(path), *ends]


class Report:
    """What a driver says about itself, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = folder / "report.jsonl"
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(SOURCE),
            "PAIR_RUN": str(folder),
            "PYTHONWARNINGS": "error",
        }

    def command_line(self, steps: Sequence[dict[str, Any]], python: str = sys.executable) -> list[str]:
        """The driver that takes `steps` and reports here."""
        return [python, str(HERE / "pair_driver.py"), str(self.report), json.dumps(list(steps))]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in lines_of(self.report)]

    def line(self, key: str, value: Any = None) -> dict[str, Any]:
        """The first line of the report that has `key` (with `value`), as soon as it is there."""

        def found() -> dict[str, Any]:
            return next((one for one in self.lines() if key in one and value in (None, one[key])), {})

        return until(found, f"{key} {value or ''} in {self.lines()}")

    @property
    def front(self) -> int:
        return int(self.line("front")["front"])

    @property
    def worker(self) -> int:
        return int(self.line("worker")["worker"])

    @property
    def outcome(self) -> dict[str, Any]:
        return dict(self.line("outcome")["outcome"])

    def all_running(self) -> list[int]:
        """Every process that still runs and was started below this run, by the environment it was given."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"PAIR_RUN={self.folder}\0".encode() in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def clean_up(self) -> None:
        """Ends what a failed test left: the front ends the tree when its worker is killed."""
        for worker in [line["worker"] for line in self.lines() if "worker" in line]:
            if is_running(worker):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def kill_all(self) -> None:
        """Ends whatever is left after that."""
        for pid in self.all_running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Run(Report):
    """One run of the driver as a CI would have it."""

    def __init__(
        self,
        folder: Path,
        steps: Sequence[dict[str, Any]],
        *,
        before: Sequence[str] = (),
        python: str = sys.executable,
        **options: Any,
    ) -> None:
        """`before` is put in front of the command line, as `nohup` would be; `options` go to Popen."""
        super().__init__(folder)
        self.environment |= options.pop("environment", {})
        options.setdefault("stdin", subprocess.DEVNULL)
        argv = [*before, *self.command_line(steps, python)]
        self.process: subprocess.Popen[bytes] = subprocess.Popen(argv, env=self.environment, **options)

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def clean_up(self) -> None:
        super().clean_up()
        if self.process.poll() is None:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.kill_all()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


class Starter:
    """Starts runs, each in a folder of its own in `folder`."""

    def __init__(self, folder: Path, before: Sequence[str] = (), python: str = sys.executable) -> None:
        self.folder = folder
        self.before = before
        self.python = python
        self.runs: list[Run] = []

    def __call__(self, *steps: dict[str, Any], before: Sequence[str] = (), **options: Any) -> Run:
        folder = self.folder / f"run{len(self.runs)}"
        folder.mkdir()
        folder.chmod(0o777)
        run = Run(folder, steps, before=[*self.before, *before], python=self.python, **options)
        self.runs.append(run)
        return run


@contextmanager
def pairs(folder: Path) -> Iterator[Starter]:
    """Starts the driver with the steps it is to take; whatever it leaves is ended after the test."""
    starter = Starter(folder)
    yield starter
    for run in starter.runs:
        run.clean_up()


@contextmanager
def pairs_of_nobody() -> Iterator[Starter]:
    """The same for a user without privileges, in a folder that this user can write to.

    Root may do so much that a test as root proves little about /proc, signals and limits.
    """
    # pytest's own folders are for one user only, and what is in memory is hidden by tests of steps that see nothing of it.
    folder = Path(tempfile.mkdtemp(prefix="stepcreds-nobody-", dir="/tmp"))
    folder.chmod(0o777)
    starter = Starter(folder, SETPRIV, _python_for_nobody()) if os.geteuid() == 0 else Starter(folder)
    yield starter
    for run in starter.runs:
        run.clean_up()
    shutil.rmtree(folder)


def _python_for_nobody() -> str:
    """One that this user may run: a Python in root's home is not."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        # Through a shell, which is this user already; setpriv still has root's privileges when it starts something.
        script = "import sys; assert sys.version_info >= (3, 10)"
        argv = [*SETPRIV, "sh", "-c", 'exec "$0" "$@"', python, "-c", script]
        if subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return python
    raise AssertionError("no Python that a user without privileges could run: install one in /usr/bin")
