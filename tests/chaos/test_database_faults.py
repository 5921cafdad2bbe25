"""A real PostgreSQL that goes away, fills up, restarts or takes no writes while a step measures, locks or proves; and what
others do to it meanwhile. What OpenBao can reach, and what stepcreds says, follows from that alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

import pg8000.exceptions
import pytest
from chaos_table import Tell
from database_troubles import (
    BEFORE_UNPROVEN,
    ENDED,
    GOOD,
    LEFT,
    MEANWHILE,
    UNPROVEN,
    Filled,
    Hang,
    Meanwhile,
    Refused,
    Reset,
    Row,
    Trouble,
    fails_at_a_stage,
    name,
    waiting,
)
from step_runs import Oddities, normalised, of_kind, reported, until
from sweep_runs import DEAD, EXPIRES, ISSUED, REVOKED, RUNS, Sweep, swept

from certificates_for_vault import Authority
from faulty_relay import FaultyRelay, Treatment
from faulty_vault import Fault
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.process import ServerProcess
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql

DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"


@pytest.fixture(scope="module")
def shop() -> Iterator[Stack]:
    """Servers of this module's own: it restarts them."""
    with Stack(max_connections=20) as servers:
        servers.sql("CREATE ROLE customer LOGIN PASSWORD 'of-the-customer'")
        servers.sql("GRANT CONNECT ON DATABASE shop TO customer")
        yield servers


