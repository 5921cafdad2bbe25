"""A cancelled step has ten seconds: the CI has its answer within them, and what takes longer is done in the background."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from step_runs import normalised, of_kind, reconfigure, token_is_gone, until
from sweep_runs import Sweep, swept
from wrapper_runs import SEALED, Alone, start

from faulty_vault import Fault
from stepcreds.cli.options import load
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.ledger.record import new_uid
from stepcreds.process.custody import Custody
from stepcreds.session.departure import depart

COOKIES = {"RUNNER_TRACKING_ID": "github_2f1e", "JENKINS_NODE_COOKIE": "7c6d"}


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


def under_way(profile: str, seconds: int, revoke: str) -> str:
    return (
        f"stepcreds: error: The credential of profile {profile} is not proven dead yet: it expires at TIME\n"
        "  cause: SIGTERM asked this step to end, and 7 seconds are over. Vault or the database is slow, or does not answer.\n"
        f"  fix: Another process of this step goes on trying, for up to {seconds} seconds, unless the runner ends it. "
        "What came of it says, in a later step of the same job:\n"
        "      stepcreds ledger show\n"
        "    End it and prove it there, if that did not:\n"
        f"      {revoke}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#carried-on\n"
    )


def own_names(document: dict[str, Any]) -> None:
    document["profiles"]["verify"]["env"] = {"VERIFY_URL": "{url}"}


def test_what_takes_longer_is_done_in_the_background(sweep: Sweep) -> None:
    reconfigure(sweep.config_file, own_names)
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with start(sweep, "migrate", "--also", "verify", **COOKIES) as step:
        alone = Alone(step)
    assert alone.code == 121
    assert alone.seconds >= 7
    said = normalised(alone.stderr)
    assert said[said.index("stepcreds: error") :] == "".join(
        under_way(name, 150, f"stepcreds revoke --lease database/creds/app-{name}/LEASE")
        for name in ("migrate", "verify")
    )
    assert len(sweep.alive()) == 2
    assert sweep.verdicts() == []
    # Nothing of the CI's is held, and a runner finds it by what it gave the job.
    files = {str(Path(f"/proc/{alone.worker}/fd/{number}").readlink()) for number in (0, 1, 2)}
    assert files == {"/dev/null"}
    tether = Path(f"/proc/{alone.tether()}")
    given = (tether / "environ").read_bytes().rstrip(b"\0").split(b"\0")
    assert set(given) == {f"{name}={value}".encode() for name, value in COOKIES.items()}

    sealed.left = 0
    assert alone.has_ended()
    until(lambda: not tether.exists(), "the end of the tether")
    assert sweep.alive() == set()
    assert sweep.verdicts() == ["proven dead", "proven dead"]
    assert {closed["cancelled_by"] for closed in of_kind(sweep.config_file, "credential.closed")} == {"SIGTERM"}
    accessors = [record["token_accessor"] for record in of_kind(sweep.config_file, "credential.requested")]
    assert all(token_is_gone(sweep.stack, accessor) for accessor in accessors)
    assert sweep.verify().returncode == 0


def test_a_later_step_may_be_first(sweep: Sweep) -> None:
    """Both end it, and it ends on record once."""
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with start(sweep) as step:
        alone = Alone(step)
    sweep.change(address=sweep.stack.address)
    recovery = sweep.run("revoke", VAULT_CLIENT_TIMEOUT=None)
    assert recovery.returncode == 0, recovery.stderr
    assert sweep.verdicts() == ["proven dead", "proven dead"]  # the witness, and the credential
    sealed.left = 0
    assert alone.has_ended()
    assert sweep.verdicts() == ["proven dead", "proven dead"]
    assert sweep.verify().returncode == 0
    sweep.check_secrets(recovery)


def test_a_runner_that_ends_what_is_left_ends_it_at_once(sweep: Sweep) -> None:
    sweep.vault.fail("revoke", SEALED, None)
    with start(sweep, **COOKIES) as step:
        alone = Alone(step)
    os.kill(alone.tether(), signal.SIGTERM)
    assert alone.has_ended()
    assert len(sweep.alive()) == 1
    assert sweep.verdicts() == []
    sweep.check_recovery()


def test_a_cancel_before_there_is_a_lease(sweep: Sweep) -> None:
    hanging = sweep.vault.fail("issue", Fault("hang", after=True))
    sealed = sweep.vault.fail("revoke-self", SEALED, None)
    with sweep.start(VAULT_CLIENT_TIMEOUT=None) as step:
        assert hanging.arrived.wait(60)
        alone = Alone(step)
    assert alone.code == 125
    assert normalised(alone.stderr) == under_way("migrate", 75, "stepcreds revoke")
    sealed.left = 0
    assert alone.has_ended()
    assert sweep.verdicts() == ["revoked, not proven"]
    until(lambda: not sweep.alive(), "the user goes with the token")


def test_a_step_that_holds_nothing_and_does_not_end(sweep: Sweep, capfd: pytest.CaptureFixture[str]) -> None:
    """A name server's silence, or a disk's: neither can be had at will."""
    clock = SystemClock()
    config, variables = load(sweep.config_file, clock)
    around = surroundings(config, {**variables, "GITHUB_ACTIONS": ""}, clock, new_uid(), started_by=os.getpid())
    assert depart(Custody((), (), reason="SIGTERM"), around=around) == 125
    assert capfd.readouterr().err == (
        "stepcreds: error: This step is still busy 7 seconds after SIGTERM\n"
        "  cause: It holds no credential. A server, or the disk that the ledger is on, does not answer.\n"
        "  fix: Nothing has to be ended. What it waits for, it waits for in the background, for a server 75 seconds at "
        "most.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#carried-on\n"
    )
