"""Two files that let somebody play on with the demo's servers: a step's environment, and the platform engineer's."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from stepcreds.demo.scenario import step_environment
from stepcreds.devstack import installed
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack


def write(stack: Stack) -> Path:
    """`step.sh` and `admin.sh` in the folder that is returned, each to be sourced, 0600: both hold secrets."""
    step = step_environment(stack)
    programs = f"{installed.bao().parent}:{step.pop('PATH')}"
    database, server = stack.database, stack.postgresql
    admin_url = f"postgresql://{SUPERUSER}:{quote(server.password.reveal())}@{database.host}:{database.port}/shop"
    admin = {
        "BAO_ADDR": stack.address,
        "BAO_TOKEN": stack.openbao.root_token.reveal(),
        "SHOP_ADMIN_URL": admin_url,
    }
    _write(stack.folder / "step.sh", step, programs)
    _write(stack.folder / "admin.sh", admin, programs)
    return stack.folder


def _write(path: Path, variables: Mapping[str, str], programs: str) -> None:
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    path.write_text("".join([*lines, f'export PATH={shlex.quote(programs)}:"$PATH"\n']))