@pytest.fixture
def sweep(shop: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(shop, tmp_path) as made:
        yield made


class AtTheServer(Trouble):
    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self.server = sweep.stack.postgresql


class Full(Filled):
    user, password = "customer", Secret("of-the-customer")

    def connect(self) -> AbstractContextManager[Any] | None:
        try:
            return closing(self.sweep.stack.connect(self.user, self.password))
        except pg8000.exceptions.DatabaseError as error:
            assert error.args[0]["C"] == "53300", error
            return None


class Packed(Full):
    """Nor those: nobody is so much as asked for a password."""

    what = "is full, its superuser's places too"
    blinds = True

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self.user, self.password = SUPERUSER, sweep.stack.postgresql.password


class ReadOnly(AtTheServer):
    """What providers do to a server whose disk is full."""

    what = "is read-only"

    def begin(self) -> None:
        self._set("SET default_transaction_read_only = on")

    def end(self) -> None:
        self._set("RESET default_transaction_read_only")

    def _set(self, setting: str) -> None:
        with closing(self.server.connect()) as session:
            session.run("SET default_transaction_read_only = off")
            session.run(f"ALTER SYSTEM {setting}")
            session.run("SELECT pg_reload_conf()")
        until(self._read_only if setting.startswith("SET") else lambda: not self._read_only(), "the server has read it")

    def _read_only(self) -> bool:
        return self.sweep.stack.sql("SHOW default_transaction_read_only") == [["on"]]


class Crashed(AtTheServer):
    """A process of the server is killed: it ends all sessions, recovers, and lets nobody in meanwhile (57P03)."""

    what = "crashes"

    def begin(self) -> None:
        with closing(self.server.connect()) as session:
            ((pid,),) = session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
            os.kill(int(pid), signal.SIGKILL)

    def end(self) -> None:
        self.server.wait()


class Stopped(AtTheServer):
    """The server ends at once, and is started again."""

    what = "restarts"
    number = signal.SIGINT

    def begin(self) -> None:
        self._pid = int((self.server.folder / "data/postmaster.pid").read_text().split()[0])
        self._argv = Path(f"/proc/{self._pid}/cmdline").read_text().split("\0")[:-1]
        self._argv[0] = str(Path(f"/proc/{self._pid}/exe").readlink())
        os.kill(self._pid, self.number)
        if self.number == Stopped.number:
            self._ended()

    def end(self) -> None:
        owner = (self.server.folder / "data").stat()
        if Path(f"/proc/{self._pid}").exists():
            os.kill(self._pid, Stopped.number)
            self._ended()
        assert self.server.process is not None
        with self.server.process._keeper:  # it has ended with its server
            pass
        self.server.process = ServerProcess(
            "again",
            self._argv,
            folder=self.server.folder,
            environment={"HOME": str(self.server.folder), "LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            stop_signal=signal.SIGQUIT,
            owner=(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None,
            secret=self.server.password,
        )
        self.server.wait()

    def _ended(self) -> None:
        until(lambda: not Path(f"/proc/{self._pid}").exists(), "the server ends")


class ShuttingDown(Stopped):
    """It waits for its sessions to end, and lets nobody in meanwhile (57P03)."""

    what = "shuts down"
    number = signal.SIGTERM


ROWS = (
    # Before anybody was handed it. The lock comes at once after it.
    Row(Refused, "measure", "revoke", ENDED, "unreachable"),
    Row(Reset, "measure", "revoke", ENDED, "unreachable"),
    Row(Full, "measure", "soon", GOOD, "locked"),
    Row(Full, "measure", "revoke", ENDED, "failed", chaos=False),
    Row(Stopped, "measure", "revoke", ENDED, "unreachable"),
    Row(Refused, "measure", "never", BEFORE_UNPROVEN, "unreachable"),
    Row(Full, "measure", "never", ENDED, "failed"),
    Row(Packed, "measure", "revoke", ENDED, "failed"),
    # While the command runs.
    Row(Refused, "lock", "revoke", GOOD, "unreachable"),
    Row(Reset, "lock", "revoke", GOOD, "unreachable"),
    Row(Hang, "lock", "revoke", GOOD, "unreachable"),
    Row(Full, "lock", "revoke", GOOD, "failed"),
    Row(Full, "lock", "soon", GOOD, "locked"),
    Row(Crashed, "lock", "soon", GOOD, "locked"),
    # The server is gone when it is to lock, and back when OpenBao asks for the revocation again.
    Row(Stopped, "lock", "soon", GOOD, "unreachable"),
    # The lock asks for a session that may write, OpenBao does not: it goes on by itself when the server can.
    Row(ReadOnly, "lock", "never", LEFT, "locked"),
    # Between revocation and proof.
    Row(Refused, "proof", "soon", GOOD, "locked"),
    Row(Reset, "proof", "soon", GOOD, "locked"),
    Row(Hang, "proof", "soon", GOOD, "locked"),
    Row(Packed, "proof", "soon", GOOD, "locked", chaos=False),
    Row(Crashed, "proof", "soon", GOOD, "locked"),
    Row(Stopped, "proof", "soon", GOOD, "locked"),
    Row(ShuttingDown, "proof", "soon", GOOD, "locked"),
    Row(Refused, "proof", "never", UNPROVEN, "locked"),
    Row(Full, "proof", "never", GOOD, "locked"),
    Row(Packed, "proof", "never", UNPROVEN, "locked"),
)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.chaos if case.chaos else ()) for case in ROWS],
    ids=lambda case: f"{case.stage}, {name(case)}",
)
def test_the_database_fails_at_a_stage(sweep: Sweep, row: Tell, case: Row) -> None:
    fails_at_a_stage(sweep, row, "PostgreSQL", case)


@pytest.mark.chaos
def test_what_is_said_of_a_database_that_does_not_come_back(sweep: Sweep, row: Tell) -> None:
    """The user is gone, as OpenBao says; that nobody can log in is not proven."""
    away: list[Treatment] = ["reset"]
    with FaultyRelay(
        sweep.stack.postgresql.port, lambda number: "relay" if number == 1 or not away else away[0]
    ) as relay:
        sweep.change(database=f"postgresql://127.0.0.1:{relay.port}/shop?sslmode=disable", measure="off")
        since = sweep.vault.fail("lookup", Fault("pass"))
        run = sweep.run()
        sweep.check(run, code=121, ran=True, verdicts=[REVOKED])
        assert normalised(run.stderr) == ISSUED.replace(
            "measured ddl in N ms", "not measured: the profile says measure: off"
        ) + (
            "stepcreds: error: The credential of profile migrate is not proven dead: revoked, not proven\n"
            "  cause: Proof: HOST closed the connection\n"
            "  fix: The lease is database/creds/app-migrate/LEASE; it expires at TIME. End it and prove it, in a step of the same job:\n"
            "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
            f"  see: {DOCS}#not-proven-dead\n"
        )
        # When it is back, the backstop reaches it, and proves it.
        away.clear()
        sweep.check_recovery()
    sweep.tell(row, "PostgreSQL: resets, for good", "proof", run, since)
    assert sweep.verdicts() == [REVOKED, DEAD, DEAD]  # and that of the witness


