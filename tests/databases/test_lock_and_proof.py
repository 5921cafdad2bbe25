"""Locking out, refusing and witnessing on a real PostgreSQL, also against a step that prepared for it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from database_servers import (
    CANARY,
    User,
    administer,
    allow,
    deadline,
    engine,  # noqa: F401 - a fixture
    new_user,  # noqa: F401 - a fixture
    own_postgres,  # noqa: F401 - a fixture
    postgres,  # noqa: F401 - a fixture
    url_of,
    user,  # noqa: F401 - a fixture
)

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases import engine_for
from stepcreds.databases.interface import Sighting
from stepcreds.databases.messages import ServerError
from stepcreds.databases.postgresql import PostgreSQL as PostgreSQLEngine
from stepcreds.databases.wire import Connection, connect
from stepcreds.devstack import installed
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.errors import DatabaseError
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

NEW = Secret(f"{CANARY}-locked")
TIMEOUT = 10.0
REFUSED = LoginProof("refused", 'password authentication failed for user "{}" (28P01)')


def lock(engine: PostgreSQLEngine, user: User, timeout: float = TIMEOUT, new: Secret = NEW) -> Lock:
    return engine.lock(url_of(user.server), user.name, user.password, new, timeout=timeout)


def login(engine: PostgreSQLEngine, user: User, password: Secret) -> LoginProof:
    return engine.try_login(url_of(user.server), user.name, password, timeout=TIMEOUT)


def refused(user: User) -> LoginProof:
    return LoginProof("refused", REFUSED.detail.format(user.name))


def ended(session: Connection) -> bool:
    """Whether the server has ended `session`."""
    try:
        session.query("SELECT 1")
    except DatabaseError:
        return True
    return False


def assert_locked(engine: PostgreSQLEngine, user: User, done: Lock, sessions_ended: int = 0, detail: str = "") -> None:
    assert done == Lock("locked", done.time, detail, sessions_ended)
    assert login(engine, user, user.password) == refused(user)
    assert login(engine, user, NEW) == LoginProof("accepted", "the login was accepted")


def test_a_lock_changes_the_password_and_nothing_else(engine: PostgreSQLEngine, user: User) -> None:
    before = administer(user.server, "SELECT * FROM pg_roles WHERE rolname = :name", name=user.name)
    assert login(engine, user, user.password) == LoginProof("accepted", "the login was accepted")
    clock = SystemClock()
    earliest = clock.now()
    done = lock(engine, user)
    assert done.time is not None
    assert earliest <= done.time <= clock.now()
    assert_locked(engine, user, done)
    assert administer(user.server, "SELECT * FROM pg_roles WHERE rolname = :name", name=user.name) == before


def test_the_server_never_sees_the_new_password(engine: PostgreSQLEngine, user: User) -> None:
    user.alter("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
    try:
        while administer(user.server, "SHOW log_statement") != [["all"]]:
            pass
        assert_locked(engine, user, lock(engine, user))
    finally:
        user.alter("ALTER SYSTEM RESET log_statement", "SELECT pg_reload_conf()")
    log = "".join(path.read_text() for path in user.server.folder.glob("*.log"))
    assert "ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256$4096:" in log
    assert NEW.reveal() not in log


def test_open_sessions_are_ended(engine: PostgreSQLEngine, user: User) -> None:
    sessions = [user.connect() for _ in range(3)]
    sessions[1].query("BEGIN")
    done = lock(engine, user)
    assert [ended(session) for session in sessions] == [True] * 3
    assert_locked(engine, user, done, 3)
    for session in sessions:
        session.close()


def test_sessions_of_others_are_left_alone(engine: PostgreSQLEngine, new_user: Callable[..., User]) -> None:
    mine, other = new_user(), new_user()
    with other.connect() as session:
        assert_locked(engine, mine, lock(engine, mine))
        assert not ended(session)


def test_a_session_that_became_another_role_is_ended(engine: PostgreSQLEngine, new_user: Callable[..., User]) -> None:
    owner, migration = new_user(), new_user("NOINHERIT")
    migration.alter(f"GRANT {owner.name} TO {migration.name}", f"ALTER ROLE {migration.name} SET role = '{owner.name}'")
    with migration.connect() as session:
        assert session.query("SELECT current_user, session_user") == [(owner.name, migration.name)]
        done = lock(engine, migration)
        assert ended(session)
    assert_locked(engine, migration, done, 1)
    # The owner's password is what it was: SET ROLE NONE came first.
    assert login(engine, owner, owner.password).answer == "accepted"


@pytest.mark.parametrize(
    "setting",
    [
        "default_transaction_read_only = on",
        "default_transaction_isolation = serializable",
        "default_transaction_deferrable = on",
        "statement_timeout = '1ms'",
        "idle_session_timeout = '1ms'",
        "transaction_timeout = '500ms'",
        "lock_timeout = '1ms'",
        "client_min_messages = debug5",
        "row_security = off",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
        "search_path = ''",
        "password_encryption = md5",
    ],
)
def test_what_a_step_sets_for_its_own_role_does_not_stop_the_lock(
    engine: PostgreSQLEngine, user: User, setting: str
) -> None:
    with user.connect() as session:
        session.query(f"ALTER ROLE CURRENT_USER SET {setting}")
    done = lock(engine, user)
    assert done == Lock("locked", done.time)
    assert login(engine, user, user.password) == refused(user)


def test_functions_of_the_step_do_not_stand_in_for_the_servers(engine: PostgreSQLEngine, user: User) -> None:
    user.alter("CREATE SCHEMA decoys", f"GRANT ALL ON SCHEMA decoys TO {user.name}")
    try:
        with user.connect() as session:
            session.query(
                "CREATE FUNCTION decoys.pg_terminate_backend(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
            )
            session.query("CREATE VIEW decoys.pg_stat_activity AS SELECT 0 AS pid, 'x' AS usename WHERE false")
            session.query("ALTER ROLE CURRENT_USER SET search_path = decoys, pg_catalog")
        with user.connect() as session:
            assert session.query("SELECT count(*) FROM pg_stat_activity") == [("0",)]
            done = lock(engine, user)
            assert ended(session)
        assert done == Lock("locked", done.time, "", 1)
    finally:
        user.alter("DROP SCHEMA decoys CASCADE")


def test_an_open_transaction_that_holds_the_users_row_does_not_stop_the_lock(
    engine: PostgreSQLEngine, user: User
) -> None:
    with user.connect() as holder:
        holder.query("BEGIN")
        holder.query("ALTER ROLE CURRENT_USER PASSWORD 'not yet committed'")
        done = lock(engine, user)
        assert ended(holder)
    assert_locked(engine, user, done, 1)


def test_a_user_that_keeps_coming_back_stays_out(engine: PostgreSQLEngine, user: User) -> None:
    """Threads that log in again and again with the old password, as a copied credential would."""
    over, began = threading.Event(), threading.Barrier(5)

    def come_back() -> None:
        began.wait()
        while not over.is_set():
            with suppress(DatabaseError), user.connect() as session:
                session.query("SELECT pg_sleep(0.001)")

    threads = [threading.Thread(target=come_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    began.wait()
    try:
        done = lock(engine, user)
        alive = user.sessions()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert done == Lock("locked", done.time, "", done.sessions_ended)
    assert alive == 0
    assert login(engine, user, user.password) == refused(user)


def test_a_lock_cut_short_is_taken_up_again(engine: PostgreSQLEngine, user: User) -> None:
    assert_locked(engine, user, lock(engine, user))
    with user.connect(NEW) as session:
        done = lock(engine, user)
        assert ended(session)
    assert_locked(engine, user, done, 1, "the password had been changed by an earlier attempt at this lock")


def test_a_step_that_changed_its_own_password_is_seen(engine: PostgreSQLEngine, user: User) -> None:
    with user.connect() as session:
        session.query("ALTER ROLE CURRENT_USER PASSWORD 'mine alone'")
    done = lock(engine, user)
    assert done == Lock("refused", done.time, REFUSED.detail.format(user.name))
    assert login(engine, user, user.password) == refused(user)
    assert login(engine, user, NEW) == refused(user)
    assert login(engine, user, Secret("mine alone")).answer == "accepted"


def test_a_user_that_is_gone_is_refused(engine: PostgreSQLEngine, user: User) -> None:
    user.drop()
    done = lock(engine, user)
    assert done == Lock("refused", done.time, REFUSED.detail.format(user.name))
    assert login(engine, user, user.password) == refused(user)


@pytest.mark.parametrize("options", ["NOLOGIN", "NOLOGIN PASSWORD NULL", "PASSWORD NULL", "VALID UNTIL '2001-01-01'"])
def test_a_door_that_is_shut_already_is_a_refusal(engine: PostgreSQLEngine, user: User, options: str) -> None:
    user.alter(f"ALTER ROLE {user.name} {options}")
    detail = (
        f'role "{user.name}" is not permitted to log in (28000)'
        if options == "NOLOGIN"
        else REFUSED.detail.format(user.name)
    )
    assert login(engine, user, user.password) == LoginProof("refused", detail)
    done = lock(engine, user)
    assert done == Lock("refused", done.time, detail)


def test_a_user_that_is_gone_is_refused_where_nobody_needs_a_password(own_postgres: PostgreSQL) -> None:
    allow(own_postgres, "host all gone 127.0.0.1/32 trust")
    proof = PostgreSQLEngine(SystemClock()).try_login(url_of(own_postgres), "gone", NEW, timeout=TIMEOUT)
    assert proof == LoginProof("refused", 'role "gone" does not exist (28000)')


@pytest.mark.parametrize(
    ("database", "detail"),
    [
        ("nowhere", 'database "nowhere" does not exist (3D000)'),
        ("closed", 'permission denied for database "closed" (42501)'),
    ],
)
def test_an_error_behind_the_password_proves_nothing(
    engine: PostgreSQLEngine, user: User, database: str, detail: str
) -> None:
    if not administer(user.server, "SELECT FROM pg_database WHERE datname = 'closed'"):
        administer(user.server, "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    proof = engine.try_login(url_of(user.server, database=database), user.name, user.password, timeout=TIMEOUT)
    assert proof == LoginProof("unknown", detail)


def test_a_connection_limit_used_up_proves_nothing_and_stops_the_lock_only_so_long(
    engine: PostgreSQLEngine, new_user: Callable[..., User]
) -> None:
    user = new_user("CONNECTION LIMIT 2")
    full = f'too many connections for role "{user.name}" (53300)'
    first, second = user.connect(), user.connect()
    assert login(engine, user, user.password) == LoginProof("unknown", full)
    done = lock(engine, user, timeout=0.3)
    assert done == Lock(
        "failed",
        done.time,
        f"{full}; no connection was left for the lock: sessions of the step still run at the server",
    )
    # What the end of the step's processes does: the sockets close, and the server notices.
    leaving = threading.Timer(0.3, first.close)
    leaving.start()
    done = lock(engine, user)
    leaving.join()
    assert ended(second)
    assert_locked(engine, user, done, 1)
    second.close()


HOLDER = """
import sys
from pathlib import Path
from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import connect
from stepcreds.secret import Secret

