"""Where the server programs of each supported PostgreSQL are: npm carries them, tools/node-tools installs them."""

from __future__ import annotations

import sys
from pathlib import Path

MAJORS = (14, 15, 16, 17, 18)


def programs(major: int) -> Path:
    """The folder with the `bin` of this major; raises FileNotFoundError where tools/node-tools has not put it."""
    folder = Path(sys.prefix) / f"node/node_modules/postgresql-{major}/native"
    if not (folder / "bin/postgres").exists():
        raise FileNotFoundError(f"{folder} is not there: run tools/node-tools, which installs it on x86-64 Linux")
    return folder
