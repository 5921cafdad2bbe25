"""stepcreds' reports as commands, by one interpreter that has what they need imported already, for all tests of them."""

from __future__ import annotations

import atexit
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from warm import Warm

IMPORTED = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "jinja2",
    "stepcreds.cli.ledger_export",
    "stepcreds.cli.ledger_postmortem",
    "stepcreds.cli.ledger_report",
    "stepcreds.report.exports_ocsf",
    "stepcreds.report.exports_otel",
    "stepcreds.report.html.page",
    "stepcreds.report.postmortem_html",
)


def command(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`stepcreds ledger` with these arguments, in `folder`."""
    return _warm()("ledger", *arguments, cwd=folder, env=env or {"HOME": str(folder)})


@cache
def _warm() -> Warm:
    started = Warm(*IMPORTED).__enter__()
    atexit.register(started.__exit__, None, None, None)
    return started
