"""A half of the pair dies in every way that there is: what the command left ends with it, and the credential too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from chaos_table import Tell
from step_runs import Running, until
from sweep_runs import DEAD, RUNS, Sweep, outcome
from wrapper_runs import SEALED, Alone, start

from faulty_relay import FaultyRelay
from processes import Watched, descendants

EXPIRED = ("expired", "not on record")


def victim_of(step: Running, who: str) -> int:
    return step.process.pid if who == "front" else step.worker


# The connection to the database, of those that a migration's step makes, that hangs; and whether the command had run.
AT_THE_DATABASE = {"measure": (1, False), "lock": (3, True), "proof": (5, True)}


@pytest.mark.chaos
@pytest.mark.parametrize("who", ["front", "worker"])
@pytest.mark.parametrize("stage", AT_THE_DATABASE)
def test_killed_at_the_database(sweep: Sweep, row: Tell, stage: str, who: str) -> None:
    hanging, ran = AT_THE_DATABASE[stage]
    database = sweep.stack.database
    with FaultyRelay(sweep.stack.postgresql.port, lambda number: "hang" if number == hanging else "relay") as relay:
        sweep.change(database=f"postgresql://127.0.0.1:{relay.port}/{database.database}?sslmode=disable")
        with sweep.start() as step:
            until(lambda: relay.connections >= hanging or step.process.poll() is not None, "the connection")
            rest = Watched([step.worker])
            moment = time.monotonic()
            step.kill(victim_of(step, who))
            run = step.wait()
        assert rest.alive_after(100) == []
    sweep.tell(row, f"{who}: SIGKILL", stage, run, moment)
    code = -signal.SIGKILL if who == "front" else 137 if ran else 125
    sweep.check(run, code=code, ran=ran, verdicts=[DEAD])


class Memory:
    """A memory cgroup without memory, which only root may make; where nobody can, `is_there` says so."""

    def __init__(self, name: str) -> None:
        legacy = Path("/sys/fs/cgroup/memory")
        self._folder = (legacy if legacy.is_dir() else Path("/sys/fs/cgroup")) / name
        limit, self._kills = (
            ("memory.limit_in_bytes", "memory.oom_control") if legacy.is_dir() else ("memory.max", "memory.events")
        )
        self.is_there = _as_root('mkdir "$1"; echo 0 > "$1/$2"', str(self._folder), limit)

    def take(self, pid: int) -> None:
        assert _as_root('echo "$2" > "$1/cgroup.procs"', str(self._folder), str(pid))

    @property
    def kills(self) -> int:
        return int(dict(map(str.split, (self._folder / self._kills).read_text().splitlines()))["oom_kill"])

    def close(self) -> None:
        with suppress(OSError):
            until(lambda: not (self._folder / "cgroup.procs").read_text(), "an empty cgroup")
            _as_root('rmdir "$1"', str(self._folder))


def _as_root(script: str, *arguments: str) -> bool:
    """Whether it was done. A CI's runner may become root without a password."""
    become = () if os.geteuid() == 0 else ("sudo", "-n")
    if become and shutil.which("sudo") is None:
        return False
    return subprocess.run([*become, "sh", "-euc", script, "sh", *arguments], check=False).returncode == 0


@pytest.mark.chaos
@pytest.mark.parametrize("who", ["front", "worker"])
def test_the_out_of_memory_killer(sweep: Sweep, row: Tell, who: str) -> None:
    memory = Memory(f"stepcreds-{os.getpid()}-{who}")
    try:
        if not memory.is_there:
            pytest.skip("no memory cgroup may be made here")
        script = f"while ! [ -e {sweep.folder}/go ]; do sleep 0.05; done; exit 7"
        with start(sweep, script=script) as step:
            pids = [step.process.pid, step.worker]
            watched = Watched(pids)
            memory.take(victim_of(step, who))
            moment = time.monotonic()
            (sweep.folder / "go").touch()
            if who == "front":  # which asks for memory only when there is something to do
                step.kill(step.worker)
            run = step.wait()
        assert watched.alive_after(60) == []
        assert memory.kills == 1, run.stderr
    finally:
        memory.close()
    if who == "front":
        sweep.check_recovery()
    fault = (
        "worker: out-of-memory killer" if who == "worker" else "front: out-of-memory killer, its worker killed before"
    )
    sweep.tell(row, fault, RUNS, run, moment)
    if who == "worker":
        sweep.check(run, code=137, ran=True, verdicts=[DEAD])


