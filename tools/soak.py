"""Five hundred steps at once, thousands of steps, then thousands of kills; and whether anything lives on or grows.

    make soak                                              # 5,000 steps and 10,000 kills: about an hour
    make soak ARGS="--crowd 50 --steps 200 --kills 300 --json soak.json"
    make soak ARGS="--crowd 0 --steps 0 --seed 5 --repeat 4711"   # one kill of that seed again

Exit code 1 and every violation in full where something did not hold; the folders of such kills are kept. Ctrl-C among
the kills ends them with their batch, and reports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("", "chaos", "action", "session")]

from crash_batch import Batches, Tally  # noqa: E402 - found where the line above says
from crash_crowd import crowd  # noqa: E402
from crash_kills import SCENARIOS, Plan, children  # noqa: E402
from crash_stack import LASTING, CrashStack  # noqa: E402

from stepcreds.devstack.stack import Stack  # noqa: E402
from stepcreds.ledger.reading import read_chain  # noqa: E402
from stepcreds.ledger.verify import verify  # noqa: E402

ALONE = 0.2  # share of the steps that run one after the other
BATCH = 100  # kills between two looks at what lives
SPAN = 0.1  # of the steps of a phase: the first and the last, whose latencies are compared
# A server or a step grows if its last quarter of samples is above its second by more than this. The first warms up.
GROWTH = {"KiB": 0.25, "files": 0.10}
AT_LEAST = {"KiB": 8192, "files": 8}  # below this a difference means nothing
WARM_UP = 0.25


class Sample(NamedTuple):
    kib: int  # resident memory; of PostgreSQL the proportional share of all its processes
    files: int  # open descriptors


class Sampler:
    """Looks at processes and leases every two seconds."""

    def __init__(self, stack: CrashStack, running: Callable[[], int]) -> None:
        self.stack = stack
        self.running = running
        self.watched: dict[str, Callable[[], Sample]] = {}
        self.samples: dict[str, list[Sample]] = {}
        self.most_leases = 0
        self.violations: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def watch(self, name: str, look: Callable[[], Sample]) -> None:
        self.watched = {**self.watched, name: look}

    def _sample(self) -> None:
        while not self._stop.wait(2.0):
            for name, look in self.watched.items():
                try:
                    self.samples.setdefault(name, []).append(look())
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
                early, late = self.ends(name, index)
                if len(samples) >= 40 and late - early > max(AT_LEAST[unit], early * GROWTH[unit]):
                    found.append(f"{name} grew from {early} to {late} {unit}")
        return found

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


class Steps:
    """Runs whole steps, counts how many run at once, and keeps how long each took."""

    def __init__(self, stack: CrashStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._running = 0
        self._most = 0

    def most(self) -> int:
        """How many have run at once since the last call; -1 where that is not known."""
        with self._lock:
            most, self._most = self._most, self._running
            return most

    def run(self, name: str, count: int, concurrency: int, told: Callable[[int], None]) -> list[float]:
        """Seconds that each took, in the order in which they began."""
        folders = [self.folder / f"{name}-{n}" for n in range(0, count, 500)]  # a job has no thousands of steps
        for folder in folders:
            folder.mkdir()
            (folder / "stepcreds.yml").write_text(self.stack.config_for(folder / ".stepcreds"))
        done = 0
        seconds = []
        with ThreadPoolExecutor(concurrency) as pool:
            for took in pool.map(lambda n: self.one(f"{name}-{n}", folders[n // 500]), range(count)):
                seconds.append(took)
                done += 1
                told(done)
        for folder in folders:
            self.check(folder)
        return seconds

    def one(self, name: str, folder: Path) -> float:
        with self._lock:
            self._running += 1
            self._most = max(self._most, self._running)
        start = time.monotonic()
        profile = "migrate" if name.endswith("7") else "verify"
        done = subprocess.run(
            [sys.executable, "-I", "-m", "stepcreds", "exec", profile, "--", "true"],
            cwd=folder,
            env=self.stack.variables(name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        took = time.monotonic() - start
        with self._lock:
            self._running -= 1
        if done.returncode != 0:
            self.violations.append(f"step {name} ended with {done.returncode}: {done.stdout}")
        return took

    def check(self, folder: Path) -> None:
        """Every end on record is proven, and the ledger verifies."""
        files = sorted((folder / ".stepcreds").glob("*.jsonl"))
        for result in verify(files):
            self.violations += [f"{result.file}:{each.line}: {each.code}" for each in result.findings]
        unproven = [view for file in files for view in read_chain(file).credentials if not view.proven]
        self.violations += [f"{view.file}: {view.credential_uid}: {view.verdict}" for view in unproven]


@contextmanager
def lasting(stack: CrashStack, folder: Path) -> Iterator[tuple[int, int]]:
    """A step that is renewed as long as the soak lasts: the ids of its halves. It ends, proven dead, with the block."""
    folder.mkdir()
    (folder / "stepcreds.yml").write_text(stack.config_for(folder / ".stepcreds"))
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "stepcreds", "exec", LASTING, "--", "sh", "-c", ": >begun; exec sleep 100000"],
        cwd=folder,
        env=stack.variables(LASTING),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "said").open("wb"),
    )
    try:
        while not (folder / "begun").exists():
            if process.poll() is not None:
                sys.exit(f"the lasting step ended:\n{(folder / 'said').read_text()}")
            time.sleep(0.05)
        yield process.pid, children(process.pid)[0]
    finally:
        process.terminate()
        process.wait(120)


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
        kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return Sample(kib, len(os.listdir(f"/proc/{postmaster}/fd")))  # noqa: PTH208


def server_of(keeper: int) -> int:
    """The server is the keeper's only child."""
    return children(keeper)[0]


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)], 3) for q in (50, 95, 99)}