port, name, password, sql = sys.argv[1:]
url = DatabaseURL("postgresql", "postgresql", "127.0.0.1", int(port), "postgres", "disable", None)
session = connect(url, name, Secret(password), Deadline(SystemClock(), 60))
print("connected", flush=True)
session.query(sql)
sys.stdin.read()
"""


@contextmanager
def holder(user: User, sql: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a session of `user` that runs `sql` and then keeps the session open."""
    command = [sys.executable, "-c", HOLDER, str(user.server.port), user.name, user.password.reveal(), sql]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            yield process
        finally:
            process.kill()


def test_a_killed_process_gives_its_connections_back_in_time(
    engine: PostgreSQLEngine, new_user: Callable[..., User]
) -> None:
    user = new_user("CONNECTION LIMIT 1")
    with holder(user, "SELECT 1") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_locked(engine, user, lock(engine, user))


def test_a_statement_that_outlives_its_killed_client_keeps_its_connection(
    engine: PostgreSQLEngine, new_user: Callable[..., User]
) -> None:
    """PostgreSQL looks for a client that is gone only when it has something to send to it."""
    user = new_user("CONNECTION LIMIT 1")
    with holder(user, "SELECT pg_sleep(600)") as process:
        while (
            administer(
                user.server, "SELECT FROM pg_stat_activity WHERE usename = :name AND state = 'active'", name=user.name
            )
            == []
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = lock(engine, user, timeout=0.3)
    assert done == Lock(
        "failed",
        done.time,
        f'too many connections for role "{user.name}" (53300); no connection was left for the lock:'
        " sessions of the step still run at the server",
    )


def test_a_server_that_is_stopped_is_unreachable(engine: PostgreSQLEngine) -> None:
    with PostgreSQL() as server:
        url = url_of(server)
        password = Secret(server.password.reveal())
    what = f"127.0.0.1:{url.port} refused the connection"
    done = engine.lock(url, "postgres", password, NEW, timeout=TIMEOUT)
    assert done == Lock("unreachable", done.time, what)
    assert engine.try_login(url, "postgres", password, timeout=TIMEOUT) == LoginProof("unknown", what)
    assert engine.absent(url, "postgres", password, dead_user="x", timeout=TIMEOUT) == Sighting("unknown", what)


def test_a_server_that_hangs_is_not_waited_for(engine: PostgreSQLEngine) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=8)) as listener:  # connects, and says nothing
        port = listener.getsockname()[1]
        url = DatabaseURL("postgresql", "postgresql", "127.0.0.1", port, "app", "disable", None)
        what = f"127.0.0.1:{port} did not answer within 0.3 s"
        done = engine.lock(url, "user", Secret("x"), NEW, timeout=0.3)
        assert done == Lock("unreachable", done.time, what)
        assert engine.try_login(url, "user", Secret("x"), timeout=0.3) == LoginProof("unknown", what)
        assert engine.absent(url, "user", Secret("x"), dead_user="y", timeout=0.3) == Sighting("unknown", what)


