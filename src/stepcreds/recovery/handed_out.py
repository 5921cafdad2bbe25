"""Ends what earlier steps of the job handed out as outputs, and empties the files that the runner handed it on by."""

from __future__ import annotations

from typing import Literal

from stepcreds.process.pair import Worker
from stepcreds.recovery.recovering import recover
from stepcreds.recovery.task import Report, Task
from stepcreds.session.handed_out import wipe
from stepcreds.session.step import Surroundings


def end_handed_out(
    around: Surroundings,
    worker: Worker,
    without_proof: Literal["fail", "warn", "profile"] = "profile",
    *,
    summary: bool = False,
) -> bool:
    """Before a step does anything else; whether it may go on."""
    task = Task(reach="job", handed_out=True, speaks=False, without_proof=without_proof, summary=summary)
    report = recover(task, around, worker)
    forget(around, report)
    return report.tolerable


def forget(around: Surroundings, report: Report) -> None:
    """What has ended is in no file of the runner's any more, nor on the list of what later steps have to end."""
    if report.failure:  # nobody looked
        return
    for file in wipe(around.environment, report.open_steps):
        around.voice.warn(f"a credential that is dead now still stands in the runner's file {file}")
