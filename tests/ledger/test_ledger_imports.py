"""What a step pays for its ledger: writing imports nothing that only reading needs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"asyncio", "concurrent", "datetime", "email", "logging", "subprocess", "tabulate", "tempfile", "uuid"}


def test_writing_is_light() -> None:
    program = "import sys, stepcreds.ledger.journal, stepcreds.ledger.credential; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert {name for name in modules if name.startswith("stepcreds.ledger.")} == {
        f"stepcreds.ledger.{name}"
        for name in ("canonical", "credential", "faults", "file", "folder", "journal", "link", "privileges", "record")
    }
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert "urllib.request" not in modules
