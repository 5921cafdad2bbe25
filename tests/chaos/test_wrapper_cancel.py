"""A step is asked to end in every way that there is, and by commands that do not follow: how it ends, and when its
credential is dead."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from chaos_table import Tell
from step_runs import of_kind, until
from sweep_runs import DEAD, REVOKED, RUNS, Sweep
from wrapper_runs import SEALED, Alone, start

from faulty_relay import FaultyRelay
from processes import Watched, children

# What is asked, in order, of whom ("front", "group": with everything in it), with what seconds before it; what the command
# is; the code.
ASKED: dict[str, tuple[list[tuple[str, signal.Signals, float]], str, int]] = {
    "SIGTERM to its group": ([("group", signal.SIGTERM, 0)], "exec sleep 600", 143),
    "SIGINT, and another": (
        [("front", signal.SIGINT, 0), ("front", signal.SIGINT, 0.7)],
        "trap '' INT; while :; do sleep 0.1; done",
        137,
    ),
    "SIGSTOP, SIGTERM, SIGCONT": (
        [("front", signal.SIGSTOP, 0), ("front", signal.SIGTERM, 0.2), ("front", signal.SIGCONT, 0.5)],
        "exec sleep 600",
        143,
    ),
    "SIGSTOP, SIGTERM, SIGCONT to its group": (
        [("group", signal.SIGSTOP, 0), ("group", signal.SIGTERM, 0.2), ("group", signal.SIGCONT, 0.5)],
        "exec sleep 600",
        143,
    ),
    "SIGTERM, a command that ignores it": ([("front", signal.SIGTERM, 0)], "trap '' TERM; while :; do sleep 1; done", 137),
    "SIGTERM, a command that is stopped": ([("front", signal.SIGTERM, 0.2)], "kill -STOP $$; sleep 600", 143),
    "SIGTERM, a command with a daemon": (
        [("front", signal.SIGTERM, 0)],
        "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & exec sleep 600",
        143,
    ),
    "SIGTERM, a command that fills its pipes": ([("front", signal.SIGTERM, 0)], "yes >&2 & exec yes", 143),
    "SIGTERM, a command that closed its files": (
        [("front", signal.SIGTERM, 0)],
        "exec <&- >&- 2>&-; while :; do sleep 0.1; done",
        143,
    ),
}  # fmt: skip
FAST = ("SIGTERM to its group", "SIGTERM, a command that fills its pipes")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.chaos]) for name in ASKED]
)
def test_asked_to_end(sweep: Sweep, row: Tell, name: str) -> None:
    signals, script, code = ASKED[name]
    with start(sweep, "--grace", "1s", "migrate", script=script, before=("setsid",)) as step:
        rest = Watched([step.worker, *children()[step.worker]])
        moment = time.monotonic()
        for whom, number, pause in signals:
            time.sleep(pause)
            (os.killpg if whom == "group" else os.kill)(step.process.pid, number)
        run = step.wait()
    assert rest.alive_after(60) == []
    sweep.tell(row, f"step: {name}", RUNS, run, moment)
    sweep.check(run, code=code, ran=True, verdicts=[DEAD])
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    asked = next(number for _, number, _ in signals if number in (signal.SIGINT, signal.SIGTERM))
    assert closed["cancelled_by"] == asked.name


def test_a_front_that_stands_still(sweep: Sweep, row: Tell) -> None:
    """The worker needs nobody's leave to end a credential whose command is over."""
    with start(sweep, script=f"while ! [ -e {sweep.folder}/go ]; do sleep 0.05; done; exit 7") as step:
        step.kill(step.process.pid, signal.SIGSTOP)
        moment = time.monotonic()
        (sweep.folder / "go").touch()
        until(lambda: sweep.verdicts() == [DEAD] and not sweep.alive(), "the end of the credential")
        step.kill(step.process.pid, signal.SIGCONT)
        run = step.wait()
    sweep.tell(row, "front: SIGSTOP", RUNS, run, moment)
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])


def test_timeout(sweep: Sweep, row: Tell) -> None:
    """timeout(1), which signals its child and then its group."""
    with start(sweep, before=("timeout", "300")) as step:
        rest = Watched(children()[step.process.pid])
        moment = time.monotonic()
        step.kill(step.process.pid, signal.SIGALRM)  # its own timer's: the time is over
        run = step.wait()
    assert rest.alive_after(60) == []
    sweep.tell(row, "step: the time that timeout(1) gives it is over", RUNS, run, moment)
    sweep.check(run, code=124, ran=True, verdicts=[DEAD])


