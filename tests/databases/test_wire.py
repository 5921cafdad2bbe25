"""The small PostgreSQL client against a real server, with pg8000 as the oracle for what an answer means."""

from __future__ import annotations

import socket
import subprocess
import sys
import traceback
from contextlib import closing

import pg8000.native
import pytest
from database_servers import (
    CANARY,
    User,
    administer,
    allow,
    deadline,
    new_user,  # noqa: F401 - a fixture
    own_postgres,  # noqa: F401 - a fixture
    postgres,  # noqa: F401 - a fixture
    url_of,
    user,  # noqa: F401 - a fixture
)

from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import ServerError
from stepcreds.databases.stream import UnreachableError
from stepcreds.databases.wire import connect
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 1, 2, 'three', NULL, '', true",
        "SELECT NULL",
        "SELECT",
        "SELECT FROM generate_series(1, 3)",
        "SELECT 1 WHERE false",
        "SELECT 'Zürich — 北京 🐘'",
        "SELECT repeat('x', 1000000)",
        "SELECT n, repeat('y', n % 100) FROM generate_series(1, 5000) AS n",
        "SELECT array_agg(n) FROM generate_series(1, 3) AS n",
        r"SELECT E'tab\tnewline\nbackslash\\'",
        "SET search_path = pg_catalog",
        "DO $$ BEGIN RAISE NOTICE 'a notice is skipped'; END $$",
        "SELECT set_config('application_name', 'renamed', false)",  # the server reports the new setting in between
        "",
        "-- only a comment",
    ],
)
def test_an_answer_holds_what_pg8000_reads(postgres: PostgreSQL, user: User, sql: str) -> None:
    with closing(postgres.connect(user.name, user.password)) as oracle:
        # Each value as the server's text, where pg8000 would make a Python value of it.
        values = pg8000.native.Connection.run(oracle, sql) or []
    with user.connect() as session:
        rows = session.query(sql)
    assert [tuple(_text(value) for value in row) for row in values] == rows


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list):
        return "{" + ",".join(map(str, value)) + "}"
    return str(value)


def test_a_session_goes_on_after_an_error(user: User) -> None:
    with user.connect() as session:
        with pytest.raises(ServerError) as caught:
            session.query("SELECT 1/0")
        assert session.query("SELECT 1") == [("1",)]
    where = f"127.0.0.1:{user.server.port}"
    assert (caught.value.what, caught.value.sqlstate) == (f"{where} said: division by zero", "22012")
    assert not caught.value.fatal


def test_an_error_after_rows_is_the_answer(user: User) -> None:
    with user.connect() as session, pytest.raises(ServerError) as caught:
        session.query("SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n")
    assert caught.value.sqlstate == "22012"


def test_being_ended_by_the_server_is_fatal(user: User) -> None:
    with user.connect() as session, pytest.raises(ServerError) as caught:
        session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    assert (caught.value.text, caught.value.sqlstate, caught.value.fatal) == (
        "terminating connection due to administrator command",
        "57P01",
        True,
    )


def test_an_answer_that_takes_too_long_is_not_waited_for(user: User) -> None:
    with (
        connect(url_of(user.server), user.name, user.password, deadline(0.5)) as session,
        pytest.raises(UnreachableError) as caught,
    ):
        session.query("SELECT pg_sleep(60)")
    assert caught.value.what == f"127.0.0.1:{user.server.port} did not answer within 0.5 s"


def test_an_answer_without_end_is_not_kept(user: User) -> None:
    with user.connect() as session, pytest.raises(UnreachableError) as caught:
        session.query("SELECT repeat('z', 1000000) FROM generate_series(1, 100)")
    assert caught.value.what == (
        f"127.0.0.1:{user.server.port} does not speak PostgreSQL's protocol: an answer is larger than 16777216 bytes"
    )


def test_copying_is_not_spoken(user: User) -> None:
    with user.connect() as session, pytest.raises(UnreachableError) as caught:
        session.query("COPY (SELECT 1) TO STDOUT")
    assert caught.value.what == (
        f"127.0.0.1:{user.server.port} does not speak PostgreSQL's protocol:"
        " a message of type b'H' does not belong in an answer"
    )