# What the server says of a credential that cannot be dropped, and what others hold.


def given(sweep: Sweep) -> tuple[str, Secret]:
    variables = reported(sweep.folder / "report")
    return variables["PGUSER"], Secret(variables["PGPASSWORD"])


@pytest.mark.parametrize(
    "statements",
    [
        ["SELECT 1"],
        ["BEGIN", "SELECT 1"],
        ["BEGIN", "LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE", "ALTER ROLE SESSION_USER PASSWORD 'mine'"],
    ],
    ids=["idle", "idle in a transaction", "with the locks that its end needs"],
)
def test_a_session_in_another_client_is_ended(sweep: Sweep, row: Tell, statements: list[str]) -> None:
    go, words = waiting(sweep)
    with sweep.start(*words) as step:
        user, password = given(sweep)
        elsewhere = sweep.stack.connect(user, password)
        try:
            for statement in ("SET ROLE app_owner", *statements[:-1], "SET ROLE NONE", statements[-1]):
                elsewhere.run(statement)
            assert sweep.stack.sessions(user) == 1
            since = time.monotonic()
            go.touch()
            run = step.wait()
            assert sweep.stack.sessions(user) == 0
            with pytest.raises((pg8000.exceptions.DatabaseError, pg8000.exceptions.InterfaceError)):
                elsewhere.run("SELECT 1")
        finally:
            with suppress(pg8000.exceptions.InterfaceError):
                elsewhere.close()
    sweep.check(run, **GOOD._asdict())
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["lock"]["status"], closed["lock"]["sessions_ended"]) == ("locked", 1)
    fault = ("a session", "an idle transaction", "its own row locked")[len(statements) - 1]
    sweep.tell(row, f"command: left {fault}", RUNS, run, since)


@pytest.mark.chaos
@pytest.mark.parametrize("over", ["revoke", "never"])
def test_an_administrator_holds_the_users_row(sweep: Sweep, row: Tell, over: str) -> None:
    """Nobody can change or drop the user until that transaction ends: the lock fails, and OpenBao waits."""
    go, words = waiting(sweep)
    with closing(sweep.stack.connect(SUPERUSER, sweep.stack.postgresql.password)) as administrator:
        with sweep.start(*words, VAULT_CLIENT_TIMEOUT="3s" if over == "never" else None) as step:
            user, _ = given(sweep)
            administrator.run("BEGIN")
            administrator.run(f'ALTER ROLE "{user}" CONNECTION LIMIT 7')
            since = time.monotonic()
            if over == "revoke":  # OpenBao is asked, and its answer takes as long as this
                letting_go = threading.Timer(8.0, administrator.run, ["ROLLBACK"])
                letting_go.start()
            go.touch()
            run = step.wait()
        (closed,) = of_kind(sweep.config_file, "credential.closed")
        assert closed["lock"]["status"] == "failed"
        if over == "never":
            assert sweep.alive() == {user}
            administrator.run("ROLLBACK")
        else:
            letting_go.join()
    sweep.check(run, **(GOOD if over == "revoke" else LEFT)._asdict())
    if over == "never":
        sweep.check_recovery()
    sweep.tell(
        row, f"PostgreSQL: the user's row is locked, for {'8 s' if over == 'revoke' else 'good'}", RUNS, run, since
    )


