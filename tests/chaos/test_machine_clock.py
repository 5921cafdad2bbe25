"""The machine's clock jumps by an hour or a year, or is off from the start. Deadlines and renewals do not follow it, and no
jump looks like tampering."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from chaos_table import Tell
from machine_runs import WHOLE, Machine
from step_runs import of_kind, until
from sweep_runs import DEAD, ISSUED, PROVEN, leaving_nothing

from stepcreds.devstack.stack import Stack

HOUR, YEAR = 3600, 365 * 86400
PROGRAM = Path(__file__).parent / "machine_clock.py"


class Skewed(Machine):
    """Its clock is off by what `set` says, in seconds."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._clock = folder / "clock"
        self.set(0)
        super().__init__(stack, folder)
        self.stepcreds = (sys.executable, str(PROGRAM), str(self._clock))

    def set(self, seconds: int) -> None:
        part = self._clock.with_suffix(".part")
        part.write_text(str(seconds))
        part.rename(self._clock)


@pytest.fixture
def machine(stack: Stack, tmp_path: Path) -> Iterator[Skewed]:
    with leaving_nothing(Skewed(stack, tmp_path)) as made:
        yield made


def jump(seconds: int) -> str:
    size = "an hour" if abs(seconds) == HOUR else "a year"
    return f"clock: jumps {size} {'ahead' if seconds > 0 else 'back'}"


@pytest.mark.parametrize("stage", ["login", "revoke"])
@pytest.mark.parametrize("seconds", [HOUR, -HOUR, YEAR, -YEAR])
@pytest.mark.chaos
def test_a_clock_that_jumps(machine: Skewed, row: Tell, seconds: int, stage: str) -> None:
    jumps(machine, row, seconds, stage)


@pytest.mark.parametrize(
    "seconds", [-HOUR, *(pytest.param(seconds, marks=pytest.mark.chaos) for seconds in (HOUR, YEAR, -YEAR))]
)
def test_a_clock_that_jumps_when_a_credential_is_issued(machine: Skewed, row: Tell, seconds: int) -> None:
    jumps(machine, row, seconds, "issue")


def jumps(machine: Skewed, row: Tell, seconds: int, stage: str) -> None:
    machine.at(stage, lambda: machine.set(seconds))
    run = machine.run()
    assert (machine.worded(run), machine.vault.stages) == (ISSUED + PROVEN, WHOLE)
    machine.check(run, code=7, ran=True, verdicts=[DEAD])
    machine.tell(row, jump(seconds), stage, run, machine.struck)
    (closed,) = of_kind(machine.config_file, "credential.closed")
    assert re.fullmatch(r"20\d\d-.*Z", closed["verified"]["time"])
    shown = machine.run("ledger", "show", str(machine.ledger)).stdout
    assert (DEAD in shown, re.search(r" -\d", shown)) == (True, None), shown


@pytest.mark.chaos
def test_a_clock_that_jumps_while_the_command_runs(stack: Stack, tmp_path: Path, row: Tell) -> None:
    """What lives ten seconds, and is renewed every five, lives as long as the command. All at once."""
    with ExitStack() as scope:
        machines, steps = {}, {}
        for seconds in (HOUR, -HOUR):
            folder = tmp_path / str(seconds)
            folder.mkdir()
            machine = machines[seconds] = scope.enter_context(Skewed(stack, folder))
            machine.change(ttl="10s")
            # When the lease is shortened: by the old time its end is an hour away from where the new one sees it.
            machine.at("renew", partial(machine.set, seconds))
            script = f"touch {machine.marker}; until test -e {folder}/end; do sleep 0.1; done; exit 7"
            step = scope.enter_context(machine.start("exec", "migrate", "--", "sh", "-c", script))
            steps[seconds] = step
        for machine in machines.values():
            until(machine.marker.exists, "the command runs")
        # Longer than it would live unrenewed.
        waited = time.monotonic() + 16
        until(lambda: time.monotonic() > waited, "sixteen seconds")
        for seconds, machine in machines.items():
            assert machine.alive(), "it was not renewed"
            (machine.folder / "end").touch()
            run = steps[seconds].wait()
            machine.check(run, code=7, ran=True, verdicts=[DEAD])
            assert machine.vault.stages.count("renew") > 2
            machine.tell(row, jump(seconds), "renew", run, machine.struck)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_clock_that_is_off_from_the_start(machine: Skewed, row: Tell, seconds: int) -> None:
    machine.set(seconds)
    run = machine.run()
    assert (run.returncode, machine.ran, machine.vault.stages) == (125, False, [])
    said = re.sub(r"\d{4,} s slow|about \d{4,} s", "N s", machine.worded(run))
    fast = seconds > 0
    time_words = "expired at ISO (exp)" if fast else "is not valid before ISO (nbf)"
    cause = (
        "likely fast by N s."
        if fast
        else "likely N s: issuers keep good time, and more than 60 s are not lost on the way."
    )
    said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|TIME", "ISO", said)
    made = "It was made just now, so this machine's clock is " if fast else "This machine's clock is "
    assert said.startswith(
        f"stepcreds: error: The ID token from GitHub Actions {time_words}, and here it is ISO\n  cause: {made}{cause} The token says of itself: "
    )
    assert said.endswith(
        "\n  fix: Set the clock of the runner, or have it kept by NTP.\n  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#clock\n"
    )
    machine.tell(row, f"clock: an hour {'fast' if fast else 'slow'}", "before the login", run, machine.struck)
