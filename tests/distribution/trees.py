"""What the tests of what is given away share: a copy of the checkout elsewhere, and starts of it in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepcreds.devstack.stack import Stack

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# The interpreter itself, without the virtual environment of the tests and what is installed in it.
PYTHON = Path(sys.base_prefix, "bin", "python3").resolve()
ISOLATED = (str(PYTHON), "-I", "-S")


def copied(target: Path) -> Path:
    """`target`, with what a clone would have if everything here were committed as it stands."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
            path.chmod(source.stat().st_mode)
    return target


def plain(stack: Stack, **more: str) -> dict[str, str]:
    """A step's environment on a machine that has a Python, and nothing else of ours."""
    return stack.environment(PATH=f"{PYTHON.parent}:/usr/bin:/bin", **more)


def started(
    arguments: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def bytecode(folder: Path) -> list[Path]:
    """What Python has compiled into `folder`."""
    return sorted(folder.rglob("*.pyc"))
