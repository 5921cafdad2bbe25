"""A step that is asked to end, or killed, at every stage: what is left, what is on record, the exit code.

The stage hangs at a proxy, which says when it has been reached; the signal comes then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_table import Tell
from step_runs import Running, of_kind, said, until
from sweep_runs import DEAD, NOT_ISSUED, REVOKED, RUNS, Sweep, swept

from faulty_vault import Fault
from processes import Watched
from stepcreds.devstack.stack import Stack

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# Stage -> whether OpenBao carries the request out that hangs; and how the credential ends on record.
BEFORE: dict[str, tuple[str, bool, list[str]]] = {
    "login": ("login", False, [NOT_ISSUED]),
    "login, carried out": ("login", True, [NOT_ISSUED]),
    "probe": ("probe", False, [NOT_ISSUED]),
    "issue": ("issue", False, [REVOKED]),
    "issue, carried out": ("issue", True, [REVOKED]),
    "renew": ("renew", False, [DEAD]),
}
# While the command's credential is ended nothing is interrupted: what hangs is given up, and asked again.
AFTER = {"revoke": "revoke", "lookup": "lookup", "revoke-self": "give back"}  # and what the table calls it


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        made.change(ttl="1m")  # OpenBao's role gives 2 minutes, which are shortened at once: the stage `renew`
        yield made


def told(fault: str, *, after: bool) -> str:
    """The fault as the table has it; `after`: OpenBao had carried out what hung."""
    return f"{fault}{', its request carried out' if after else ''}"


def hanging(sweep: Sweep, stage: str, *, after: bool = False) -> Running:
    """A step that has come to `stage`, and hangs there."""
    rule = sweep.vault.fail(stage, Fault("hang", after=after))
    step = sweep.start()
    assert rule.arrived.wait(60), step.wait().stderr
    return step


def killed_front(step: Running) -> subprocess.CompletedProcess[str]:
    """The result of a step whose front is killed, when its worker has ended too."""
    rest = Watched([step.worker])
    step.kill(step.process.pid)
    run = step.wait()
    assert rest.alive_after(60) == []
    return run


def killed_worker(step: Running) -> subprocess.CompletedProcess[str]:
    step.kill(step.worker)
    return step.wait()


def killed_both(step: Running, then: Callable[[], object] = lambda: None) -> subprocess.CompletedProcess[str]:
    """Neither half has a chance: the front is stopped while its worker is killed."""
    rest = Watched([step.worker])
    step.kill(step.process.pid, signal.SIGSTOP)
    step.kill(step.worker)
    step.kill(step.process.pid)
    then()
    run = step.wait()
    assert rest.alive_after(60) == []
    return run


@pytest.mark.parametrize("stage", BEFORE)
def test_asked_to_end_before_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    name, after, verdicts = BEFORE[stage]
    with hanging(sweep, name, after=after) as step:
        moment = time.monotonic()
        step.kill(step.process.pid, signal.SIGTERM)
        run = step.wait()
    sweep.tell(row, told("step: SIGTERM", after=after), name, run, moment)
    sweep.check(run, code=125, ran=False, verdicts=verdicts)
    message = (
        "stepcreds: error: Ended by SIGTERM before the command ran\n"
        "  cause: The job was cancelled, or somebody pressed Ctrl-C.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#cancelled\n"
    )
    assert said(run.stderr) == message


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_every_signal_that_asks(sweep: Sweep, row: Tell, number: signal.Signals) -> None:
    with hanging(sweep, "issue", after=True) as step:
        moment = time.monotonic()
        step.kill(step.process.pid, number)
        run = step.wait()
    sweep.tell(row, told(f"step: {number.name}", after=True), "issue", run, moment)
    sweep.check(run, code=125, ran=False, verdicts=[REVOKED])
    assert f"Ended by {number.name} before the command ran" in run.stderr


@pytest.mark.parametrize("stage", AFTER)
def test_asked_to_end_after_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    with hanging(sweep, stage) as step:
        moment = time.monotonic()
        step.kill(step.process.pid, signal.SIGTERM)
        run = step.wait()
    sweep.tell(row, "step: SIGTERM", AFTER[stage], run, moment)
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])


@pytest.mark.parametrize("stage", BEFORE)
def test_the_front_is_killed_before_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    name, after, verdicts = BEFORE[stage]
    with hanging(sweep, name, after=after) as step:
        moment = time.monotonic()
        run = killed_front(step)
    sweep.tell(row, told("front: SIGKILL", after=after), name, run, moment)
    sweep.check(run, code=-signal.SIGKILL, ran=False, verdicts=verdicts)


@pytest.mark.parametrize("stage", AFTER)
def test_the_front_is_killed_after_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    with hanging(sweep, stage) as step:
        moment = time.monotonic()
        run = killed_front(step)
    sweep.tell(row, "front: SIGKILL", AFTER[stage], run, moment)
    sweep.check(run, code=-signal.SIGKILL, ran=True, verdicts=[DEAD])


@pytest.mark.parametrize("stage", BEFORE)
def test_the_worker_is_killed_before_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    name, after, verdicts = BEFORE[stage]
    with hanging(sweep, name, after=after) as step:
        moment = time.monotonic()
        run = killed_worker(step)
    sweep.tell(row, told("worker: SIGKILL", after=after), name, run, moment)
    # Before there is a token nothing is held, and the front knows of no credential to put on record.
    sweep.check(run, code=125, ran=False, verdicts=[] if name == "login" else verdicts)


@pytest.mark.parametrize("stage", AFTER)
def test_the_worker_is_killed_after_the_command(sweep: Sweep, row: Tell, stage: str) -> None:
    with hanging(sweep, stage) as step:
        moment = time.monotonic()
        run = killed_worker(step)
    sweep.tell(row, "worker: SIGKILL", AFTER[stage], run, moment)
    sweep.check(run, code=137, ran=True, verdicts=[DEAD])


@pytest.mark.parametrize(
    ("stage", "after", "issued"),
    [("issue", False, False), ("issue", True, True), ("renew", False, True), ("revoke", False, True)],
)
def test_nobody_is_left_to_end_it(sweep: Sweep, row: Tell, stage: str, after: bool, issued: bool) -> None:
    """At most one TTL of it is left, and the ledger says so; `stepcreds revoke --all` need not wait for it."""
    with hanging(sweep, stage, after=after) as step:
        moment = time.monotonic()
        run = killed_both(step)
    assert (run.returncode, sweep.verdicts()) == (-signal.SIGKILL, [])
    sweep.check_secrets(run)
    assert [0 < sweep.ttl(lease) <= 120 for lease in sweep.vault.issued] == [True] * issued
    assert len(sweep.alive()) == issued
    verified = sweep.verify()
    assert (verified.returncode, "order/unclosed" in verified.stdout) == (1, True)
    recovery = sweep.revoke_all()
    until(lambda: not sweep.alive(), "the user is gone")
    sweep.tell(row, told("both halves: SIGKILL, then revoke --all", after=after), stage, run, moment)
    sweep.check_secrets(recovery)
    # What was never put on record as issued is ended with its token; there is no name to ask anybody for.
    known = stage == "revoke"
    assert (recovery.returncode, sweep.verdicts()[-1]) == ((0, DEAD) if known else (1, REVOKED)), recovery.stderr
    assert sweep.verify().returncode == 0


def running(sweep: Sweep) -> Running:
    """A step whose command runs, and waits."""
    pid = sweep.folder / "pid"
    script = f"echo ran > {sweep.marker}; echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 600"
    step = sweep.start("exec", "migrate", "--", "sh", "-c", script)
    until(lambda: pid.exists() or step.process.poll() is not None, "the command runs")
    return step


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_asked_to_end_while_the_command_runs(sweep: Sweep, row: Tell, number: signal.Signals) -> None:
    with running(sweep) as step:
        moment = time.monotonic()
        step.kill(step.process.pid, number)
        run = step.wait()
    sweep.tell(row, f"step: {number.name}", RUNS, run, moment)
    sweep.check(run, code=128 + number, ran=True, verdicts=[DEAD])
    assert [closed["cancelled_by"] for closed in of_kind(sweep.config_file, "credential.closed")] == [number.name]


def test_the_front_is_killed_while_the_command_runs(sweep: Sweep, row: Tell) -> None:
    with running(sweep) as step:
        moment = time.monotonic()
        run = killed_front(step)
    sweep.tell(row, "front: SIGKILL", RUNS, run, moment)
    sweep.check(run, code=-signal.SIGKILL, ran=True, verdicts=[DEAD])


def test_the_worker_is_killed_while_the_command_runs(sweep: Sweep, row: Tell) -> None:
    with running(sweep) as step:
        moment = time.monotonic()
        run = killed_worker(step)
    sweep.tell(row, "worker: SIGKILL", RUNS, run, moment)
    sweep.check(run, code=137, ran=True, verdicts=[DEAD])


def test_both_are_killed_while_the_command_runs(sweep: Sweep, row: Tell) -> None:
    with running(sweep) as step:
        moment = time.monotonic()
        command = int((sweep.folder / "pid").read_text())
        run = killed_both(step, then=lambda: os.kill(command, signal.SIGKILL))  # nobody else is left to end it
    assert (run.returncode, sweep.verdicts(), len(sweep.alive())) == (-signal.SIGKILL, [], 1)
    sweep.check_secrets(run)
    sweep.check_recovery()
    sweep.tell(row, "both halves: SIGKILL, then revoke --all", RUNS, run, moment)
    assert sweep.verdicts() == [DEAD, DEAD]  # and that of the witness
