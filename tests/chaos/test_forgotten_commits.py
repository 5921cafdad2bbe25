"""A PostgreSQL with synchronous_commit=off, which answers a COMMIT before it is on disk, crashes after a revocation."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pg8000.exceptions
import pytest
from chaos_table import Tell
from step_runs import normalised, of_kind, reported, reporting, until
from sweep_runs import DEAD, ISSUED, PROVEN, REVOKED, Sweep, swept

from faulty_vault import Fault, Rule
from stepcreds.devstack.provision import MANAGER
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"


@pytest.fixture(scope="module")
def shop() -> Iterator[Stack]:
    """Servers of this module's own: it crashes one, and changes its settings."""
    with Stack(max_connections=20) as servers:
        administer(servers, "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
        until(lambda: servers.sql("SHOW synchronous_commit") == [["off"]], "the server has read it")
        waits_for_the_disk(servers, False)  # as a user of Vault's that setup did not make
        yield servers


@pytest.fixture
def sweep(shop: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(shop, tmp_path) as made:
        yield made


def administer(stack: Stack, *statements: str) -> None:
    with closing(stack.postgresql.connect()) as session:
        for statement in statements:
            session.run(statement)


def waits_for_the_disk(stack: Stack, waits: bool) -> None:
    """Whether Vault's user does, whatever the server's own setting; its sessions take that over."""
    administer(stack, f"ALTER ROLE {MANAGER} {'SET synchronous_commit = on' if waits else 'RESET synchronous_commit'}")
    with stack.client() as root:
        ((connection,),) = [root.list("database/config")["data"]["keys"]]
        root.write_data(f"database/reset/{connection}", data={})


def crashing(sweep: Sweep, before: str = "lookup") -> tuple[subprocess.CompletedProcess[str], Rule]:
    """A step whose server loses, before OpenBao's answer at this stage, what nobody waited for since the command ran."""
    forgetting = Forgetting(sweep.stack)
    since = sweep.vault.fail(before, Fault("pass", then=forgetting.crash))
    go = sweep.folder / "go"
    then = f"open({str(sweep.marker)!r}, 'w').close()\nimport time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    with sweep.start("exec", "migrate", "--", *reporting(sweep.folder / "report", then + "sys.exit(7)\n")) as step:
        until(sweep.marker.exists, "the command runs")
        forgetting.begin()
        go.touch()
        return step.wait(), since


def unproven(proof: str) -> str:
    lease = "database/creds/app-migrate/LEASE"
    return (
        "stepcreds: error: The credential of profile migrate is not proven dead: revoked, not proven\n"
        f"  cause: Proof: {proof}\n"
        "  fix: Vault has no lease of it any more, and will not end it: the database lost its end in a crash, or somebody "
        "made it anew. Drop the user USER there, and then have that proven:\n"
        f"      stepcreds revoke --lease {lease}\n"
        f"  see: {DOCS}#not-proven-dead\n"
    )


def drop(stack: Stack, user: str) -> None:
    """What the engine would do, with the rights of its user: who is no grantor of a right cannot take it away."""
    administer(stack, f"SET ROLE {MANAGER}", f'DROP OWNED BY "{user}"', f'DROP ROLE "{user}"')


class Forgetting:
    """Nobody writes what is not waited for from `begin` to `crash`, at which the server loses it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def begin(self) -> None:
        ((pid,),) = self.stack.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
        self._writer = int(pid)
        os.kill(self._writer, signal.SIGSTOP)
        # What was committed so far is on disk: whoever waits for a commit waits for those before it.
        administer(self.stack, "SET synchronous_commit = on", "SELECT pg_logical_emit_message(true, 'test', '')")

    def crash(self) -> None:
        os.kill(self._writer, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{self._writer}").exists(), "the server sees it")
        self.stack.postgresql.wait()


@pytest.mark.chaos
def test_a_crash_undoes_a_revocation(sweep: Sweep, row: Tell) -> None:
    """Vault has forgotten the user, and it is there again: nobody but an administrator can end it now."""
    stack = sweep.stack
    run, since = crashing(sweep)
    assert (run.returncode, sweep.verdicts()) == (121, [REVOKED])
    variables = reported(sweep.folder / "report")
    user = variables["PGUSER"]
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["lock"]["status"], closed["revoke"]["status"]) == ("locked", "revoked")
    assert normalised(run.stderr) == f"{ISSUED}{unproven('the login was accepted')}"
    assert sweep.alive() == {user}
    # The lock waited for the disk, so nobody knows a password of that user.
    with pytest.raises(pg8000.exceptions.DatabaseError, match="password authentication failed"):
        stack.connect(user, Secret(variables["PGPASSWORD"]))
    again = sweep.revoke_all()
    assert (again.returncode, normalised(again.stderr)) == (1, unproven("1 role(s) and 0 session(s) of that name"))
    drop(stack, user)
    sweep.check_recovery()
    sweep.check_secrets(run, again)
    sweep.tell(row, "PostgreSQL: crashes, and forgets the revocation", "proof", run, since)


def test_a_crash_undoes_a_revocation_that_was_proven(sweep: Sweep, row: Tell) -> None:
    """Nobody sees that. What is left is a user whose password nobody has."""
    run, since = crashing(sweep, "revoke-self")
    variables = reported(sweep.folder / "report")
    assert (run.returncode, sweep.verdicts()) == (7, [DEAD])
    assert normalised(run.stderr) == f"{ISSUED}{PROVEN}"
    assert sweep.alive() == {variables["PGUSER"]}
    with pytest.raises(pg8000.exceptions.DatabaseError, match="password authentication failed"):
        sweep.stack.connect(variables["PGUSER"], Secret(variables["PGPASSWORD"]))
    drop(sweep.stack, variables["PGUSER"])
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    sweep.tell(row, "PostgreSQL: crashes, and forgets what was proven", "give back", run, since)


@pytest.mark.chaos
def test_a_crash_undoes_nothing_where_vaults_user_waits_for_the_disk(sweep: Sweep, row: Tell) -> None:
    """As setup has it, and doctor advises."""
    waits_for_the_disk(sweep.stack, True)
    try:
        run, since = crashing(sweep)
        sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    finally:
        waits_for_the_disk(sweep.stack, False)
    sweep.tell(row, "PostgreSQL: crashes, and keeps the revocation", "proof", run, since)
