"""Hundreds of steps that begin at once: a database revokes one user at a time, and nobody may be forgotten in the queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_table import Tell
from crash_crowd import crowd

from stepcreds.devstack.stack import Stack


@pytest.mark.parametrize(
    "steps", [pytest.param(25), pytest.param(200, marks=[pytest.mark.chaos, pytest.mark.timeout(1200)])]
)
def test_steps_at_once(steps: int, row: Tell, tmp_path: Path) -> None:
    with Stack(max_connections=2 * steps + 100) as stack:
        result = crowd(stack, tmp_path, steps)
    assert result.wrong == []
    row(f"step: {steps} at once", "any", f"exit 0; proven dead; a step took {result}", None)
