"""A real MariaDB that goes away, fills up, restarts or takes no writes while a step measures, locks or proves; and what
others do to it meanwhile. The plugin's own revocation leaves sessions open there, and no user sees another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from chaos_table import Tell
from database_troubles import (
    BEFORE_UNPROVEN,
    ENDED,
    GOOD,
    LEFT,
    UNPROVEN,
    Filled,
    Hang,
    Refused,
    Reset,
    Row,
    Trouble,
    fails_at_a_stage,
    name,
    waiting,
)
from deaths import Look
from mariadb_orders import MANAGER, PASSWORD, issuing
from mariadb_server import MariaDB, running
from step_runs import of_kind, reconfigure, reported, until
from sweep_runs import DEAD, REVOKED, RUNS, Sweep, leaving_nothing

from stepcreds.devstack.stack import Stack


class Orders(Sweep):
    """A step whose users OpenBao makes at a MariaDB."""

    def __init__(self, stack: Stack, folder: Path, server: MariaDB, profile: dict[str, object]) -> None:
        self.server = server
        super().__init__(stack, folder)
        reconfigure(self.config_file, lambda document: document.update(profiles={"migrate": profile}))

    @contextmanager
    def looking(self) -> Iterator[Look]:
        # Where the server is full there is one place for root, which somebody else may look from just now.
        with closing(until(self._root, "a place for root")) as connection, connection.cursor() as cursor:

            def look() -> set[str]:
                cursor.execute("SELECT user FROM mysql.user WHERE user LIKE 'v-%'")
                return {str(row[0]) for row in cursor.fetchall()}

            yield look

    def _root(self) -> Any:
        with suppress(pymysql.err.OperationalError):
            return self.server.root()
        return None

    def check_recovery(self) -> None:
        """`stepcreds revoke --all` ends what is left, and says that nobody can see it."""
        recovery = self.revoke_all()
        assert recovery.returncode == 1, recovery.stderr
        assert "a user of MySQL or MariaDB cannot see whether another one exists" in recovery.stderr
        with self.looking() as look:
            assert look() == set()
        assert self.verdicts()[1:] == [REVOKED, DEAD]  # what was left, and the witness
        self.check_secrets(recovery)


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    with running("--max-connections=20") as made:
        made.administer("CREATE USER customer IDENTIFIED BY 'of-the-customer'")
        yield made


@pytest.fixture(scope="module")
def profile(stack: Stack, server: MariaDB) -> Iterator[dict[str, object]]:
    with issuing(stack, server) as made:
        yield made


@pytest.fixture
def sweep(stack: Stack, server: MariaDB, profile: dict[str, object], tmp_path: Path) -> Iterator[Orders]:
    with leaving_nothing(Orders(stack, tmp_path, server, profile)) as made:
        yield made


class AtTheServer(Trouble):
    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        assert isinstance(sweep, Orders)
        self.server = sweep.server


def connect(server: MariaDB, user: str, password: str) -> Any:
    return pymysql.connect(
        host="127.0.0.1", port=server.port, user=user, password=password, autocommit=True, ssl_disabled=True
    )


class Full(Filled, AtTheServer):
    user, password = "customer", "of-the-customer"

    def connect(self) -> AbstractContextManager[Any] | None:
        try:
            return closing(connect(self.server, self.user, self.password))
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 1040, error
            return None


class Packed(Full):
    """Nor that: nobody is so much as asked for a password."""

    what = "is full, its superuser's place too"
    blinds = True
    user, password = MANAGER, PASSWORD


class Restarted(AtTheServer):
    """The server is killed, and started again on what it has on disk."""

    what = "restarts"

    def begin(self) -> None:
        self.server.kill()

    def end(self) -> None:
        self.server.start()
        self.server.wait()


class ReadOnly(AtTheServer):
    """To all but those who may write nevertheless, of whom OpenBao's user is one."""

    what = "is read-only"

    def begin(self) -> None:
        # A session keeps the rights that it began with.
        self.server.administer("SET GLOBAL read_only = 1", f"KILL USER {MANAGER}")

    def end(self) -> None:
        self.server.administer("SET GLOBAL read_only = 0")


class ReadOnlyToAll(ReadOnly):
    what = "is read-only, to OpenBao too"

    def begin(self) -> None:
        self.server.administer(f"REVOKE READ_ONLY ADMIN ON *.* FROM {MANAGER}")
        super().begin()

    def end(self) -> None:
        super().end()
        self.server.administer(f"GRANT READ_ONLY ADMIN ON *.* TO {MANAGER}")


