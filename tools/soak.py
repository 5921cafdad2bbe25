"""Five hundred steps at once, thousands of steps, then thousands of kills; and whether anything lives on or grows.

    make soak                                              # 5,000 steps and 10,000 kills: about an hour
    make soak ARGS="--crowd 50 --steps 200 --kills 300 --json soak.json"
    make soak ARGS="--crowd 0 --steps 0 --seed 5 --repeat 4711"   # one kill of that seed again, or nearly

Exit code 1 and every violation in full where something did not hold; the folders of such kills are kept. A kill that is
repeated has the same scenario and victims; its moment is a share of how long a step takes, which is measured again.

Once a minute standard error has a line that says how far it is. FILE of --json has what is known by now all the time,
and `state` says whether that is all. Ctrl-C or SIGTERM lets what has begun come to its end, and reports; a second one
ends the soak at once.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("", "chaos", "action", "session")]

from crash_batch import Batches  # noqa: E402 - found where the line above says
from crash_check import BOUND  # noqa: E402
from crash_crowd import crowd  # noqa: E402
from crash_plan import SCENARIOS, Plan  # noqa: E402
from crash_stack import LASTING, LONGEST, CrashStack  # noqa: E402
from crash_tally import Tally  # noqa: E402
from soak_figures import Progress, of_kills, of_steps, quantiles, report, save, say  # noqa: E402
from soak_sampler import Sampler, of_postgresql, of_process, server_of, what_lives  # noqa: E402
from soak_steps import Steps, lasting, renewals  # noqa: E402

from stepcreds.devstack.stack import Stack  # noqa: E402

ALONE = 0.1  # share of the steps that run one after the other
BATCH = 200  # kills between two looks at what lives
AGAIN = 1.0  # seconds: a second signal within them is the same request
MANY = 1000  # steps of which it has to be known whether anything grew


class Soak:
    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked = asked
        self.folder = folder
        self.stops = threading.Event()
        self.asked_at = 0.0
        self.tally = Tally()
        self.figures: dict[str, Any] = {"seed": asked.seed, "state": "running"}
        self.violations: list[str] = []

    def stop(self, number: int, frame: FrameType | None) -> None:
        """What has begun comes to its end, unless it is asked again: `timeout` asks twice at a time."""
        if self.stops.is_set():
            if time.monotonic() - self.asked_at > AGAIN:
                raise KeyboardInterrupt
            return
        self.asked_at = time.monotonic()
        self.stops.set()
        self.figures["state"] = "interrupted"
        say("interrupted: what has begun comes to its end; once more ends it at once")

    def run(self) -> None:
        try:
            self.run_crowd()
            with CrashStack() as stack:
                self.run_on(stack)
            if not self.stops.is_set():
                self.figures["state"] = "complete"
        except BaseException as error:
            self.figures["state"] = f"ended by {error!r}"
            raise
        finally:
            self.save()

    def save(self, **figures: object) -> None:
        self.figures |= figures
        save({**self.figures, "violations": [*self.violations, *self.tally.violations]}, self.asked.json)

    def run_crowd(self) -> None:
        """On servers of their own: their credentials live as long as is usual, because they wait for each other."""
        steps = self.asked.crowd
        if not steps:
            return
        say(f"{steps} steps at once")
        folder = self.folder / "crowd"
        folder.mkdir()
        progress = Progress("steps at once", steps)
        with Stack(max_connections=2 * steps + 100) as stack:
            result = crowd(stack, folder, steps, progress)
        self.violations += result.wrong
        found = {"steps": steps, "minutes": progress.minutes, **quantiles(result.seconds), "wrong": len(result.wrong)}
        self.save(crowd=found)

    def run_on(self, stack: CrashStack) -> None:
        """Everything but the crowd."""
        openbao, postgresql = stack.openbao.process, stack.postgresql.process
        assert openbao is not None and postgresql is not None  # noqa: S101, PT018 - they run
        bao, postmaster = server_of(openbao.pid), server_of(postgresql.pid)
        steps = Steps(stack, self.folder, self.stops)
        with Sampler(stack, steps.most) as sampler:
            sampler.watch("OpenBao", lambda: of_process(bao))
            sampler.watch("PostgreSQL", lambda: of_postgresql(postmaster))
            with lasting(stack, self.folder / LASTING, self.violations) as (front, worker):
                sampler.watch("front of a long step", lambda: of_process(front))
                sampler.watch("worker of a long step", lambda: of_process(worker))
                self.run_steps(steps, sampler)
                self.save(**{"most leases while steps ran": sampler.most_leases})
                sampler.running = lambda: -1  # a killed step keeps its lease for a while
                self.run_kills(stack, sampler)
                self.figures["renewals of the long step"] = renewals(stack)
        if left := what_lives(stack, self.tally.forgotten):
            self.violations.append(f"after the end, and {BOUND}, there are: {left}")
        self.violations += sampler.violations + sampler.growth()
        if self.asked.steps >= MANY and not self.stops.is_set():
            self.violations += [f"of growth nothing is known: {each}" for each in sampler.unseen()]
        self.figures["growth"] = sampler.figures()

    def run_steps(self, steps: Steps, sampler: Sampler) -> None:
        alone = int(self.asked.steps * ALONE)
        found = self.figures.setdefault("steps", {})
        for name, count, concurrency in (
            ("one after the other", alone, 1),
            (f"{self.asked.concurrency} at once", self.asked.steps - alone, self.asked.concurrency),
        ):
            if not count or self.stops.is_set():
                continue
            progress = Progress(f"steps, {name}", count)

            def told(seconds: list[float], name: str = name, progress: Progress = progress, count: int = count) -> None:
                if progress(len(seconds)) or len(seconds) == count:
                    found[name] = of_steps(seconds, progress.minutes)
                    self.save(growth=sampler.figures())

            steps.run(name.replace(" ", "-"), count, concurrency, told)
        self.violations += steps.violations

    def run_kills(self, stack: CrashStack, sampler: Sampler) -> None:
        asked = self.asked
        if not (asked.kills or asked.every_line or asked.repeat is not None) or self.stops.is_set():
            return
        batches = Batches(stack, self.folder, asked.concurrency, self.stops)
        recorded = bool(asked.lines or asked.every_line)
        seconds, lines = batches.rehearse([asked.every_line] if asked.every_line else asked.scenarios, record=recorded)
        plan = Plan(asked.seed, seconds, lines, asked.lines)
        if asked.every_line:
            kills = plan.every_line(asked.every_line)
        else:
            kills = [plan.kill(number) for number in (range(asked.kills) if asked.repeat is None else [asked.repeat])]
        progress = Progress("kills", len(kills))
        for checked in batches.run_all(kills, BATCH):
            self.tally.add(checked)
            progress(self.tally.kills + self.tally.missed, f"; {len(self.tally.violations)} violations")
            self.save(kills=of_kills(self.tally, len(kills), progress.minutes, LONGEST), growth=sampler.figures())


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
    soak = Soak(asked, folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, soak.stop)
    try:
        soak.run()
    except KeyboardInterrupt:
        say(f"ended at once; what was begun may live for {LONGEST} s, and is in {folder}")
        return 130
    report(soak.figures, soak.tally)
    violations = [*soak.violations, *soak.tally.violations]
    if not violations:
        shutil.rmtree(folder)
    for violation in violations:
        print(f"VIOLATION: {violation}")
    print(f"{len(violations)} violations" + (f"; evidence in {folder}" if violations else ""))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
