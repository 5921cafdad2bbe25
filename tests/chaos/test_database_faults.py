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
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

import pg8000.exceptions
import pytest
from chaos_table import Tell
from step_runs import Oddities, normalised, of_kind, reported, reporting, until
from sweep_runs import DEAD, EXPIRES, ISSUED, REVOKED, RUNS, Expected, Sweep, swept

from certificates_for_vault import Authority
from faulty_relay import FaultyRelay, Treatment
from faulty_vault import Fault, Rule
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.process import ServerProcess
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql

GOOD = Expected(7, True, (DEAD,))
ENDED = Expected(125, False, (DEAD,))
UNPROVEN = Expected(121, True, (REVOKED,))
BEFORE_UNPROVEN = Expected(125, False, (REVOKED,))
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


class Trouble:
    """What happens to a PostgreSQL, or on the way to it, from `begin` to `end`; `end` may be called again."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.server = sweep.stack.postgresql

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class OnTheWay(Trouble):
    """Between the step and the server. OpenBao has a way of its own."""

    treatment: Treatment = "relay"

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self._now: Treatment = "relay"
        self.relay = FaultyRelay(self.server.port, lambda _: self._now)
        sweep.change(database=f"postgresql://127.0.0.1:{self.relay.port}/shop?sslmode=disable")

    def begin(self) -> None:
        self._now = self.treatment

    def end(self) -> None:
        self._now = "relay"


class Reset(OnTheWay):
    treatment = "reset"


class Hang(OnTheWay):
    treatment = "hang"


class Refused(OnTheWay):
    def begin(self) -> None:
        self.relay.refuse()

    def end(self) -> None:
        self.relay.listen()


class Full(Trouble):
    """No connection is left but those that the server keeps for its superuser; who gives one back does not get it again.

    It looks at the password first: a user that is gone is refused as ever, so this keeps nobody from the proof.
    """

    user, password = "customer", Secret("of-the-customer")

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self._full, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def begin(self) -> None:
        self._thread.start()
        assert self._full.wait(60)

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _fill(self) -> None:
        with ExitStack() as held:
            while not self._over.wait(0.01 if self._full.is_set() else 0):
                try:
                    session = self.sweep.stack.connect(self.user, self.password)
                except pg8000.exceptions.DatabaseError as error:
                    assert error.args[0]["C"] == "53300", error
                    self._full.set()
                else:
                    held.enter_context(closing(session))


class Packed(Full):
    """Nor those: nobody is so much as asked for a password."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self.user, self.password = SUPERUSER, self.server.password


class ReadOnly(Trouble):
    """What providers do to a server whose disk is full."""

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


class Crashed(Trouble):
    """A process of the server is killed: it ends all sessions, recovers, and lets nobody in meanwhile (57P03)."""

    def begin(self) -> None:
        with closing(self.server.connect()) as session:
            ((pid,),) = session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
            os.kill(int(pid), signal.SIGKILL)

    def end(self) -> None:
        self.server.wait()


class Stopped(Trouble):
    """The server ends at once, and is started again."""

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

    number = signal.SIGTERM


class Row(NamedTuple):
    trouble: type[Trouble]
    stage: str  # before which it begins: measure, lock, proof
    over: str  # when it is over: at a stage of OpenBao, "soon", or "never"
    expected: Expected
    lock: str  # what the ledger says of it
    chaos: bool = True


NAMES = {
    Refused: "PostgreSQL: refuses",
    Reset: "PostgreSQL: resets",
    Hang: "PostgreSQL: hangs",
    Full: "PostgreSQL: is full",
    Packed: "PostgreSQL: is full, its superuser's places too",
    ReadOnly: "PostgreSQL: is read-only",
    Crashed: "PostgreSQL: crashes",
    Stopped: "PostgreSQL: restarts",
    ShuttingDown: "PostgreSQL: shuts down",
}
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
    Row(ReadOnly, "lock", "never", Expected(121, True, (EXPIRES,)), "locked"),
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


class Meanwhile:
    """A thread that ends a trouble in a second, or when `now` is called."""

    def __init__(self, trouble: Trouble, over: str) -> None:
        self._trouble = trouble
        self._over = threading.Event()
        self._began = threading.Event()
        self._soon = over == "soon"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._trouble.begin()
        self._began.set()

    def now(self) -> None:
        """Returns when it is over."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        self._began.wait()
        self._over.wait(1.0 if self._soon else None)
        self._trouble.end()


MEANWHILE = {"soon": "for a second", "never": "for good"}


def name(row: Row) -> str:
    return f"{NAMES[row.trouble]}, {MEANWHILE.get(row.over, f'until {row.over}')}"


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.chaos if case.chaos else ()) for case in ROWS],
    ids=lambda case: f"{case.stage}, {name(case)}",
)
def test_the_database_fails_at_a_stage(sweep: Sweep, row: Tell, case: Row) -> None:
    trouble = case.trouble(sweep)
    meanwhile = Meanwhile(trouble, case.over)
    since: Rule | float
    if case.stage != "lock":
        since = sweep.vault.fail(
            {"measure": "issue", "proof": "lookup"}[case.stage], Fault("pass", then=meanwhile.begin)
        )
    if case.over not in ("soon", "never"):
        sweep.vault.fail(case.over, Fault("pass", then=meanwhile.now))
    go = sweep.folder / "go"
    script = f"echo ran > {sweep.marker}; until test -e {go}; do sleep 0.05; done; exit 7"
    try:
        with sweep.start("exec", "migrate", "--", "sh", "-c", script) as step:
            if case.stage == "lock":
                until(sweep.marker.exists, "the command runs")
                since = time.monotonic()
                meanwhile.begin()
            go.touch()
            run = step.wait()
        (closed,) = of_kind(sweep.config_file, "credential.closed")
        if case.over == "never" and case.trouble is not Packed:  # which lets nobody look
            assert sweep.verdicts() == list(case.expected.verdicts), run.stderr
            assert bool(sweep.alive()) == (EXPIRES in case.expected.verdicts)
        meanwhile.now()
        sweep.check(run, **case.expected._asdict())
        if case.over == "never" and case.expected.verdicts != (DEAD,):
            sweep.check_recovery()
        assert closed["lock"]["status"] == case.lock, closed["lock"]
        assert "sessions of the step" not in str(closed["lock"]["detail"])  # it is full of others
        sweep.tell(row, name(case), {"lock": RUNS}.get(case.stage, case.stage), run, since)
    finally:
        meanwhile.now()
        if isinstance(trouble, OnTheWay):
            trouble.relay.close()


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


def waiting(sweep: Sweep, *more: str) -> tuple[Path, list[str]]:
    """A command that says what it was given, and ends with 7 when the file is there."""
    report, go = sweep.folder / "report", sweep.folder / "go"
    then = f"open({str(sweep.marker)!r}, 'w').close()\nimport time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    return go, ["exec", "migrate", *more, "--", *reporting(report, then + "sys.exit(7)\n")]


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
    sweep.check(run, **(GOOD if over == "revoke" else Expected(121, True, (EXPIRES,)))._asdict())
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
