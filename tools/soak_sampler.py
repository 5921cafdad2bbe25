"""Looks at processes and leases every two seconds while a soak runs, and says what grew. It starts nothing."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from crash_check import SLACK
from crash_processes import children
from crash_stack import LONGEST, CrashStack

LOOK = 2.0  # seconds
FEWEST = 40  # samples: with less of them nothing is said of growth
# A server or a step grows if its last quarter of samples is above its second by more than this. The first warms up.
GROWTH = {"KiB": 0.25, "files": 0.10}
AT_LEAST = {"KiB": 8192, "files": 8}  # below this a difference means nothing
WARM_UP = 0.25


class Sample(NamedTuple):
    kib: int  # resident memory; of PostgreSQL the proportional share of all its processes
    files: int  # open descriptors


class Sampler:
    """`with Sampler(…) as sampler:` watches what it is told to."""

    def __init__(self, stack: CrashStack, running: Callable[[], int]) -> None:
        """`running` says how many steps have run at once since it was asked before; -1 where that is not known."""
        self.stack = stack
        self.running = running
        self.watched: dict[str, Callable[[], Sample]] = {}
        self.samples: dict[str, list[Sample]] = {}
        self.most_leases = 0
        self.violations: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def watch(self, name: str, look: Callable[[], Sample]) -> None:
        self.samples[name] = []
        self.watched = {**self.watched, name: look}

    def _sample(self) -> None:
        try:
            while not self._stop.wait(LOOK):
                self._look()
        except Exception as error:  # noqa: BLE001 - what is not looked at is not known to hold
            self.violations.append(f"the sampler ended: {error!r}")

    def _look(self) -> None:
        for name, look in self.watched.items():
            try:
                self.samples[name].append(look())
            except OSError:  # it has ended
                continue
        leases = len(self.stack.alive_leases())
        most = self.running()  # asked last: since the last time, that is, and so also while the leases were listed
        self.most_leases = max(self.most_leases, leases)
        if leases > most >= 0:
            self.violations.append(f"{leases} leases while {most} steps ran at most")

    def growth(self) -> list[str]:
        """What grew."""
        found = []
        for name, samples in self.samples.items():
            for unit, index in (("KiB", 0), ("files", 1)):
                if len(samples) < FEWEST:
                    continue
                early, late = self.ends(name, index)
                if late - early > max(AT_LEAST[unit], early * GROWTH[unit]):
                    found.append(f"{name} grew from {early} to {late} {unit}")
        return found

    def unseen(self) -> list[str]:
        """What was looked at too seldom for `growth`."""
        return [f"{len(each)} samples of {name}" for name, each in self.samples.items() if len(each) < FEWEST]

    def figures(self) -> dict[str, dict[str, object]]:
        return {
            name: {"KiB": self.ends(name, 0), "files": self.ends(name, 1), "samples": len(samples)}
            for name, samples in self.samples.items()
            if samples
        }

    def ends(self, name: str, index: int) -> tuple[int, int]:
        """The median of the second quarter of its samples, and of the last."""
        values = [sample[index] for sample in self.samples[name]]
        quarter = max(1, int(len(values) * WARM_UP))
        early = values[quarter : 2 * quarter] or values
        return int(statistics.median(early)), int(statistics.median(values[-quarter:]))

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def of_process(pid: int) -> Sample:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    rss = [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
    if not rss:
        raise ProcessLookupError(f"process {pid} has ended")
    return Sample(rss[0], len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 - numbers, not paths


def of_postgresql(postmaster: int) -> Sample:
    """Without the backends of single sessions, that come and go."""
    kib = 0
    for pid in [postmaster, *children(postmaster)]:
        try:
            if "127.0.0.1" in Path(f"/proc/{pid}/cmdline").read_text():  # "postgres: user database 127.0.0.1(port)"
                continue
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return Sample(kib, len(os.listdir(f"/proc/{postmaster}/fd")))  # noqa: PTH208


def server_of(keeper: int) -> int:
    """The server is the keeper's only child."""
    return children(keeper)[0]


def what_lives(stack: CrashStack, forgotten: Collection[str]) -> list[str]:
    """The users and leases that are left one effective TTL after everything, the long step's included; it waits.

    Not those users that OpenBao has `forgotten`: nobody can log in as one of them.
    """
    deadline = time.monotonic() + LONGEST + SLACK
    while True:
        leases = [lease for each in stack.profiles.values() for lease in stack.leases(each.creds)]
        left = [*sorted(stack.issued_roles() - set(forgotten)), *leases]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)
