"""tools/soak.py at a small size: it comes to its end, and tells what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parents[2] / "tools" / "soak.py"


def test_a_small_soak(tmp_path: Path) -> None:
    arguments = ["--crowd", "2", "--steps", "5", "--kills", "6", "--scenarios", "true", "--lines", "0.5", "--seed", "3"]
    run = subprocess.run(
        [sys.executable, str(SOAK), *arguments, "--json", str(tmp_path / "figures.json")],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert run.stdout.splitlines()[0] == "seed 3"
    assert run.stdout.splitlines()[-1] == "0 violations"
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["violations"] == []
    assert figures["crowd"]["steps"] == 2
    assert sum(each["steps"] for each in figures["steps"].values()) == 5
    kills = figures["kills"]
    assert kills["hit"] + kills["after the end"] == 6
    assert sum(outcome[-1] for outcome in kills["outcomes"]) == kills["hit"] > 0
    assert {"OpenBao", "PostgreSQL", "front of a long step", "worker of a long step"} == set(figures["growth"])
    assert figures["renewals of the long step"] > 0