def test_bytes_that_are_not_utf8_are_kept_as_surrogate_escapes(postgres: PostgreSQL, user: User) -> None:
    administer(postgres, "CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    with user.connect(database="plain") as session:
        session.query("SET client_encoding = 'SQL_ASCII'")
        assert session.query(r"SELECT E'\xe9'") == [("\udce9",)]


@pytest.mark.parametrize(
    ("method", "stored"),
    [("scram-sha-256", "scram-sha-256"), ("md5", "scram-sha-256"), ("md5", "md5"), ("trust", "scram-sha-256")],
)
def test_every_method_that_gives_no_password_away_is_spoken(own_postgres: PostgreSQL, method: str, stored: str) -> None:
    methodical(own_postgres, method, stored)
    url = url_of(own_postgres)
    with connect(url, "methodical", Secret(CANARY), deadline()) as session:
        assert session.query("SELECT current_user") == [("methodical",)]
    if method == "trust":
        connect(url, "methodical", Secret("anything at all"), deadline()).close()
        return
    with pytest.raises(ServerError) as caught:
        connect(url, "methodical", Secret("wrong"), deadline())
    assert caught.value.what == (
        f'127.0.0.1:{own_postgres.port} said: password authentication failed for user "methodical"'
    )


def test_a_password_is_not_sent_in_clear_without_tls(own_postgres: PostgreSQL) -> None:
    methodical(own_postgres, "password", "scram-sha-256")
    with pytest.raises(UnreachableError) as caught:
        connect(url_of(own_postgres), "methodical", Secret(CANARY), deadline())
    assert caught.value.what == (
        f"127.0.0.1:{own_postgres.port} asks for the password in clear on a connection without TLS"
    )


def methodical(server: PostgreSQL, method: str, stored: str) -> None:
    """A user `methodical`, whose password is stored as `stored` and asked for as `method`."""
    administer(
        server,
        f"SET password_encryption = '{stored}'",
        "DROP ROLE IF EXISTS methodical",
        f"CREATE ROLE methodical LOGIN PASSWORD '{CANARY}'",
    )
    allow(server, f"host all methodical 127.0.0.1/32 {method}")


def test_a_password_of_any_letters_logs_in(postgres: PostgreSQL, user: User) -> None:
    for password in ("x", "a b", "%:/@?#&=+", "Ⅸ-ñandú-\u00a0-😀", "quote'd\"and\\"):
        literal = password.replace("\\", "\\\\").replace("'", "\\'")
        administer(postgres, f"ALTER ROLE {user.name} PASSWORD E'{literal}'".replace(":", "\\:"))
        with user.connect(Secret(password)) as session:
            assert session.query("SELECT session_user") == [(user.name,)]


def test_names_are_taken_as_they_are(postgres: PostgreSQL) -> None:
    administer(postgres, f"""CREATE ROLE "Ünïcode ""quoted"" role" LOGIN PASSWORD '{CANARY}'""")
    with connect(url_of(postgres), 'Ünïcode "quoted" role', Secret(CANARY), deadline()) as session:
        assert session.query("SELECT session_user") == [('Ünïcode "quoted" role',)]


@pytest.mark.parametrize(("name", "database"), [("a\0user\0postgres", "postgres"), ("postgres", "a\0b")])
def test_a_name_cannot_smuggle_in_a_parameter(postgres: PostgreSQL, name: str, database: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        connect(url_of(postgres, database=database), name, Secret(CANARY), deadline())
    assert caught.value.what == (
        f"127.0.0.1:{postgres.port} was not asked: a user name or database name cannot hold a NUL character"
    )


def test_a_name_that_nobody_can_resolve() -> None:
    url = DatabaseURL("postgresql", "postgresql", "db.invalid", 5432, "app", "disable", None)
    with pytest.raises(UnreachableError) as caught:
        connect(url, "user", Secret(CANARY), deadline())
    assert caught.value.what == "the name of db.invalid:5432 cannot be resolved"


def test_a_port_where_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    url = DatabaseURL("postgresql", "postgresql", "127.0.0.1", port, "app", "disable", None)
    with pytest.raises(UnreachableError) as caught:
        connect(url, "user", Secret(CANARY), deadline())
    assert caught.value.what == f"127.0.0.1:{port} refused the connection"


def test_an_unknown_sslmode_is_not_taken_for_no_tls(postgres: PostgreSQL) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(url_of(postgres, sslmode="verify"), "user", Secret(CANARY), deadline())
    assert (caught.value.what, caught.value.fix) == (
        "sslmode=verify is not a mode",
        "use one of disable, allow, prefer, require, verify-ca, verify-full",
    )


@pytest.mark.parametrize("wrong", ["", "-wrong"])
def test_no_error_shows_the_password(user: User, wrong: str) -> None:
    with (
        pytest.raises(ServerError) as caught,
        user.connect(Secret(user.password.reveal() + wrong)) as session,
    ):
        assert CANARY not in repr(session) + repr(vars(session))
        session.query("SELECT 1/0")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.cause
    assert ("password authentication failed" if wrong else "division by zero") in shown
    assert CANARY not in shown


def test_the_step_pays_for_no_driver() -> None:
    """What `databases.postgresql` imports beyond the HTTP library of every step, by name."""
    program = (
        "import sys, requests, dataclasses; before = set(sys.modules)\n"
        "import stepcreds.databases.postgresql\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('stepcreds')))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout == "\n"
