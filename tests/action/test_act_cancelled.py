"""A cancelled job: SIGINT to what the runner started, SIGTERM after 7.5 s, SIGKILL for all that is left after another 2.5 s.

That is what GitHub's runner does (ProcessInvoker of actions/runner, src/Runner.Sdk/ProcessInvoker.cs). act itself has no
such steps, so that the test sends the signals, to the process that act started for `main`.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from datetime import datetime

import pytest
from runner import Pair, Repository, Run, Step, transcript, until
from transcripts import life

from faulty_vault import Fault, FaultyVault
from processes import descendants
from stepcreds.devstack.stack import Stack

INTERRUPT, TERMINATE = 7.5, 2.5  # seconds until the next signal
PROVEN = 7.0  # seconds after the first, at the latest

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            RUN
      - name: Not reached
        run: echo reached
"""
ENDS = 'trap "echo interrupted; exit 130" INT; touch "$OUTSIDE/running"; while :; do sleep 0.1; done'
IGNORES = 'trap "" INT TERM; touch "$OUTSIDE/running"; while :; do sleep 0.1; done'
LONG_TRANSACTION = 'touch "$OUTSIDE/running"; sql "BEGIN" "SELECT pg_sleep(60)"'


def workflow(run: str) -> str:
    return WORKFLOW.replace("RUN", run)


@pytest.mark.parametrize("script", [ENDS, IGNORES, LONG_TRANSACTION], ids=["ends", "ignores", "in-a-transaction"])
def test_proven_dead_before_the_runner_loses_patience(stack: Stack, repository: Repository, script: str) -> None:
    repository.workflow(workflow(script))
    since = len(stack.audit())
    with repository.start() as act:
        main = act.main()
        until((repository.outside / "running").exists, "the command runs")
        began = time.time()  # noqa: TID251 - to be compared with the ledger's
        ended_by = cancel(main)
        run = act.wait()
    assert ended_by == "SIGINT", run.shown()
    (closed,) = [record for record in run.chains[0] if record["kind"] == "credential.closed"]
    assert closed["verdict"] == "proven dead"
    # As of a step that ends by itself: a cancel leaves nothing for `post` to do.
    assert transcript(stack, since) == life("migrate")
    assert instant(closed["verified"]["time"]) - began < PROVEN
    check(stack, run)


def test_vault_does_not_answer_and_post_finishes(stack: Stack, repository: Repository) -> None:
    with FaultyVault(stack.address) as vault:
        repository.configure(lambda text: text.replace(f"address: {stack.address}\n", f"address: {vault.address}\n"))
        repository.workflow(workflow(ENDS))
        rules = [vault.fail(stage, Fault("hang"), times=None) for stage in ("revoke", "queue")]
        with repository.start() as act:
            main = act.main()
            until((repository.outside / "running").exists, "the command runs")
            ended_by = cancel(main)
            for rule in rules:  # Vault is well again
                rule.left = 0
            run = act.wait()
    assert ended_by in ("SIGINT", "SIGTERM"), run.shown()  # it gives up after 7 seconds; a busy machine adds to that
    assert run.exit_code("Migrate") == 121, run.shown()
    check(stack, run)


def test_the_runner_kills_everything_and_post_finishes(stack: Stack, repository: Repository) -> None:
    """A machine on which nothing gets on: both halves of the step stand still while the signals come."""
    repository.workflow(workflow(ENDS))
    with repository.start() as act:
        main = act.main()
        until((repository.outside / "running").exists, "the command runs")
        for pid in (main.front, main.worker):
            os.kill(pid, signal.SIGSTOP)
        ended_by = cancel(main, interrupt=0.5, terminate=0.5)
        run = act.wait()
    assert ended_by == "SIGKILL", run.shown()
    check(stack, run)


def cancel(main: Pair, interrupt: float = INTERRUPT, terminate: float = TERMINATE) -> str:
    """What the runner does; the signal after which all of the step was gone."""
    for number, seconds in ((signal.SIGINT, interrupt), (signal.SIGTERM, terminate)):
        with suppress(ProcessLookupError):
            os.kill(main.front, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not os.path.exists(f"/proc/{main.front}"):  # noqa: PTH110
                return number.name
            time.sleep(0.02)
    for pid in (main.front, *descendants(main.front)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return "SIGKILL"


def check(stack: Stack, run: Run) -> None:
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Migrate", "failure"),
        Step("Post", "Migrate", "success"),
    ], run.shown()
    until(lambda: not stack.issued_roles(), "no user is left", 20)
    assert stack.leases("database/creds/app-migrate") == []
    assert stack.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND usename LIKE 'v-%'"
    ) == [[0]]


def instant(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