# What a command leaves behind, in Python: each writes its id to the file that is the first argument.
LEFT = {
    "a setsid daemon": "os.fork() or (os.setsid(), stay())",
    "a double fork": "os.fork() or (os.setsid(), os.fork() or stay(), os._exit(0))",
    "1,000 descendants": "[os.fork() or (n % 2 and os.setsid(), stay()) for n in range(1000)]",
}
PROGRAM = """
import os, signal, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def stay():
    os.write(file, b"%d\\n" % os.getpid())
    while True:
        signal.pause()
{left}
stay()
"""


@pytest.mark.parametrize(
    ("left", "who"),
    [
        pytest.param(left, who, marks=[pytest.mark.chaos] if left != "a double fork" else [])
        for left in LEFT
        for who in ("front", "worker")
    ],
)
def test_what_the_command_left_ends_with_the_half_that_is_killed(sweep: Sweep, row: Tell, left: str, who: str) -> None:
    pids = sweep.folder / "pids"
    (sweep.folder / "left.py").write_text(PROGRAM.format(left=LEFT[left]))
    count = 1001 if left.startswith("1,000") else 2
    with start(sweep, script=f"exec {sys.executable} left.py {pids}") as step:
        until(lambda: pids.exists() and len(pids.read_text().splitlines()) == count, "everything that is to be left")
        tree = Watched([int(line) for line in pids.read_text().split()])
        rest = Watched([step.worker])
        moment = time.monotonic()
        step.kill(victim_of(step, who))
        assert tree.alive_after(60) == []
        seconds = time.monotonic() - moment
        run = step.wait()
    assert rest.alive_after(60) == []
    sweep.check(run, code=-signal.SIGKILL if who == "front" else 137, ran=True, verdicts=[DEAD])
    ended = f"{outcome(run, sweep.verdicts())}, its tree after {seconds:.1f} s"
    row(f"{who}: SIGKILL, the command left {left}", RUNS, ended, sweep.deaths.after(moment))


def test_the_output_ends_with_the_front(sweep: Sweep, row: Tell) -> None:
    """A CI that reads until the end of it does not wait for the worker."""
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with start(sweep, VAULT_CLIENT_TIMEOUT="60s") as step:
        worker = step.worker
        rest = Watched([worker])
        moment = time.monotonic()
        step.kill(step.process.pid)
        run = step.wait()
        assert sealed.arrived.wait(60)
        os.kill(worker, 0)
    sealed.left = 0
    assert rest.alive_after(100) == []
    sweep.tell(row, "front: SIGKILL, OpenBao sealed meanwhile", RUNS, run, moment)
    sweep.check(run, code=-signal.SIGKILL, ran=True, verdicts=[DEAD])


@pytest.mark.chaos
def test_both_are_killed_and_nobody_comes(sweep: Sweep, row: Tell) -> None:
    sweep.change(ttl="15s")
    with start(sweep) as step:
        rest = Watched([step.worker, *descendants(step.worker)])
        moment = time.monotonic()
        command = descendants(step.worker)[0]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (step.worker, step.process.pid):
                os.kill(pid, number)
        os.kill(command, signal.SIGKILL)  # it would go on, and hold our pipes
        run = step.wait()
    assert rest.alive_after(60) == []
    sweep.tell(row, "both halves: SIGKILL, nobody revokes, ttl 15 s", RUNS, run, moment, EXPIRED)
    assert sweep.alive() == set()
    sweep.check_recovery()


@pytest.mark.chaos
def test_the_worker_that_was_left_alone_is_killed(sweep: Sweep, row: Tell) -> None:
    sweep.change(ttl="30s")
    sweep.vault.fail("revoke", SEALED, None)
    with start(sweep) as step:
        alone = Alone(step)
        run = step.wait()
    moment = time.monotonic()
    os.kill(alone.worker, signal.SIGKILL)
    assert alone.has_ended()
    sweep.tell(
        row, "worker: SIGKILL, its front left it alone with a sealed OpenBao, ttl 30 s", RUNS, run, moment, EXPIRED
    )
    assert sweep.verdicts() == []
    sweep.check_recovery()
