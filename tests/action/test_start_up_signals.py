"""A signal at any moment of the Action's start, or of its end of a job: no traceback, and nothing is left alive.

From the moment at which the runner starts Node, through the launcher and the imports, until both halves are there.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from simulated_job import Job

import ci_tools
from faulty_vault import Fault, FaultyVault
from stepcreds.action.install import HOLDING, START
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = 16
SPAN = 1.24  # seconds; what a start takes, and more
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def test_the_end_of_a_job_is_not_asked_to_stop(stack: Stack, tmp_path: Path) -> None:
    """It is the last that could end what is left; the runner kills it if it takes too long."""
    with FaultyVault(stack.address) as vault:
        job = Job(stack, tmp_path)
        job.config.write_text(
            job.config.read_text().replace(f"address: {stack.address}\n", f"address: {vault.address}\n")
        )
        use = job.use(profile="verify", outputs="true")
        assert use.run().returncode == 0
        rule = vault.fail("login", Fault("hang"))
        with use.start("post", VAULT_CLIENT_TIMEOUT="2s") as process:
            assert rule.arrived.wait(60)
            for number in ASKING:
                process.send_signal(number)
            _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "proven dead (lease lookup and a witness)\n" in errors
    assert stack.leases("database/creds/app-verify") == []


def starting(what: str) -> list[str]:
    """How the runner starts the Action, or what it put on PATH starts stepcreds."""
    if what == "shell":
        launcher = str(ROOT / "action/launch.py")
        return [*HOLDING.split(), sys.executable, "-I", "-S", "-c", START, launcher, "exec", "verify", "--", "true"]
    return [str(ci_tools.node()), str(ROOT / f"action/{what}.mjs")]


@pytest.mark.parametrize("what", ["main", "post", "shell"])
def test_at_any_moment(stack: Stack, tmp_path: Path, what: str) -> None:
    job = Job(stack, tmp_path)
    codes = []
    use = job.use(profile="verify", run="true")
    if what == "post":
        assert use.run().returncode == 0
    # The first before there is anybody to handle it; the others wherever, in every run of the tests elsewhere.
    chance = random.SystemRandom()
    for number, delay in enumerate(
        SPAN * (place + chance.random() * (place > 0)) / MOMENTS for place in range(MOMENTS)
    ):
        if what != "post":
            use = job.use(profile="verify", run="true")
        with subprocess.Popen(
            starting(what),
            cwd=job.workspace,
            env=use.environment("post" if what == "post" else "main"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            time.sleep(delay)
            process.send_signal(ASKING[number % len(ASKING)])
            said, _ = process.communicate(timeout=120)
        assert "Traceback" not in said, f"{delay:.3f} s: {said}"
        assert "KeyboardInterrupt" not in said, f"{delay:.3f} s: {said}"
        codes.append(process.returncode)
    # By the signal while there is nobody to handle it; refused before the command; ended with it; or too late.
    asked = {-number for number in ASKING} | {128 + number for number in ASKING}
    assert set(codes) <= asked | {0, 125}, codes
    assert codes[0] in asked | {125}
    assert stack.leases("database/creds/app-verify") == []
