"""What `exec` ends with: the command's own code, or one of its own that says how far it came."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from step_runs import (
    STAYING,
    Oddities,
    Running,
    normalised,
    of_kind,
    reconfigure,
    refusal,
    reported,
    reporting,
    root,
    verdicts,
)

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

ISSUED = "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
PROVEN = "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"


@pytest.mark.parametrize("code", [0, 1, 7, 121, 125, 255])
def test_the_commands_own_code(step: Step, config_file: Path, code: int) -> None:
    run = step("exec", "verify", "--", "sh", "-c", f"exit {code}")
    assert run.returncode == code
    assert normalised(run.stderr) == ISSUED + PROVEN
    assert of_kind(config_file, "credential.closed")[0]["step"]["exit_code"] == code


def test_a_command_that_a_signal_ended(step: Step, config_file: Path) -> None:
    run = step("exec", "verify", "--", "sh", "-c", "kill -USR1 $$")
    assert run.returncode == 128 + signal.SIGUSR1
    assert normalised(run.stderr) == ISSUED + PROVEN
    assert of_kind(config_file, "credential.closed")[0]["step"]["exit_code"] == 128 + signal.SIGUSR1
    assert of_kind(config_file, "credential.closed")[0]["cancelled_by"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cancelled_step(stack: Stack, config_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = reporting(tmp_path / "report", STAYING)
    # Before it reports: the signal comes as soon as it has.
    command[2] = f"import signal\nsignal.signal({int(number)}, signal.SIG_DFL)\n{command[2]}"
    with Running(stack, config_file, "exec", "verify", "--", *command) as running:
        reported(tmp_path / "report")
        running.process.send_signal(number)
        run = running.wait()
    assert run.returncode == 128 + number
    assert normalised(run.stderr) == ISSUED + PROVEN
    (closed,) = of_kind(config_file, "credential.closed")
    assert (closed["cancelled_by"], closed["verdict"]) == (number.name, "proven dead")


def test_a_command_at_its_max_ttl(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("short", access="read-only", ttl="10s", max_ttl="10s")
        run = step("exec", "short", "--grace", "1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    assert run.returncode == 124
    lines = normalised(run.stderr).splitlines()
    assert "stepcreds: warning: max_ttl was reached: the command was ended" in lines
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["step"]["exit_code"] == 124
    assert closed["verdict"] == "proven dead"


def test_a_command_that_is_not_there(step: Step, config_file: Path) -> None:
    run = step("exec", "verify", "--", "no-such-command", PATH="/usr/bin")
    assert run.returncode == 127
    text = "the command 'no-such-command' was not found"
    assert normalised(run.stderr) == (
        ISSUED + "stepcreds: verify: proven dead (lease lookup and refused logins)\n"
        f"stepcreds: error: {text}\n"
        "  cause: no folder of the command's PATH holds it: /usr/bin\n"
        "  fix: Check the spelling, install it in an earlier step, or give its whole path.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#command-not-found\n"
    )
    assert verdicts(config_file) == ["proven dead"]


def test_a_command_that_cannot_be_run(step: Step, config_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    run = step("exec", "verify", "--", str(script))
    assert run.returncode == 126
    text = f"the command '{script}' cannot be run: {script} is not executable for this user"
    assert normalised(run.stderr) == (
        ISSUED + "stepcreds: verify: proven dead (lease lookup and refused logins)\n"
        f"stepcreds: error: {text}\n"
        "  cause: its mode or the file system's (noexec) forbids it\n"
        f"  fix: Run `chmod +x {script}`, or name its interpreter.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#command-not-runnable\n"
    )
    assert verdicts(config_file) == ["proven dead"]


@pytest.fixture
def stuck(stack: Stack, config_file: Path) -> Iterator[Callable[[], None]]:
    """The profile `stuck`, whose users cannot be revoked until what this gives is called."""
    refused = ["DO $$ BEGIN RAISE EXCEPTION 'not today'; END $$"]
    with Oddities(stack, config_file) as odd:
        odd.profile("stuck", access="read-only", database_role={"revocation_statements": refused})

        def mend() -> None:
            odd.profile("stuck", access="read-only")

        yield mend
        mend()
        for lease in stack.leases("database/creds/app-stuck"):
            assert root(stack, "POST", "sys/leases/revoke", lease_id=lease, sync=True) == 204


NOT_PROVEN = (
    "stepcreds: stuck: issued database/creds/app-stuck as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
    "stepcreds: error: The credential of profile stuck is not proven dead: expires at TIME\n"
    "  cause: Revocation: Vault at http://HOST answered 400 to POST sys/leases/revoke: failed to revoke entry: resp: "
    "(*logical.Response)(nil) err: ERROR: not today (SQLSTATE P0001). Vault goes on trying\n"
    "    Proof: Vault still has the lease; the login was accepted\n"
    "  fix: The lease is database/creds/app-stuck/LEASE; it expires at TIME. End it and prove it, in a step of the same "
    "job:\n"
    "      stepcreds revoke --lease database/creds/app-stuck/LEASE\n"
    "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
)


def test_a_credential_that_is_not_proven_dead_overrides_the_commands_code(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path, stuck: Callable[[], None]
) -> None:
    run = step("exec", "stuck", "--", *reporting(tmp_path / "report", "sys.exit(3)"))
    assert run.returncode == 121
    assert normalised(run.stderr) == NOT_PROVEN
    lease = of_kind(config_file, "credential.issued")[0]["lease_id"]
    assert f"      stepcreds revoke --lease {lease}\n" in run.stderr
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["step"]["exit_code"] == 3
    assert closed["lock"]["status"] == "locked"
    # Locked: what the step was given is of no use any more, and yet it is not proven.
    given = reported(tmp_path / "report")
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"

    stuck()  # the role is mended; the command that the message names ends the credential
    again = step("revoke", "--lease", lease)
    assert again.returncode == 0, again.stderr
    assert normalised(again.stderr) == (
        "::group::stepcreds: what steps left\nstepcreds: stuck: proven dead (lease lookup and a witness)\n::endgroup::\n"
    )
    assert step("ledger", "verify").returncode == 0


def test_on_revoke_failure_warn_keeps_the_commands_code(
    step: Step, config_file: Path, stuck: Callable[[], None]
) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["stuck"].update(on_revoke_failure="warn"))
    run = step("exec", "stuck", "--", "sh", "-c", "exit 3")
    assert run.returncode == 3
    assert normalised(run.stderr) == NOT_PROVEN
