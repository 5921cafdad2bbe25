"""How one finding about a ledger looks as text, and which findings a command fails for; it finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

from stepcreds.ledger.chain import CERTAINTIES, Certainty, Finding
from stepcreds.printable import one_line

COLOURS: Final[Mapping[Certainty, str]] = {
    "tampered": "\x1b[31m",
    "incomplete": "\x1b[33m",
    "unknown": "\x1b[33m",
}
PLAIN: Final = "\x1b[0m"
# What was not looked at, what is something else here than in its store, and what somebody demanded: no runner that was
# lost excuses that, nor a ledger that was sealed and is not there.
_ALWAYS = ("more", "unreadable", "conflict", "required")


def finding_line(finding: Finding, file: str | None = None, *, colour: bool = False) -> str:
    """One finding, indented: where, which check, how sure, and what it means.

    `file` is that of the line above, so that only another one is named; None: the line above names that of the finding.
    """
    where = [] if file in (None, finding.file) else [one_line(PurePath(finding.file).name)]
    where += [f"line {finding.line}"] if finding.line else []
    place = f"{' '.join(where)}: " if where else ""
    check = f"{finding.layer}/{finding.code} ({finding.certainty})"
    check = f"{COLOURS[finding.certainty]}{check}{PLAIN}" if colour else check
    return f"  {place}{check}: {one_line(finding.meaning)}"


def fails(finding: Finding, least: Certainty) -> bool:
    """Whether a command that fails for `least`, and for what is surer than that, fails for this one."""
    if finding.code in _ALWAYS or finding.layer == "seal":
        return True
    return CERTAINTIES.index(finding.certainty) <= CERTAINTIES.index(least)
