"""What a short step costs: requests to Vault, connections to the database, and modules that it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from step_runs import reconfigure

from conftest import Step
from relay import Relay
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

# One more where the lease needs shortening.
REQUESTS = [
    "POST /v1/auth/jwt/login",
    "POST /v1/sys/leases/revoke",
    "GET /v1/database/creds/app-verify",
    "POST /v1/sys/leases/revoke",
    "POST /v1/sys/leases/lookup",
    "POST /v1/auth/token/revoke-self",
]
SIGNATURE = "POST /v1/transit/sign/stepcreds-71717171"


def asked(stack: Stack, step: Step, config_file: Path) -> list[str]:
    """What a short step asks Vault, on one connection."""
    with Relay(int(stack.address.rpartition(":")[2])) as relay:
        there = f"http://127.0.0.1:{relay.port}"
        reconfigure(config_file, lambda document: document["vault"].update(address=there))
        run = step("exec", "verify", "--", "true")
        assert (run.returncode, "not signed" in run.stderr) == (0, False), run.stderr
        assert relay.connections == 1
        return relay.requests


def test_a_short_step_asks_vault_seldom_and_on_one_connection(stack: Stack, step: Step, config_file: Path) -> None:
    assert asked(stack, step, config_file) == REQUESTS


def test_a_signed_step_asks_for_two_signatures_beside_that(stack: Stack, step: Step, signed: Path) -> None:
    assert asked(stack, step, signed) == [*REQUESTS[:3], SIGNATURE, *REQUESTS[3:5], SIGNATURE, REQUESTS[5]]


def test_a_short_step_connects_to_its_database_four_times(stack: Stack, step: Step, config_file: Path) -> None:
    with Relay(stack.postgresql.port) as relay:
        there = f"postgresql://127.0.0.1:{relay.port}/{stack.database.database}?sslmode=disable"
        reconfigure(config_file, lambda document: document["profiles"]["verify"].update(database=there))
        run = step("exec", "verify", "--", "true")
        assert run.returncode == 0, run.stderr
        # To measure, to lock, and to see each of two passwords refused.
        assert relay.connections == 4


LIBRARIES = {"click", "yaml", "http.client", "ssl", "json", "pathlib", "hmac"}  # and what they bring
# What a step may import of the standard library besides, in both its processes. Each costs every step its time.
OWN = {
    "dataclasses", "fcntl", "select", "signal", "shlex", "runpy", "pkgutil", "importlib.util", "importlib._abc",
    *("stringprep", "unicodedata"),  # of the name of a host
    *("ctypes", "ctypes._endian", "_ctypes"),  # prctl(2)
    # From one half to the other.
    *("pickle", "_pickle", "_compat_pickle", "org", "org.python", "org.python.core"),
}  # fmt: skip


def imported(stack: Stack, folder: Path, *arguments: str) -> set[str]:
    """The modules that this Python imports, in all processes that come of it and are Python."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=folder,
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", run.stderr, re.MULTILINE))


SIGNING = {"stepcreds.ledger.checkpoint", "stepcreds.ledger.dsse"}


def test_a_step_imports_nothing_that_it_need_not(stack: Stack, config_file: Path) -> None:
    assert within(stack, config_file.parent) & SIGNING == set()


def test_nor_does_one_that_is_signed(stack: Stack, signed: Path) -> None:
    assert within(stack, signed.parent) & SIGNING == SIGNING


def within(stack: Stack, folder: Path) -> set[str]:
    """What a step imports beyond the libraries, which is no more than it may."""
    libraries = imported(stack, folder, "-c", f"import {', '.join(sorted(LIBRARIES))}")
    beyond = imported(stack, folder, "-m", "stepcreds", "exec", "verify", "--", "true") - libraries
    # Both processes are seen, and the engine's lock and proof.
    assert {"stepcreds.session.life", "stepcreds.process.front", "stepcreds.databases.postgresql"} <= beyond
    assert "stepcreds.scope.postgresql" in beyond
    # What is only said of a credential that can do too much.
    assert "stepcreds.scope.report" not in beyond
    # All that it does not need of HTTP, and what took a quarter of a step once.
    assert {"requests", "urllib3", "certifi"} & beyond == set()
    ours = {name for name in beyond if not name.startswith(("stepcreds", "encodings."))}
    assert ours <= OWN
    return beyond
