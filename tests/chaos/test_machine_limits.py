"""Limits of the process and its user: files, processes and threads, memory, core dumps. From nothing at all up to what a
step needs each value is tried: it works, or it is refused in words, and nothing is alive in either case."""

from __future__ import annotations

import subprocess

import pytest
from chaos_table import Tell
from machine_runs import IS_ROOT, Machine, complaint
from step_runs import kinds, normalised, verdicts
from sweep_runs import DEAD, ENDED, ISSUED, NOT_ISSUED, PROVEN, RUNS, outcome

NO_FILES = complaint(
    "this process has no file left to give",
    cause="A limit of the process, the user or the container is lower than what Python needs.",
    fix="Look at `ulimit -n`, `ulimit -v` and the container's limits. What a step held by then, `stepcreds revoke` ends.",
    docs="worker-not-started",
)
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


def limited(nobody: Machine, limit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A step below `limit`, after which nothing is alive and no traceback was printed, however it ended."""
    nobody.forget()
    before, nobody.before = nobody.before, (*nobody.before, "prlimit", limit)
    run = nobody.run(*words)
    nobody.before = before
    assert nobody.alive() == set(), limit
    # Below that Python itself does not get as far as our first line.
    python_began = "Fatal Python error" not in run.stderr and "shared libraries" not in run.stderr
    if python_began:
        assert "Traceback" not in run.stderr, (limit, run.stderr)
        assert run.returncode in (7, 125, 126, 137), (limit, run.stderr)
    assert nobody.ran == (run.returncode in (7, 137)), limit  # 137: the command ran, and the worker was lost after it
    assert set(verdicts(nobody.config_file) if nobody.ledger.exists() else ()) <= {DEAD, NOT_ISSUED}, limit
    return run


def test_files(nobody: Machine, row: Tell) -> None:
    """RLIMIT_NOFILE."""
    for limit in range(3, 40):
        run = limited(nobody, f"--nofile={limit}")
        if run.returncode == 7:
            break
        refused = run
        assert limit < 5 or nobody.vault.stages == [], "refused before anything is issued"
    assert run.returncode == 7
    row(f"step: {limit - 1} files at most", "before the login", outcome(refused, []), None)
    assert limited(nobody, f"--nofile={limit + 1}").returncode == 7
    assert nobody.worded(run) == ISSUED + PROVEN


@pytest.mark.chaos
def test_processes(nobody: Machine, row: Tell) -> None:
    """RLIMIT_NPROC, which counts threads and all of a user's processes: here of one who has no others."""
    if IS_ROOT:
        nobody.before = ("setpriv", "--reuid=59871", "--regid=59871", "--clear-groups")
    else:  # where a user namespace begins, so does the count
        nobody.before = ("unshare", "--user")
    refusals = {
        NOT_STARTED.format("Resource temporarily unavailable"): (125, "before the login"),
        ISSUED + ENDED + NO_THREAD: (125, RUNS),
        ISSUED + ENDED + NOT_RUN: (126, RUNS),
    }
    met = []
    for limit in range(1, 12):
        run = limited(nobody, f"--nproc={limit}")
        if run.returncode == 7:
            break
        said = nobody.worded(run)
        assert (said in refusals, run.returncode) == (True, refusals[said][0]), said
        if said not in met:
            met.append(said)
            nobody.tell(row, f"step: {limit} processes at most", refusals[said][1], run, nobody.struck)
    assert met == list(refusals)
    assert nobody.worded(run) == ISSUED + PROVEN


@pytest.mark.chaos
def test_memory(nobody: Machine, row: Tell) -> None:
    """RLIMIT_AS. Python says MemoryError wherever it asks for more: while it imports, logs in, measures, ends a credential."""
    crashes = 0
    for megabytes in range(20, 400, 3):
        run = limited(nobody, f"--as={megabytes}000000")
        if run.returncode == 7:
            break
        crashes += "MemoryError" in run.stderr
        refused = outcome(run, verdicts(nobody.config_file) if nobody.ledger.exists() else [])
        if nobody.vault.stages == []:
            assert run.returncode == 125 or "Fatal Python error" in run.stderr
    assert run.returncode == 7
    assert crashes > 0
    row(f"step: {megabytes - 3} MB of address space at most", "any", refused, None)


@pytest.mark.parametrize(
    ("written", "code", "stages"),
    [
        (0, 125, []),
        (1, 125, ["login", "probe", "revoke-self"]),
        (2, 125, ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]),
        (3, 121, ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]),
    ],
    ids=["opened", "requested", "issued", "closed"],
)
def test_the_size_of_files(machine: Machine, row: Tell, written: int, code: int, stages: list[str]) -> None:
    """RLIMIT_FSIZE, which the ledger meets before one of its records."""
    machine.run()
    (file,) = (machine.folder / ".stepcreds").glob("*.jsonl")
    lengths = [len(line) for line in file.read_bytes().splitlines(keepends=True)]
    machine.forget()
    size = sum(lengths[:written]) + min(lengths) // 2
    machine.before = ("prlimit", f"--fsize={size}")
    run = machine.run()
    machine.before = ()
    ledger = (
        f"The ledger cannot use {file}: the file may not grow any further\n"
        "  cause: A limit on the size of files (ulimit -f) is set.\n"
        "  fix: Raise the limit.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )
    dead = "stepcreds: migrate: proven dead{} (lease lookup and refused logins)\n"
    assert (
        normalised(run.stderr)
        == {
            0: f"stepcreds: error: {ledger}",
            1: f"stepcreds: error: {ledger}",
            2: f"{dead.format('')}stepcreds: error: {ledger}",
            3: f"{ISSUED}stepcreds: error: {ledger}{dead.format(' N s after the command ended')}",
        }[written]
    )
    assert (run.returncode, machine.ran, machine.vault.stages) == (code, code == 121, stages)
    ended = outcome(run, ["no credential on record"] if written < 2 else [DEAD, "not on record"])
    assert len(kinds(machine.config_file)) == written
    assert machine.alive() == set()
    row("step: its limit of file sizes is met", ("before the login", "probe", "issue", "record")[written], ended, None)
    machine.check_secrets(run)
    verified = machine.verify()
    found = {0: "file/empty", 1: ": ok, 1 record, open", 2: "order/unclosed", 3: "order/unclosed"}[written]
    assert (verified.returncode, found in verified.stdout) == (0 if written == 1 else 1, True), verified.stdout
    if written == 3:
        machine.check_recovery()
