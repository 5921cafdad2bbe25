"""The table that `make chaos` prints: what was broken at which stage, what came of it, and for how long anything lived.

A test adds its line with the fixture `row`; the lines of all processes that run tests are collected here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tabulate import tabulate

_PROPERTY = "chaos row"


class Row(NamedTuple):
    fault: str  # "503 for good", "SIGKILL to the worker"
    stage: str  # where the step was: "login", "issue", "the command runs", "revoke"
    outcome: str  # "exit 137, proven dead"
    seconds: float | None  # from the fault until no user of the step existed any more; None: there never was one


Tell = Callable[[str, str, str, "float | None"], None]


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Tell:
    """`row(fault, stage, outcome, seconds)` puts one line into the table; see `Row`."""

    def tell(fault: str, stage: str, outcome: str, seconds: float | None) -> None:
        record_property(_PROPERTY, tuple(Row(fault, stage, outcome, seconds)))  # xdist takes plain values alone

    return tell


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Nothing for `make test`, whose subset of the rows would not be the table."""
    if config.getoption("markexpr") == "not chaos":
        return
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    told = [(report, value) for report in reports for name, value in report.user_properties if name == _PROPERTY]
    if not told:
        return
    lines = [
        (fault, stage, outcome, "" if seconds is None else f"{seconds:.1f}", "" if report.passed else "FAILED")
        for report, (fault, stage, outcome, seconds) in told
    ]
    terminalreporter.section("fault, stage, outcome")
    terminalreporter.write_line(
        tabulate(sorted(set(lines)), headers=("fault", "stage", "outcome", "dead after (s)", ""), disable_numparse=True)
    )
    slowest = max((float(line[3]) for line in lines if line[3]), default=0.0)
    terminalreporter.write_line(f"{len(set(lines))} rows; the longest life after a fault: {slowest:.1f} s")
