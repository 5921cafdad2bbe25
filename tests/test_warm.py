"""What the tests' own starter of commands promises: this checkout's stepcreds, in the call's own time zone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import warm


def test_it_runs_no_other_checkout(tmp_path: Path) -> None:
    copy = tmp_path / "tests/warm.py"
    copy.parent.mkdir()
    copy.write_bytes(Path(warm.__file__).read_bytes())
    arguments = [sys.executable, "-I", str(copy), str(tmp_path / "socket"), *warm.COMMANDS]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    installed = Path(warm.__file__).parents[1] / "src/stepcreds"
    assert (done.returncode, done.stderr) == (
        1,
        f"{copy}: stepcreds would be that of {installed}, and the tests are those of {tmp_path}\n",
    )


def test_a_call_has_its_own_time_zone(tmp_path: Path) -> None:
    with warm.Warm() as run:
        for zone, hour in (("ABC-5", "05"), ("", "00")):
            done = run(
                cwd=tmp_path, env={"TZ": zone}, code="import time; print(time.strftime('%H', time.localtime(0)))"
            )
            assert (done.returncode, done.stdout) == (0, f"{hour}\n")