ROWS = (
    # Before anybody was handed it. The lock comes at once after it.
    Row(Refused, "measure", "revoke", ENDED, "unreachable"),
    Row(Reset, "measure", "revoke", ENDED, "unreachable"),
    # It waits for its answer as long as a look may take, and the server is back then.
    Row(Hang, "measure", "soon", ENDED, "locked"),
    Row(Full, "measure", "soon", GOOD, "locked"),
    Row(Full, "measure", "revoke", ENDED, "failed"),
    Row(Full, "measure", "never", ENDED, "failed"),
    Row(Packed, "measure", "revoke", ENDED, "failed"),
    Row(Restarted, "measure", "revoke", ENDED, "unreachable"),
    Row(Refused, "measure", "never", BEFORE_UNPROVEN, "unreachable"),
    # While the command runs.
    Row(Refused, "lock", "revoke", GOOD, "unreachable"),
    Row(Reset, "lock", "revoke", GOOD, "unreachable", chaos=False),
    Row(Hang, "lock", "revoke", GOOD, "unreachable"),
    Row(Full, "lock", "soon", GOOD, "locked"),
    Row(Full, "lock", "revoke", GOOD, "failed"),
    Row(Packed, "lock", "revoke", GOOD, "failed"),
    # The server is gone when it is to lock, and back when OpenBao asks for the revocation again.
    Row(Restarted, "lock", "soon", GOOD, "unreachable"),
    Row(ReadOnly, "lock", "never", GOOD, "failed"),
    Row(ReadOnlyToAll, "lock", "never", LEFT, "failed"),
    Row(Refused, "lock", "never", UNPROVEN, "unreachable"),
    # Between revocation and proof.
    Row(Refused, "proof", "soon", GOOD, "locked"),
    Row(Reset, "proof", "soon", GOOD, "locked"),
    Row(Hang, "proof", "soon", GOOD, "locked"),
    Row(Packed, "proof", "soon", GOOD, "locked"),
    Row(Restarted, "proof", "soon", GOOD, "locked"),
    Row(Refused, "proof", "never", UNPROVEN, "locked"),
    Row(Full, "proof", "never", GOOD, "locked"),
    Row(Packed, "proof", "never", UNPROVEN, "locked"),
)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.chaos if case.chaos else ()) for case in ROWS],
    ids=lambda case: f"{case.stage}, {name(case)}",
)
def test_mariadb_fails_at_a_stage(sweep: Orders, row: Tell, case: Row) -> None:
    fails_at_a_stage(sweep, row, "MariaDB", case)


def elsewhere(sweep: Orders) -> Any:
    """A session of the step's user in another client; whoever asks closes it."""
    given = reported(sweep.folder / "report")
    return connect(sweep.server, given["MYSQL_USER"], given["MYSQL_PWD"])


def assert_ended(session: Any) -> None:
    with pytest.raises((pymysql.err.OperationalError, pymysql.err.InterfaceError)):
        session.cursor().execute("SELECT 1")


@pytest.mark.parametrize(
    ("left", "statements"),
    [
        ("a session", ["SELECT 1"]),
        pytest.param(
            "an idle transaction with locks",
            [
                "CREATE TABLE held (id INT) ENGINE=InnoDB",
                "BEGIN",
                "INSERT INTO held VALUES (1)",
                "SELECT GET_LOCK('held', 0)",
            ],
            marks=pytest.mark.chaos,
        ),
        pytest.param("a statement", ["SELECT SLEEP(100)"], marks=pytest.mark.chaos),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_session_in_another_client_is_ended_at_mariadb(
    sweep: Orders, row: Tell, left: str, statements: list[str]
) -> None:
    go, words = waiting(sweep)
    endings: list[int] = []
    with sweep.start(*words) as step, closing(elsewhere(sweep)) as session:

        def work() -> None:
            try:
                for statement in ("USE shop", *statements):
                    session.cursor().execute(statement)
            except pymysql.err.OperationalError as error:
                endings.append(error.args[0])

        working = threading.Thread(target=work)
        working.start()
        if left == "a statement":
            until(
                lambda: sweep.server.administer(
                    "SELECT 1 FROM information_schema.PROCESSLIST WHERE info LIKE 'SELECT SLEEP%'"
                ),
                "it runs",
            )
        else:
            working.join()
        since = time.monotonic()
        go.touch()
        run = step.wait()
        working.join()
        assert_ended(session)
    assert bool(endings) == (left == "a statement")
    sweep.server.administer("DROP TABLE IF EXISTS shop.held")
    sweep.check(run, **GOOD._asdict())
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["lock"]["status"], closed["lock"]["sessions_ended"]) == ("locked", 1)
    sweep.tell(row, f"command: left {left} at MariaDB", RUNS, run, since)


@pytest.mark.chaos
@pytest.mark.parametrize("over", ["revoke", "never"])
@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("a backup's read lock", "FLUSH TABLES WITH READ LOCK"),
        ("the users' table is locked", "LOCK TABLES mysql.global_priv READ"),
    ],
    ids=["all tables", "the users"],
)
def test_an_administrator_holds_the_users(sweep: Orders, row: Tell, what: str, statement: str, over: str) -> None:
    """Nobody can change or drop a user until that ends: the lock fails, and OpenBao waits; but no session goes on."""
    go, words = waiting(sweep)
    with closing(sweep.server.root()) as administrator:

        def let_go() -> None:
            administrator.cursor().execute("UNLOCK TABLES")

        with (
            sweep.start(*words, VAULT_CLIENT_TIMEOUT="3s" if over == "never" else None) as step,
            closing(elsewhere(sweep)) as session,
        ):
            administrator.cursor().execute(statement)
            since = time.monotonic()
            letting_go = threading.Timer(8.0, let_go)
            if over == "revoke":  # OpenBao is asked, and its answer takes as long as this
                letting_go.start()
            go.touch()
            run = step.wait()
            assert_ended(session)
        (closed,) = of_kind(sweep.config_file, "credential.closed")
        assert (closed["lock"]["status"], closed["lock"]["sessions_ended"]) == ("failed", 1), closed["lock"]
        if over == "never":
            if statement.startswith("FLUSH"):  # behind a change that waits for the table, who reads it waits too
                assert len(sweep.alive()) == 1
            let_go()
        else:
            letting_go.join()
    sweep.check(run, **(GOOD if over == "revoke" else LEFT)._asdict())
    if over == "never":
        sweep.check_recovery()
    sweep.tell(row, f"MariaDB: {what}, for {'8 s' if over == 'revoke' else 'good'}", RUNS, run, since)
