"""The end of a job on GitHub: nothing that stepcreds issued in it may be left alive, and its chain is closed."""

from __future__ import annotations

from stepcreds import recovery
from stepcreds.action.inputs import Inputs
from stepcreds.session.step import Surroundings


def end_job(inputs: Inputs, around: Surroundings) -> int:
    """End what is left of this job; 0 when all of it is proven dead, 1 when something is not."""
    return recovery.run(recovery.Task(everything=True), around)
