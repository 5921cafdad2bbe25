"""Whichever half of a step is killed, the other ends the credential; where both are, `stepcreds revoke` does."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from step_runs import (
    STAYING,
    Running,
    kinds,
    normalised,
    of_kind,
    reconfigure,
    refusal,
    reported,
    reporting,
    said,
    started_by,
    token_is_gone,
    until,
    verdicts,
)

from conftest import Step
from processes import Watched
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

FOLDED = (
    "::group::stepcreds: what steps left\nstepcreds: migrate: proven dead (lease lookup and a witness)\n::endgroup::\n"
)
DEAD = "stepcreds: migrate: proven dead (lease lookup and refused logins)\n"
ISSUED = "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"


def test_the_worker_is_killed(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    with Running(stack, config_file, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        given = reported(tmp_path / "report")
        command = Watched([int(given["own pid"])])
        running.kill(running.worker)
        run = running.wait()
    assert run.returncode == 137
    assert command.alive_after(0) == []
    text = "The process that ran this step was lost: the worker was killed by SIGKILL"
    assert normalised(run.stderr) == (
        ISSUED + f"stepcreds: error: {text}\n"
        "  cause: Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.\n"
        "  fix: What it held is ended by the process that is left, which says below how that went.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-lost\n" + DEAD
    )
    assert_dead(stack, given, config_file)


def test_the_front_is_killed(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    with Running(stack, config_file, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        given = reported(tmp_path / "report")
        rest = Watched([running.worker, int(given["own pid"])])
        running.kill(running.process.pid)
        run = running.wait()
    # The output goes nowhere once the CI's process is gone: the CI would wait for it.
    assert (run.returncode, normalised(run.stderr)) == (-signal.SIGKILL, ISSUED)
    assert rest.alive_after(60) == []
    assert_dead(stack, given, config_file)
    (closed,) = of_kind(config_file, "credential.closed")
    assert (closed["cancelled_by"], closed["step"]["exit_code"]) == ("SIGKILL", 137)


def assert_dead(stack: Stack, given: dict[str, str], config_file: Path) -> None:
    """By lock, lookup and refused logins, as at the end of any step."""
    assert [kind for kind in kinds(config_file) if kind != "credential.left"][-1] == "credential.closed"
    assert verdicts(config_file) == ["proven dead"]
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["lock"]["status"] == "locked"
    assert closed["verified"]["method"] == "lease lookup and refused logins"
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"
    assert given["PGUSER"] not in stack.issued_roles()
    assert token_is_gone(stack, of_kind(config_file, "credential.requested")[0]["token_accessor"])


class Killed:
    """A step of which both halves were killed, and whose command goes on; `environment` is what the command has."""

    def __init__(self, stack: Stack, config_file: Path, report: Path, profile: str = "migrate") -> None:
        with Running(stack, config_file, "exec", profile, "--", *reporting(report, STAYING)) as running:
            self.environment = reported(report)
            self.command = int(self.environment["own pid"])
            halves = [running.worker, running.process.pid]
            for pid in halves:
                os.kill(pid, signal.SIGSTOP)  # or the first would end the tree before the second is killed
            for pid in halves:
                os.kill(pid, signal.SIGKILL)
            running.process.wait()  # not for the end of its output: the command still holds it

    def clean_up(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.command, signal.SIGKILL)


@pytest.fixture
def killed(stack: Stack, config_file: Path, tmp_path: Path) -> Iterator[Killed]:
    both = Killed(stack, config_file, tmp_path / "report")
    yield both
    both.clean_up()


def test_both_are_killed_and_revoke_proves_it_with_a_witness(
    stack: Stack, step: Step, config_file: Path, killed: Killed
) -> None:
    user, password = killed.environment["PGUSER"], killed.environment["PGPASSWORD"]
    assert refusal(stack, user, password) == ""
    assert kinds(config_file) == ["chain.opened", "credential.requested", "credential.issued"]
    unclosed = step("ledger", "verify")
    assert unclosed.returncode == 1, unclosed.stdout

    run = step("revoke")
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == FOLDED
    assert refusal(stack, user, password) == "28P01"
    assert user not in stack.issued_roles()
    closed = next(record for record in of_kind(config_file, "credential.closed") if record["profile"] == "migrate")
    assert closed["verified"].pop("time") is not None
    assert closed["verified"] == {
        "lookup": "gone",
        "db_login": "not_checked",
        "witness": "absent",
        "method": "lease lookup and a witness",
    }
    assert closed["lock"]["status"] == "not_applicable"
    assert closed["step"] == {"name": "__run", "command_sha256": None, "exit_code": None, "start": None, "end": None}
    # The witness is a credential like any other: least of what there is, on record, and dead.
    witness = of_kind(config_file, "credential.requested")[1]
    assert (witness["profile"], witness["delivery"]) == ("verify", "witness")
    assert verdicts(config_file) == ["proven dead", "proven dead"]
    assert step("ledger", "verify").returncode == 0


def test_what_is_revoked_twice(step: Step, killed: Killed) -> None:
    assert step("revoke").returncode == 0
    again = step("revoke")
    assert (again.returncode, again.stderr) == (
        0,
        "stepcreds: nothing to revoke: no credential is open in this ledger\n",
    )


def test_a_lease_that_is_gone_already_is_no_error(stack: Stack, step: Step, config_file: Path, killed: Killed) -> None:
    (lease,) = stack.leases("database/creds/app-migrate")
    with stack.client() as root:
        root.write_data("sys/leases/revoke", data={"lease_id": lease, "sync": True})
    run = step("revoke")
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == FOLDED


def test_a_profile_that_was_renamed_is_no_way_around_the_witness(step: Step, config_file: Path, killed: Killed) -> None:
    def rename(document: Any) -> None:
        document["profiles"]["other"] = document["profiles"].pop("migrate")

    reconfigure(config_file, rename)
    run = step("revoke")
    assert (run.returncode, normalised(run.stderr)) == (0, FOLDED)


def test_without_a_witness_on_its_server_nothing_is_proven(
    stack: Stack, step: Step, config_file: Path, killed: Killed
) -> None:
    """Another server would truthfully say that it knows no such user."""

    def move(document: Any) -> None:
        for profile in document["profiles"].values():
            profile["database"] = profile["database"].replace("127.0.0.1", "localhost")

    reconfigure(config_file, move)
    run = step("revoke")
    server = f"postgresql://{stack.postgresql.host}:{stack.postgresql.port}"
    assert run.returncode == 1
    assert f"Proof: no witness could be had: no profile of this configuration is on {server}\n" in run.stderr
    assert verdicts(config_file) == ["revoked, not proven"]


# Breaks the lock in both halves, as a defect of our own would.
DEFECT = "import hashlib\ndel hashlib.pbkdf2_hmac\n"


def test_a_defect_of_ours_keeps_nothing_alive(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(measure="off"))
    run = started_by(DEFECT, stack, config_file, "exec", "migrate", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 121
    lost = "The process that ran this step was lost: AttributeError in scram.py:N"
    text = "The credential of profile migrate is not ended in order: AttributeError in scram.py:N"
    assert re.sub(r"(?<=scram.py:)\d+", "N", normalised(run.stderr)) == (
        ISSUED.replace("measured ddl in N ms", "not measured: the profile says measure: off")
        + f"stepcreds: error: {lost}\n"
        "  cause: Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.\n"
        "  fix: What it held is ended by the process that is left, which says below how that went.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-lost\n"
        f"stepcreds: error: {text}\n"
        "  cause: This is a defect of stepcreds.\n"
        "  fix: Its token is revoked instead, which ends what it was given a little later. Prove it, in a step of the same "
        "job:\n"
        "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    given = reported(tmp_path / "report")
    until(lambda: given["PGUSER"] not in stack.issued_roles(), "the role goes with the token")
    assert token_is_gone(stack, of_kind(config_file, "credential.requested")[0]["token_accessor"])
    assert verdicts(config_file) == ["revoked, not proven"]
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"
    (lease,) = re.findall(r"--lease (\S+)", said(run.stderr))
    proved = step("revoke", "--lease", lease)
    assert proved.returncode == 0, proved.stderr
    assert verdicts(config_file)[1:] == ["proven dead", "proven dead"]  # the witness, and the credential


# Whatever the front does between the worker's death and the first revocation, but for ending the tree.
DEFECTS = (
    "import stepcreds.process.front as front, stepcreds.session.takeover as takeover\n"
    "def broken(*_, **__): raise KeyError\n"
    "front.reclaim_terminal = takeover.remove_folder = takeover.Guard = takeover._note = broken\n"
)


def test_a_defect_of_ours_on_the_way_there_keeps_nothing_alive(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    """The worker dies of a signal that Python has no name for."""
    dying = "import signal\nos.kill(os.getppid(), 35)\nsignal.pause()\n"
    run = started_by(DEFECTS, stack, config_file, "exec", "migrate", "--", *reporting(tmp_path / "report", dying))
    assert run.returncode == 137
    failed = "stepcreds: warning: not everything could be done after the loss of that process: KeyError in <string>:2\n"
    assert normalised(run.stderr) == (
        ISSUED
        + "stepcreds: error: The process that ran this step was lost: the worker was killed by signal 35; what it "
        "left could not be cleared away: KeyError in <string>:2\n"
        "  cause: Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.\n"
        "  fix: What it held is ended by the process that is left, which says below how that went.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-lost\n"
        + failed  # of two things, with one text
        + DEAD
    )
    assert_dead(stack, reported(tmp_path / "report"), config_file)
