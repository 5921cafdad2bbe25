"""SIGKILL before any line of a step's life, and at any moment of it: nothing lives for longer than one effective TTL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_table import Tell
from crash_batch import Batches
from crash_fate import WHO
from crash_kills import Killer
from crash_plan import SCENARIOS, Kill, Plan, Point
from crash_stack import CrashStack
from crash_tally import Tally

import stepcreds

CONCURRENCY = 3
KILLS = 300
BATCH = 100
MOST_EXCEPTIONS = 3
LINES = 0.4  # share of the kills before a line


@pytest.fixture(scope="module")
def crash_stack() -> Iterator[CrashStack]:
    with CrashStack() as stack:
        yield stack


@pytest.fixture
def batches(crash_stack: CrashStack, tmp_path: Path) -> Batches:
    return Batches(crash_stack, tmp_path, CONCURRENCY)


# A line of each stage, by what it says: its number is another one tomorrow.
PLACES = (
    ("worker", "session/life.py", "prepare(self.request"),
    ("worker", "session/acquire.py", "login = log_in("),
    ("worker", "session/acquire.py", "self.vault.probe_revocation"),
    ("worker", "session/acquire.py", "self.record_intent()"),
    ("worker", "session/acquire.py", "lease = self.vault.issue("),
    ("worker", "session/acquire.py", "self.lease = lease"),
    ("worker", "session/acquire.py", "self.record_issue(login"),
    ("worker", "process/command.py", "supervision = Supervision("),
    ("worker", "revoke.py", "lock = engine.lock("),
    ("worker", "revoke.py", "revocation = _revoke(holding"),
    ("worker", "session/finish.py", "entry = _append(closing, closed"),
    ("worker", "session/finish.py", "vault.revoke_self()"),
)
# The outputs are written, and the step has failed: nobody is to use them.
WRITTEN = ("worker", "session/handout.py", "self.summarise(step)")
# The private folder exists, and nobody has come back from making it.
FOLDER_MADE = ("worker", "deliver/files.py", "_try_out(path)")


def point(half: str, file: str, text: str) -> Point:
    lines = Path(stepcreds.__file__).parent.joinpath(file).read_text().splitlines()
    number = max(number for number, line in enumerate(lines, 1) if line.strip().startswith(text))
    return Point(half, file, number, 1)


def test_before_a_line_of_each_stage(batches: Batches) -> None:
    victims = ("worker", "front", "both")
    kills = [Kill(f"p{n}", "true", victims[n % 3], point(*place), 0.0, recover=False) for n, place in enumerate(PLACES)]
    kills.append(Kill("folder", "sleep", "worker", point(*FOLDER_MADE), 0.0, recover=False))
    checked = batches.run(kills)
    assert checked.violations == []
    assert checked.missed == 0
    assert checked.exceptions == []
    assert len({fate.stage for fate in checked.fates}) > 5, checked.fates


@pytest.mark.parametrize("victims", ["front", "worker"])
def test_outputs_that_are_written_for_a_step_that_fails(batches: Batches, victims: str) -> None:
    checked = batches.run([Kill("written", "outputs", victims, point(*WRITTEN), 0.0, recover=False)])
    assert (checked.missed, checked.violations, checked.exceptions) == (0, [], [])
    assert [(fate.stage, fate.outcome) for fate in checked.fates] == [("measure", "proven dead")]


def test_the_check_finds_a_ledger_that_is_gone(batches: Batches) -> None:
    """A check that finds nothing might look at nothing."""
    kill = Kill(
        "c1", "true", "both", point("worker", "process/command.py", "supervision = Supervision("), 0.0, recover=False
    )

    def remove(killer: Killer) -> None:
        for file in killer.ledger.glob("*.jsonl"):
            file.unlink()

    checked = batches.run([kill], remove)
    assert checked.missed == 0
    (violation,) = checked.violations
    assert violation.startswith("c1: the ledger has no credential.requested for database/creds/app-verify/")


@pytest.mark.chaos
def test_the_check_tells_a_user_that_nobody_can_be_from_one_that_lives(batches: Batches) -> None:
    """The first is what OpenBao leaves when its client is killed between user and lease."""
    over, alive = "v-of-nobody-app-verify-over", "v-of-nobody-app-verify-alive"
    batches.stack.sql(f"CREATE ROLE \"{over}\" LOGIN VALID UNTIL '2026-01-01'")
    batches.stack.sql(f'CREATE ROLE "{alive}" LOGIN')
    try:
        checked = batches.run([Kill("c2", "true", "worker", point(*PLACES[0]), 0.0, recover=False)])
    finally:
        batches.stack.sql(f'DROP ROLE "{over}", "{alive}"')
    assert checked.forgotten == [over]
    (violation,) = checked.violations
    assert violation.endswith(f", a user lives: {alive}")


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_three_hundred_kills(batches: Batches, row: Tell) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    again = f"make soak ARGS='--crowd 0 --steps 0 --lines {LINES} --seed {seed} --repeat NUMBER'"
    seconds, lines = batches.rehearse(SCENARIOS, record=True)
    plan = Plan(seed, seconds, lines, LINES)
    tally = Tally()
    for checked in batches.run_all([plan.kill(number) for number in range(KILLS)], BATCH):
        tally.add(checked)
    assert tally.violations == [], again
    assert set(WHO.values()) <= {fault for fault, _, _ in tally.rows}
    # The front alone, in outputs mode, between the worker's last word and its own end: a moment of a whole life.
    assert len(tally.exceptions) <= MOST_EXCEPTIONS, (tally.exceptions, again)
    tally.tell(row)
    told = f"{tally.missed} came too late, {len(tally.exceptions)} handed out by a step that failed, {len(tally.forgotten)} forgotten by OpenBao; seed {seed}"
    row("step: SIGKILL, all of these", "any", f"{tally.kills} kills; {told}", max(tally.seconds.values()))
