"""Which processes of a step hold what the job's identity is asked for with, in an environment that the script can read.

As root the script could read everything: the step runs as `nobody` then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated_job import Job

import ci_tools
from stepcreds.devstack.stack import Stack
from stepcreds.devstack.unprivileged import nobody, passable

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """\
for file in $(grep -lsz "^MARK=$MARK$" /proc/[0-9]*/environ); do
  if grep -qsz "^ACTIONS_ID_TOKEN_REQUEST_" "$file"; then echo "$file"; fi
done > "$REPORT"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that `nobody` reaches, with the Action in it."""
    with tempfile.TemporaryDirectory(prefix="stepcreds-test-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        for part in ("action", "src", "vendor"):
            shutil.copytree(ROOT / part, path / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
        yield path


@pytest.mark.usefixtures("alone")
def test_the_script_finds_it_in_no_process_of_its_step(stack: Stack, folder: Path) -> None:
    job = Job(stack, folder / "job")
    report = folder / "job" / "report"
    use = job.use(profile="verify", run=SCRIPT)
    variables = use.environment(MARK=folder.name, REPORT=str(report))
    assert variables["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    with subprocess.Popen(["sleep", "60"], env=variables, **_as_somebody(folder / "job")) as other:
        run = subprocess.run(
            [str(_node(folder)), str(folder / "checkout/action/main.mjs")],
            cwd=job.workspace,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **_as_somebody(folder / "job"),
        )
        other.kill()
    assert run.returncode == 0, run.stderr
    # What any user's process shows to this user the script does see, so that it did look.
    assert report.read_text() == f"/proc/{other.pid}/environ\n"


def _as_somebody(folder: Path) -> dict[str, Any]:
    """What makes a process one of a user without rights, whose `folder` then is."""
    if os.geteuid():
        return {}
    user, group = nobody()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group)
    return {"user": user, "group": group, "extra_groups": []}


def _node(folder: Path) -> Path:
    node = ci_tools.node()
    if os.geteuid() or passable(node):
        return node
    return Path(shutil.copy(node, folder / "node"))
