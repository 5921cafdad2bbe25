"""The table that `make chaos` prints: what was broken at which stage, what came of it, and for how long anything lived.

A test adds its line with the fixture `row`; the lines of all processes that run tests are collected here. Its words are
few, and the same for every test: who fails is one of SUBJECTS, where the step was is one of STAGES.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tabulate import tabulate

_PROPERTY = "chaos row"

# Who fails, in the order of the table.
SUBJECTS = (
    "front",
    "worker",
    "both halves",
    "step",  # all of it: its process group, its terminal, its limits, many of it at once
    "command",
    "token endpoint",
    "OpenBao",
    "cluster",
    "PostgreSQL",
    "MariaDB",
    "machine",  # disks, folders, users, what the kernel offers
    "clock",
    "ledger",
    "neighbour",  # another process of the same user
    "branch",  # its stepcreds.yml
)
# Where the step was, in the order of its life.
STAGES = (
    "before the login",
    "identity",
    "login",
    "probe",
    "issue",
    "renew",
    "measure",
    "hand over",
    "the command runs",
    "lock",
    "revoke",
    "lookup",
    "proof",
    "record",
    "give back",
    "any",  # from the start to the end
)
_OUTCOME = re.compile(r"(exit \d+|\d+ kills); \S")


class Row(NamedTuple):
    fault: str  # who, what, and for how long: "OpenBao: 503, for good", "worker: SIGKILL", "PostgreSQL: hangs, for a second"
    stage: str  # one of STAGES
    outcome: (
        str  # how the step ended, and its credential: "exit 137; proven dead". Of many: "12 kills; 9 proven dead, 3 …"
    )
    seconds: (
        float | None
    )  # from the fault until no user of the step was left; None: there never was one, or nobody looked


Tell = Callable[[str, str, str, "float | None"], None]


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Tell:
    """`row(fault, stage, outcome, seconds)` puts one line into the table; see `Row`."""

    def tell(fault: str, stage: str, outcome: str, seconds: float | None) -> None:
        who, colon, what = fault.partition(": ")
        assert (who in SUBJECTS, bool(colon and what)) == (True, True), f"no subject: {fault}"
        assert stage in STAGES, stage
        assert _OUTCOME.match(outcome), outcome
        record_property(_PROPERTY, tuple(Row(fault, stage, outcome, seconds)))  # xdist takes plain values alone

    return tell


def exit_code(returncode: int) -> int:
    """As a shell, and with it a CI, sees the end of a process that a signal may have killed."""
    return 128 - returncode if returncode < 0 else returncode


def _place(line: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
    return SUBJECTS.index(line[0].partition(": ")[0]), STAGES.index(line[1]), line


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Nothing for `make test`, whose subset of the rows would not be the table."""
    if config.getoption("markexpr") == "not chaos":
        return
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    told = [(report, value) for report in reports for name, value in report.user_properties if name == _PROPERTY]
    if not told:
        return
    lines: set[tuple[str, ...]] = {
        (fault, stage, outcome, "" if seconds is None else f"{seconds:.1f}", "" if report.passed else "FAILED")
        for report, (fault, stage, outcome, seconds) in told
    }
    ordered = sorted(lines, key=_place)
    headers = ("fault", "stage", "outcome", "dead after (s)", "")
    terminalreporter.section("fault, stage, outcome")
    terminalreporter.write_line(tabulate(ordered, headers=headers, disable_numparse=True))
    measured = [float(line[3]) for line in lines if line[3]]
    slowest = f"; the longest life after a fault: {max(measured):.1f} s" if measured else ""
    terminalreporter.write_line(f"{len(lines)} rows{slowest}")
