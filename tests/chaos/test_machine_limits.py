"""Limits of the process and its user: files, processes and threads, memory, core dumps. From nothing at all up to what a
step needs each value is tried: it works, or it is refused in words, and nothing is alive in either case."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_table import Tell
from machine_runs import DEAD, ENDED, IS_ROOT, ISSUED, PROVEN, Machine, complaint, machine_of_nobody
from step_runs import until, verdicts

from stepcreds.devstack.stack import Stack

NO_FILES = complaint(
    "this process has no file left to give",
    cause="A limit of the process, the user or the container is lower than what Python needs.",
    fix="Look at `ulimit -n`, `ulimit -v` and the container's limits. What a step held by then, `stepcreds revoke` ends.",
    docs="worker-not-started",
)
NO_MEMORY = NO_FILES.replace("no file", "no memory")
NOT_STARTED = complaint(
    "the worker process cannot be started: {}",
    cause="the machine, the container or the user has no process, file or memory left to give",
    fix="Look at `ulimit -u`, `ulimit -n` and the container's limit of processes. Nothing was issued.",
    docs="worker-not-started",
)
NO_THREAD = complaint(
    "the credential could not be renewed while the command runs: no thread can be started",
    cause="the user or the container may not have more processes, or has no memory left",
    fix="Look at `ulimit -u`, `ulimit -v` and the container's limits. What was issued is ended.",
    docs="worker-not-started",
)

NOT_RUN = complaint(
    "the command '/usr/bin/sh' cannot be run: Resource temporarily unavailable",
    cause="the user or the container may not have more processes",
    fix="Look at `ulimit -u` and at the container's limit of processes.",
    docs="command-not-runnable",
)


@pytest.fixture
def machine(stack: Stack) -> Iterator[Machine]:
    with machine_of_nobody(stack) as made:
        yield made


def limited(machine: Machine, limit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A step below `limit`, after which nothing is alive and no traceback was printed, however it ended."""
    machine.forget()
    before, machine.before = machine.before, (*machine.before, "prlimit", limit)
    run = machine.run(*words)
    machine.before = before
    assert machine.alive() == set(), limit
    # Below that Python itself does not get as far as our first line.
    python_began = "Fatal Python error" not in run.stderr and "shared libraries" not in run.stderr
    if python_began:
        assert "Traceback" not in run.stderr, (limit, run.stderr)
        assert run.returncode in (7, 125, 126), (limit, run.stderr)
    assert machine.ran == (run.returncode == 7), limit
    assert set(verdicts(machine.config_file) if machine.ledger.exists() else ()) <= {DEAD, "not issued"}, limit
    return run


def test_files(machine: Machine, row: Tell) -> None:
    """RLIMIT_NOFILE."""
    for limit in range(3, 40):
        run = limited(machine, f"--nofile={limit}")
        if run.returncode == 7:
            break
        assert limit < 5 or machine.vault.stages == [], "refused before anything is issued"
    assert run.returncode == 7
    row(f"{limit - 1} files at most", "before the login", "exit 125; no credential on record", None)
    assert limited(machine, f"--nofile={limit + 1}").returncode == 7
    assert machine.worded(run) == ISSUED + PROVEN


@pytest.mark.chaos
def test_processes(machine: Machine, row: Tell) -> None:
    """RLIMIT_NPROC, which counts threads and all of a user's processes: here of one who has no others."""
    if IS_ROOT:
        machine.before = ("setpriv", "--reuid=59871", "--regid=59871", "--clear-groups")
    else:  # where a user namespace begins, so does the count
        machine.before = ("unshare", "--user")
    refusals = {
        NOT_STARTED.format("Resource temporarily unavailable"): (125, "before the login"),
        ISSUED + ENDED + NO_THREAD: (125, "the command runs"),
        ISSUED + ENDED + NOT_RUN: (126, "the command runs"),
    }
    met = []
    for limit in range(1, 12):
        run = limited(machine, f"--nproc={limit}")
        if run.returncode == 7:
            break
        said = machine.worded(run)
        assert (said in refusals, run.returncode) == (True, refusals[said][0]), said
        if said not in met:
            met.append(said)
            machine.tell(row, f"{limit} processes at most", refusals[said][1], run, machine.began)
    assert met == list(refusals)
    assert machine.worded(run) == ISSUED + PROVEN


@pytest.mark.chaos
def test_memory(machine: Machine, row: Tell) -> None:
    """RLIMIT_AS."""
    for megabytes in range(20, 400, 10):
        run = limited(machine, f"--as={megabytes}000000")
        if run.returncode == 7:
            break
        if machine.vault.stages == []:
            assert run.returncode == 125 or "Fatal Python error" in run.stderr
    assert run.returncode == 7
    row(f"{megabytes - 10} MB of address space at most", "any", "exit 125 or 126; nothing alive", None)


@pytest.mark.chaos
def test_no_core_is_dumped(machine: Machine, row: Tell, tmp_path: Path) -> None:
    """It would have the token and the password in it."""
    by_path = not Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/"))
    unlimited = ("prlimit", "--core=unlimited")
    if by_path:  # as it would look
        subprocess.run([*unlimited, "sh", "-c", "kill -ABRT $$"], cwd=tmp_path, check=False)
        assert list(tmp_path.glob("core*"))
    machine.before = (*machine.before, *unlimited)
    for half in ("worker", "front"):
        machine.forget()
        with machine.start("exec", "migrate", "--", "sh", "-c", f"touch {machine.marker}; exec sleep 600") as step:
            until(machine.marker.exists, "the command runs")
            step.kill(step.process.pid if half == "front" else step.worker, signal.SIGABRT)
            run = step.wait()
            until(lambda: verdicts(machine.config_file) == [DEAD], "the other half has ended it")
        assert run.returncode == (-signal.SIGABRT if half == "front" else 137), run.stderr
        until(lambda: not machine.alive(), "the user is gone")
        machine.tell(row, f"SIGABRT to the {half}, core dumps on", "the command runs", run, machine.began)
    assert [name for name in os.listdir(machine.folder) if name.startswith("core")] == []  # noqa: PTH208