@pytest.mark.chaos
def test_a_user_that_owns_something_cannot_be_dropped(sweep: Sweep, row: Tell) -> None:
    """The engine's own revocation statements would be as this."""
    with Oddities(sweep.stack, sweep.config_file) as odd:
        odd.profile("owner", database_role={"revocation_statements": ['DROP ROLE IF EXISTS "{{name}}"']})
        sweep.change(address=sweep.vault.address)
        script = (
            "import os, pg8000.native\n"
            "session = pg8000.native.Connection(os.environ['PGUSER'], host=os.environ['PGHOST'],"
            " port=int(os.environ['PGPORT']), database=os.environ['PGDATABASE'], password=os.environ['PGPASSWORD'])\n"
            "session.run('SET ROLE NONE')\nsession.run('SELECT lo_create(0)')\n"
            f"session.close()\nopen({str(sweep.marker)!r}, 'w').close()\nraise SystemExit(7)\n"
        )
        since = sweep.vault.fail("revoke", Fault("pass"))
        run = sweep.run("exec", "owner", "--", sys.executable, "-c", script, VAULT_CLIENT_TIMEOUT="5s")
        (issued,) = of_kind(sweep.config_file, "credential.issued")
        lease = "database/creds/app-owner/LEASE"
        assert normalised(run.stderr).replace("http://HOST", "ADDRESS") == (
            f"{ISSUED.replace('migrate', 'owner')}"
            "stepcreds: error: The credential of profile owner is not proven dead: expires at TIME\n"
            "  cause: Revocation: Vault at ADDRESS answered 400 to POST sys/leases/revoke: failed to revoke entry: resp: "
            '(*logical.Response)(nil) err: ERROR: role "USER" cannot be dropped because some objects depend on it '
            "(SQLSTATE 2BP01). The issued user owns objects, or has rights that the role's revocation statements do not "
            "take away. Give the database role revocation_statements with REASSIGN OWNED and DROP OWNED before DROP ROLE. "
            "Vault goes on trying\n"
            "    Proof: Vault still has the lease; the login was accepted\n"
            f"  fix: The lease is {lease}; it expires at TIME. End it and prove it, in a step of the same job:\n"
            f"      stepcreds revoke --lease {lease}\n"
            f"  see: {DOCS}#not-proven-dead\n"
        )
        assert sweep.alive() == {issued["db_user"]}
        # With statements that give away what it owns, what is left can be ended.
        revocation = postgresql.revocation("app_owner")
        odd.write("database/roles/app-owner", {"db_name": "shop", "revocation_statements": revocation})
        sweep.check(run, code=121, ran=True, verdicts=[EXPIRES])
        sweep.check_recovery()
    sweep.tell(row, "command: its user owns something", "revoke", run, since)


@pytest.fixture(scope="module")
def certified() -> Iterator[Stack]:
    with Stack(tls=True) as servers:
        yield servers


@pytest.mark.chaos
@pytest.mark.parametrize("over", ["soon", "never"])
def test_the_certificate_of_the_database_expires_before_the_proof(
    certified: Stack, tmp_path: Path, row: Tell, over: str
) -> None:
    server = certified.postgresql
    files = [server.folder / "server.pem", server.folder / "server.key"]
    before = [file.read_bytes() for file in files]
    pair = Authority(tmp_path).pair("expired", days=-1)
    administrator = server.connect()

    def show(contents: list[bytes]) -> None:
        ((loaded,),) = administrator.run("SELECT pg_conf_load_time()")
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        administrator.run("SELECT pg_reload_conf()")
        until(lambda: administrator.run("SELECT pg_conf_load_time()") != [[loaded]], "the server has read it")

    with swept(certified, tmp_path) as sweep, closing(administrator):
        trouble = Trouble(sweep)
        trouble.begin = lambda: show([pair.certificate.read_bytes(), pair.key.read_bytes()])  # type: ignore[method-assign]
        trouble.end = lambda: show(before)  # type: ignore[method-assign]
        meanwhile = Meanwhile(trouble, over)
        since = sweep.vault.fail("lookup", Fault("pass", then=meanwhile.begin))
        try:
            run = sweep.run()
        finally:
            meanwhile.now()
        sweep.check(run, **(GOOD if over == "soon" else UNPROVEN)._asdict())
        where = f"127.0.0.1:{server.port}"
        if over == "never":
            assert f"  cause: Proof: the certificate of {where} was not accepted: " in run.stderr
            sweep.check_recovery()
        sweep.tell(row, f"PostgreSQL: expired certificate, {MEANWHILE[over]}", "proof", run, since)
