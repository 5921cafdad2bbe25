"""tools/soak.py at a small size: it comes to its end, and tells what it saw."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

SOAK = Path(__file__).resolve().parents[2] / "tools" / "soak.py"


def test_a_small_soak(tmp_path: Path) -> None:
    arguments = [
        "--crowd",
        "2",
        "--steps",
        "20",
        "--kills",
        "6",
        "--scenarios",
        "true",
        "--lines",
        "0.5",
        "--seed",
        "3",
    ]
    run = subprocess.run(
        [sys.executable, str(SOAK), *arguments, "--json", str(tmp_path / "figures.json")],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert [line.split(",")[0] for line in run.stderr.splitlines()] == [
        "2 steps at once",
        "steps at once: 2 of 2",
        "steps",
        "steps",
        "kills: 6 of 6",
    ]
    assert run.stdout.splitlines()[0] == "seed 3"
    assert run.stdout.splitlines()[-1] == "0 violations"
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["state"], figures["violations"]) == ("complete", [])
    assert figures["crowd"]["steps"] == 2
    assert sum(each["steps"] for each in figures["steps"].values()) == 20
    kills = figures["kills"]
    assert kills["hit"] + kills["after the end"] == 6
    assert sum(outcome[-1] for outcome in kills["outcomes"]) == kills["hit"] > 0
    assert {"OpenBao", "PostgreSQL", "front of a long step", "worker of a long step"} == set(figures["growth"])
    assert figures["renewals of the long step"] > 0


def test_a_soak_that_is_interrupted(tmp_path: Path) -> None:
    """What has begun comes to its end, and what is known by then is there."""
    file = tmp_path / "figures.json"
    arguments = ["--crowd", "0", "--steps", "100000", "--kills", "100000", "--seed", "3", "--json", str(file)]
    with subprocess.Popen(
        [sys.executable, str(SOAK), *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as soak:
        deadline = time.monotonic() + 200
        while not file.exists() and soak.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        before = json.loads(file.read_text())
        soak.send_signal(signal.SIGINT)
        stdout, stderr = soak.communicate(timeout=200)
    assert (soak.returncode, stdout.splitlines()[-1]) == (0, "0 violations"), stdout + stderr
    figures = json.loads(file.read_text())
    assert (before["state"], figures["state"], figures["violations"]) == ("running", "interrupted", [])
    (steps,) = figures["steps"].values()
    assert 0 < steps["steps"] < 20000
    assert "kills" not in figures
    assert stderr.endswith("interrupted: what has begun comes to its end; once more ends it at once\n")