def test_a_terminal_that_is_closed(sweep: Sweep, row: Tell) -> None:
    """The kernel's SIGHUP; and nothing of the step keeps the terminal from being gone."""
    command = (
        "exec",
        "migrate",
        "--",
        "sh",
        "-c",
        f"trap '' HUP; echo ran > {sweep.marker}; while :; do sleep 0.1; done",
    )
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(sweep.folder)
        variables = {**sweep.stack.environment(), "TERM": "dumb"}
        os.execve(sys.executable, [sys.executable, "-m", "stepcreds", *command], variables)  # noqa: S606
    until(lambda: sweep.ran, "the command runs")
    (worker,) = children()[pid]
    rest = Watched([worker, *children()[worker]])
    moment = time.monotonic()
    os.close(master)
    _, status = os.waitpid(pid, 0)
    assert rest.alive_after(60) == []
    run = subprocess.CompletedProcess([], os.waitstatus_to_exitcode(status), "", "")
    sweep.tell(row, "step: its terminal is closed", RUNS, run, moment)
    sweep.check(run, code=137, ran=True, verdicts=[DEAD])
    assert [closed["cancelled_by"] for closed in of_kind(sweep.config_file, "credential.closed")] == ["SIGHUP"]


@pytest.mark.chaos
def test_an_ending_that_takes_long_already(sweep: Sweep, row: Tell) -> None:
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with start(sweep, script="exit 3", VAULT_CLIENT_TIMEOUT=None) as step:
        assert sealed.arrived.wait(60)
        alone = Alone(step, signal.SIGINT)
        run = step.wait()
    assert (alone.code, "SIGINT asked this step to end, and 7 seconds are over" in alone.stderr) == (121, True)
    sealed.left = 0
    assert alone.has_ended()
    sweep.tell(row, "step: SIGINT, OpenBao sealed for more than 7 s", "revoke", run, alone.asked_at)
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["verdict"], closed["step"]["exit_code"]) == (DEAD, 3)


@pytest.mark.chaos
def test_nobody_leaves_a_command_that_has_a_longer_grace(sweep: Sweep, row: Tell) -> None:
    script = "trap 'sleep 9; exit 3' TERM; sleep 600 & wait"
    with start(sweep, "--grace", "60s", "migrate", script=script) as step:
        moment = time.monotonic()
        step.kill(step.process.pid, signal.SIGTERM)
        run = step.wait()
    sweep.tell(row, "step: SIGTERM, a command that takes 9 s", RUNS, run, moment)
    sweep.check(run, code=3, ran=True, verdicts=[DEAD])


@pytest.mark.chaos
def test_the_first_process_of_a_container_stays(sweep: Sweep, row: Tell) -> None:
    """With it everything would end, the worker included."""
    sealed = sweep.vault.fail("revoke", SEALED, None)
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    container = ("unshare", *rights, "--pid", "--fork", "--mount-proc", "--kill-child")
    with start(sweep, before=container, VAULT_CLIENT_TIMEOUT=None) as step:
        (front,) = children()[step.process.pid]
        moment = time.monotonic()
        step.kill(front, signal.SIGTERM)
        assert sealed.arrived.wait(60)
        time.sleep(9)
        assert front in children()
        sealed.left = 0
        run = step.wait()
    sweep.tell(row, "step: SIGTERM as process 1, OpenBao sealed for 9 s", RUNS, run, moment)
    sweep.check(run, code=143, ran=True, verdicts=[DEAD])


@pytest.mark.chaos
def test_a_cancelled_step_does_not_wait_for_a_database_that_hangs(sweep: Sweep, row: Tell) -> None:
    """GitHub kills everything ten seconds after the cancel. The lease is revoked by then; the proof is still tried for."""
    with FaultyRelay(sweep.stack.postgresql.port, lambda number: "hang") as relay:
        database = f"postgresql://127.0.0.1:{relay.port}/{sweep.stack.database.database}?sslmode=disable"
        sweep.change(database=database, measure="off")
        with start(sweep, VAULT_CLIENT_TIMEOUT=None) as step:
            worker = Watched([step.worker])
            moment = time.monotonic()
            step.kill(step.process.pid, signal.SIGTERM)
            run = step.wait()
            assert sweep.alive() == set()
            assert sweep.verdicts() == []
            assert worker.alive_after(100) == []
    sweep.tell(row, "step: SIGTERM, PostgreSQL hangs", RUNS, run, moment)
    sweep.check(run, code=121, ran=True, verdicts=[REVOKED])
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["cancelled_by"], closed["lock"]["status"]) == ("SIGTERM", "unreachable")
    assert closed["revoke"]["status"] == "revoked"
