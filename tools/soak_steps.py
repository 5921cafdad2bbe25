"""Runs whole steps that nobody kills: thousands of them, and one that lasts as long as the soak."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from crash_processes import children
from crash_stack import LASTING, CrashStack
from crash_step import Started, run_step

from stepcreds.ledger.reading import read_chain
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

SHARED = 500  # steps with one ledger: a job has no thousands


class Steps:
    """Counts how many run at once, and keeps how long each took. Whoever sets `stops` has no more begun."""

    def __init__(self, stack: CrashStack, folder: Path, stops: threading.Event) -> None:
        self.stack = stack
        self.folder = folder
        self.stops = stops
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._running = 0
        self._most = 0

    def most(self) -> int:
        """How many have run at once since the last call."""
        with self._lock:
            most, self._most = self._most, self._running
            return most

    def run(self, name: str, count: int, concurrency: int, told: Callable[[list[float]], None]) -> None:
        """`told` hears again and again how many seconds each took so far, in the order in which they began."""
        folders = [self.folder / f"{name}-{n}" for n in range(0, count, SHARED)]
        for folder in folders:
            folder.mkdir()
            (folder / "stepcreds.yml").write_text(self.stack.config_for(folder / ".stepcreds"))
        seconds: list[float] = []
        with ThreadPoolExecutor(concurrency) as pool:
            for took in pool.map(lambda n: self.one(f"{name}-{n}", folders[n // SHARED]), range(count)):
                if took is not None:
                    seconds.append(took)
                    told(seconds)
        for folder in folders:
            self.check(folder)

    def one(self, name: str, folder: Path) -> float | None:
        if self.stops.is_set():
            return None
        with self._lock:
            self._running += 1
            self._most = max(self._most, self._running)
        start = time.monotonic()
        profile = "migrate" if name.endswith("7") else "verify"
        said = folder / name
        wrong = run_step(profile, "true", folder=folder, variables=self.stack.variables(name), said=said)
        took = time.monotonic() - start
        with self._lock:
            self._running -= 1
            if wrong:
                self.violations.append(f"step {name} {wrong}")
        said.unlink()
        return took

    def check(self, folder: Path) -> None:
        """Every end on record is proven, and the ledger verifies."""
        files = sorted((folder / ".stepcreds").glob("*.jsonl"))
        for result in verify(local(files)):
            self.violations += [f"{result.file}:{each.line}: {each.code}" for each in result.findings]
        unproven = [view for file in files for view in read_chain(file).credentials if not view.proven]
        self.violations += [f"{view.file}: {view.credential_uid}: {view.verdict}" for view in unproven]


@contextmanager
def lasting(stack: CrashStack, folder: Path, violations: list[str]) -> Iterator[tuple[int, int]]:
    """A step that is renewed as long as the block lasts: the ids of its halves. It ends proven dead, or that is one of
    `violations`."""
    folder.mkdir()
    (folder / "stepcreds.yml").write_text(stack.config_for(folder / ".stepcreds"))
    command = ("sh", "-c", ": >begun; exec sleep 100000")
    step = Started(LASTING, *command, folder=folder, variables=stack.variables(LASTING), said=folder / "said")
    process = step.process
    try:
        while not (folder / "begun").exists():
            if process.poll() is not None:
                sys.exit(f"the lasting step ended:\n{step.said}")
            time.sleep(0.05)
        yield process.pid, children(process.pid)[0]
    finally:
        process.terminate()
        process.wait(120)
    views = [view for file in (folder / ".stepcreds").glob("*.jsonl") for view in read_chain(file).credentials]
    violations += [f"the long step ended {view.verdict}" for view in views if not view.proven]
    if len(views) != 1:
        violations.append(f"the long step has {len(views)} credentials on record")


def renewals(stack: CrashStack) -> int:
    """Of the step that lasts."""
    with stack.openbao.audit_log.open() as log:
        return sum(
            f'"job_workflow_ref":"{LASTING}"' in line and '"path":"sys/leases/renew"' in line
            for line in log
            if '"type":"response"' in line
        )