class Progress:
    """A line now and then, with how long the rest will take."""

    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count
        self.start = self.last = time.monotonic()

    def __call__(self, done: int, more: str = "") -> None:
        now = time.monotonic()
        if now - self.last >= 15 or done >= self.count:
            self.last = now
            left = (now - self.start) / max(1, done) * (self.count - done)
            print(f"{self.what}: {done} of {self.count}, {left / 60:.1f} minutes left{more}", flush=True)


class Soak:
    def __init__(self, asked: argparse.Namespace, stack: CrashStack, folder: Path) -> None:
        self.asked = asked
        self.stack = stack
        self.folder = folder
        self.steps = Steps(stack, folder)
        self.tally = Tally()
        self.figures: dict[str, Any] = {"seed": asked.seed}
        self.violations: list[str] = []

    def run(self) -> None:
        """Everything but the crowd."""
        openbao, postgresql = self.stack.openbao.process, self.stack.postgresql.process
        assert openbao is not None and postgresql is not None  # noqa: S101, PT018 - they run
        bao, postmaster = server_of(openbao.pid), server_of(postgresql.pid)
        with Sampler(self.stack, self.steps.most) as sampler:
            sampler.watch("OpenBao", lambda: of_process(bao))
            sampler.watch("PostgreSQL", lambda: of_postgresql(postmaster))
            with lasting(self.stack, self.folder / LASTING) as (front, worker):
                sampler.watch("front of a long step", lambda: of_process(front))
                sampler.watch("worker of a long step", lambda: of_process(worker))
                self.run_steps()
                sampler.running = lambda: -1  # a killed step keeps its lease for a while
                self.figures["most leases while steps ran"] = sampler.most_leases
                self.run_kills()
                self.figures["renewals of the long step"] = self.renewals()
        (view,) = [
            each
            for file in (self.folder / LASTING / ".stepcreds").glob("*.jsonl")
            for each in read_chain(file).credentials
        ]
        if not view.proven:
            self.violations.append(f"the long step ended {view.verdict}")
        self.look_for_what_lives()
        self.violations += sampler.violations + sampler.growth()
        self.figures["growth"] = {
            name: {"KiB": sampler.ends(name, 0), "files": sampler.ends(name, 1), "samples": len(samples)}
            for name, samples in sampler.samples.items()
        }

    def renewals(self) -> int:
        with self.stack.openbao.audit_log.open() as log:
            return sum(
                f'"job_workflow_ref":"{LASTING}"' in line and '"path":"sys/leases/renew"' in line
                for line in log
                if '"type":"response"' in line
            )

    def look_for_what_lives(self) -> None:
        """After all of it: nothing at all."""
        if users := self.stack.issued_roles():
            self.violations.append(f"users at the end: {users}")
        if leases := [lease for each in self.stack.profiles.values() for lease in self.stack.leases(each.creds)]:
            self.violations.append(f"leases at the end: {leases}")

    def run_steps(self) -> None:
        alone = int(self.asked.steps * ALONE)
        for name, count, concurrency in (
            ("one after the other", alone, 1),
            (f"{self.asked.concurrency} at once", self.asked.steps - alone, self.asked.concurrency),
        ):
            if not count:
                continue
            start = time.monotonic()
            seconds = self.steps.run(name.replace(" ", "-"), count, concurrency, Progress(f"steps, {name}", count))
            span = max(1, int(count * SPAN))
            self.figures.setdefault("steps", {})[name] = {
                "steps": count,
                "minutes": round((time.monotonic() - start) / 60, 1),
                "all": quantiles(seconds),
                "first": quantiles(seconds[:span]),
                "last": quantiles(seconds[-span:]),
            }
        self.violations += self.steps.violations

    def run_kills(self) -> None:
        asked = self.asked
        if not (asked.kills or asked.every_line or asked.repeat is not None):
            return
        batches = Batches(self.stack, self.folder, asked.concurrency)
        recorded = bool(asked.lines or asked.every_line)
        seconds, lines = batches.rehearse([asked.every_line] if asked.every_line else asked.scenarios, record=recorded)
        plan = Plan(asked.seed, seconds, lines, asked.lines)
        if asked.every_line:
            kills = plan.every_line(asked.every_line)
        else:
            kills = [plan.kill(number) for number in (range(asked.kills) if asked.repeat is None else [asked.repeat])]
        progress = Progress("kills", len(kills))
        start = time.monotonic()
        try:
            for done, checked in enumerate(batches.run_all(kills, BATCH), 1):
                self.tally.add(checked)
                progress(min(done * BATCH, len(kills)), f"; {len(self.tally.violations)} violations")
        except KeyboardInterrupt:  # what is known by then is worth a report
            self.figures["interrupted"] = True
        tally = self.tally
        self.violations += tally.violations
        self.figures["kills"] = {
            "drawn": len(kills),
            "hit": tally.kills,
            "after the end": tally.missed,
            "minutes": round((time.monotonic() - start) / 60, 1),
            "longest life after Vault was last asked (s)": round(tally.longest, 1),
            "effective TTL (s)": 12,
            "most leases": tally.most_leases,
            "one half survived, not proven": tally.exceptions,
            "outcomes": [[*row, count] for row, count in sorted(tally.rows.items())],
        }

    def run_crowd(self) -> None:
        """On servers of their own: their credentials live as long as is usual, because they wait for each other."""
        steps = self.asked.crowd
        if not steps:
            return
        print(f"{steps} steps at once", flush=True)
        folder = self.folder / "crowd"
        folder.mkdir()
        start = time.monotonic()
        with Stack(max_connections=2 * steps + 100) as stack:
            result = crowd(stack, folder, steps)
        self.figures["crowd"] = {
            "steps": steps,
            "minutes": round((time.monotonic() - start) / 60, 1),
            **quantiles(result.seconds),
            "wrong": len(result.wrong),
        }
        self.violations += result.wrong

    def report(self) -> None:
        rows: list[tuple[str, str, str, str]] = []
        self.tally.tell(lambda *row: rows.append((*row[:3], "" if row[3] is None else f"{row[3]:.1f}")))
        if rows:
            print(tabulate(rows, headers=("fault", "stage", "outcome", "dead after (s)"), disable_numparse=True))
        for name, each in self.figures.get("steps", {}).items():
            table = [(when, *each[when].values()) for when in ("all", "first", "last")]
            print(f"\n{each['steps']} steps, {name}, in {each['minutes']} minutes; seconds of a whole step:")
            print(tabulate(table, headers=("", "p50", "p95", "p99")))
        if "growth" in self.figures:
            table = [(name, *each["KiB"], *each["files"]) for name, each in self.figures["growth"].items()]
            print()
            print(tabulate(table, headers=("", "KiB early", "KiB late", "files early", "files late")))
        for name, value in self.figures.items():
            if name not in ("steps", "growth", "kills", "violations"):
                print(f"{name}: {value}")
        for name, value in self.figures.get("kills", {}).items():
            if name != "outcomes":
                print(f"kills, {name}: {value}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10000)
    parser.add_argument("--crowd", type=int, default=500, help="steps that begin at once; each takes 25 MB of memory")
    parser.add_argument("--concurrency", type=int, default=4, help="how many run at once")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="what is killed")
    parser.add_argument("--lines", type=float, default=0.25, help="share of the kills that is before a line")
    parser.add_argument("--every-line", choices=SCENARIOS, help="instead: once before each line of this one's life")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--repeat", type=int, metavar="NUMBER", help="only this kill of the seed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="stepcreds-soak-"))
    with CrashStack() as stack:
        soak = Soak(asked, stack, folder)
        soak.run_crowd()
        soak.run()
    soak.figures["violations"] = soak.violations
    soak.report()
    if asked.json:
        asked.json.write_text(json.dumps(soak.figures, indent=2) + "\n")
    if not soak.violations:
        shutil.rmtree(folder)
    for violation in soak.violations:
        print(f"VIOLATION: {violation}")
    print(f"{len(soak.violations)} violations" + (f"; evidence in {folder}" if soak.violations else ""))
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
