"""Checkpoints of what a job's end, and credentials that are handed out as outputs, put on record."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated_job import Job, Started
from step_runs import until

from signatures import KEY, checkpoints
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def job(stack: Stack, tmp_path: Path) -> Iterator[Job]:
    """One whose ledger is signed."""
    stack.set_up(KEY)
    yield Job(stack, tmp_path, more_config=f'ledger:\n  key: "{KEY}"\n')
    stack.set_up()


def covered(stack: Stack, job: Job) -> list[str]:
    """The kind of the last record under each checkpoint."""
    (chain,) = job.ledger.glob("*.jsonl")
    kinds = [json.loads(line)["kind"] for line in chain.read_text().splitlines()]
    return [kinds[each.size - 1] for each in checkpoints(stack, chain)]


def test_what_is_handed_out_is_signed_with_what_it_can_do(stack: Stack, job: Job) -> None:
    """Whoever ends it will be another process: one signature, over the issue and the measurement."""
    run = job.use(profile="verify", outputs="true").run()
    assert run.returncode == 0, run.stderr
    assert covered(stack, job) == ["credential.measured"]
    (end,) = job.ends()
    assert (end.returncode, "not signed" in end.stderr) == (0, False), end.stderr
    # The witness, and what was handed out.
    assert covered(stack, job)[1:] == ["credential.issued", "credential.closed", "credential.closed"]


def test_the_end_of_a_job_signs_what_a_killed_step_left(stack: Stack, job: Job, tmp_path: Path) -> None:
    report = tmp_path / "report"
    script = f'echo "$$" > {report}.part; mv {report}.part {report}; exec sleep 600'
    with Started(job.use(profile="migrate", run=script)) as step:
        until(report.exists, "the script runs")
        step.kill_both()
        os.kill(int(report.read_text()), signal.SIGKILL)  # it holds the output, which is waited for
    assert covered(stack, job) == ["credential.issued"]
    (end,) = job.ends()
    assert (end.returncode, "not signed" in end.stderr) == (0, False), end.stderr
    assert covered(stack, job).count("credential.closed") == 2