def test_a_server_that_freezes_in_the_middle_is_not_waited_for(engine: PostgreSQLEngine, user: User) -> None:
    """The lock's own session stands still: its statement waits for a lock that nobody gives back."""
    with closing(user.server.connect()) as admin:
        admin.run("BEGIN")
        admin.run("LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
        done = lock(engine, user, timeout=1.0)
        admin.run("ROLLBACK")
    assert done.status in ("failed", "unreachable")
    assert login(engine, user, user.password).answer == "accepted"


@pytest.fixture
def standby() -> Iterator[PostgreSQL]:
    """A server in recovery for good: it answers, and takes no writes."""
    programs = installed.postgresql() / "bin"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bin").mkdir()
        for name, before in (("initdb", ""), ("postgres", 'touch "$2/standby.signal"; ')):
            script = Path(folder) / "bin" / name
            script.write_text(f'#!/bin/sh\n{before}exec {programs}/{name} "$@"\n')
            script.chmod(0o755)
        Path(folder).chmod(0o755)  # the server's user is another than ours
        with PostgreSQL(programs=Path(folder)) as server:
            yield server


def test_a_standby_fails_the_lock_and_still_ends_the_sessions(engine: PostgreSQLEngine, standby: PostgreSQL) -> None:
    url = url_of(standby)
    with connect(url, "postgres", standby.password, deadline()) as session:
        done = engine.lock(url, "postgres", standby.password, NEW, timeout=TIMEOUT)
        assert ended(session)
    assert engine.try_login(url, "postgres", standby.password, timeout=TIMEOUT).answer == "accepted"
    detail = "the password was not changed: cannot execute ALTER ROLE in a read-only transaction (25006)"
    assert done == Lock("failed", done.time, detail, 1)


def test_sessions_that_may_not_be_ended_fail_the_lock(engine: PostgreSQLEngine, user: User) -> None:
    user.alter("REVOKE EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) FROM PUBLIC")
    try:
        with user.connect():
            done = lock(engine, user)
    finally:
        user.alter("GRANT EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) TO PUBLIC")
    detail = "other sessions were not ended: permission denied for function pg_terminate_backend (42501)"
    assert done == Lock("failed", done.time, detail)
    assert login(engine, user, user.password) == refused(user)


def test_a_witness_sees_a_user_its_sessions_and_their_absence(
    engine: PostgreSQLEngine, new_user: Callable[..., User]
) -> None:
    witness, dead = new_user(), new_user()

    def sighting(name: str) -> Sighting:
        return engine.absent(url_of(witness.server), witness.name, witness.password, dead_user=name, timeout=TIMEOUT)

    assert sighting(dead.name) == Sighting("present", "1 role(s) and 0 session(s) of that name")
    with dead.connect():
        assert sighting(dead.name) == Sighting("present", "1 role(s) and 1 session(s) of that name")
    dead.drop()
    assert sighting(dead.name) == Sighting("absent")
    assert sighting(f"{dead.name}'; DROP TABLE x; --") == Sighting("absent")
    for name in ("", "x" * 64):
        assert sighting(name) == Sighting("unknown", "the dead user's name is not one that PostgreSQL could hold")


def test_a_session_that_outlived_its_role_is_no_proof_of_absence(
    engine: PostgreSQLEngine, new_user: Callable[..., User]
) -> None:
    """DROP ROLE leaves the open sessions of the role alive: the reason why a lock comes before a revocation."""
    witness, dead = new_user(), new_user()
    with dead.connect() as session:
        dead.alter(f"DROP ROLE {dead.name}")
        assert not ended(session)
        seen = engine.absent(
            url_of(witness.server), witness.name, witness.password, dead_user=dead.name, timeout=TIMEOUT
        )
    assert seen == Sighting("unknown", "the role is gone, but 1 session(s) of roles that are gone are open")


def test_a_witness_that_cannot_look_says_so(engine: PostgreSQLEngine, new_user: Callable[..., User]) -> None:
    witness = new_user()
    witness.drop()
    seen = engine.absent(url_of(witness.server), witness.name, witness.password, dead_user="x", timeout=TIMEOUT)
    where = f"127.0.0.1:{witness.server.port}"
    assert seen == Sighting("unknown", f'{where} said: password authentication failed for user "{witness.name}"')


def test_nothing_shows_a_password(engine: PostgreSQLEngine, user: User) -> None:
    shown = repr(engine) + repr(vars(engine))
    for act in (lock, lock):
        shown += repr(act(engine, user))
    shown += repr(login(engine, user, user.password)) + repr(login(engine, user, NEW))
    with pytest.raises(ServerError) as caught:
        connect(url_of(user.server), user.name, user.password, deadline())
    shown += repr(caught.value) + str(caught.value)
    assert user.name in shown
    assert CANARY not in shown


@pytest.mark.parametrize("name", ["postgresql", "mysql", "mariadb"])
def test_engines_with_a_login_have_one_here(postgres: PostgreSQL, name: str) -> None:
    assert engine_for(url_of(postgres, engine=name)) is not None


@pytest.mark.parametrize("name", ["redis", "mongodb", "redshift", "nonsense"])
def test_others_have_none(postgres: PostgreSQL, name: str) -> None:
    assert engine_for(url_of(postgres, engine=name)) is None
    assert engine_for(None) is None
