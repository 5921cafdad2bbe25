"""When a session of ours is over the server has its place back: a user may be limited to a single connection."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mariadb_server import (
    Account,
    mariadb,  # noqa: F401 - a fixture
    new_account,  # noqa: F401 - a fixture
    url_of,
)
from step_runs import Oddities

from conftest import Step
from relay import Relay
from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import ServerError
from stepcreds.databases.mysql_session import open_session
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import connect
from stepcreds.devstack import installed, provision
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

CLOCK = SystemClock()
USER, PASSWORD = "alone", Secret("canary-5c1e")


@pytest.fixture
def url(stack: Stack) -> Iterator[DatabaseURL]:
    """Of a database that USER may log in to, once at a time."""
    stack.sql(f"CREATE ROLE {USER} LOGIN CONNECTION LIMIT 1 PASSWORD '{PASSWORD.reveal()}'")
    stack.sql(f"GRANT CONNECT ON DATABASE {provision.DATABASE} TO {USER}")
    yield stack.database
    stack.sql(f"DROP OWNED BY {USER}")
    stack.sql(f"DROP ROLE {USER}")


def test_the_place_is_free_when_it_is_over(url: DatabaseURL) -> None:
    """Also where the server's process takes its time."""
    with connect(url, USER, PASSWORD, Deadline(CLOCK, 30)) as session:
        ((pid,),) = session.query("SELECT pg_backend_pid()")
        os.kill(int(str(pid)), signal.SIGSTOP)
        waking = threading.Timer(0.2, os.kill, (int(str(pid)), signal.SIGCONT))
        waking.start()
    connect(url, USER, PASSWORD, Deadline(CLOCK, 30)).leave()
    waking.join()


def test_there_is_one_place(url: DatabaseURL) -> None:
    with (
        connect(url, USER, PASSWORD, Deadline(CLOCK, 30)),
        pytest.raises(ServerError, match=f'too many connections for role "{USER}"'),
    ):
        connect(url, USER, PASSWORD, Deadline(CLOCK, 30))


class LateRelay(Relay):
    """Hands COM_QUIT on a moment later than the rest."""

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        while content := source.recv(65536):
            if outward and content == b"\1\0\0\0\1":
                CLOCK.sleep(0.2)
            sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def test_mariadb_has_its_place_back_too(new_account: Callable[..., Account]) -> None:
    user = new_account("WITH MAX_USER_CONNECTIONS 1")
    there = url_of(user.server)
    with LateRelay(there.port) as relay:
        late = there._replace(port=relay.port)
        with open_session(late, user.name, user.password, Deadline(CLOCK, 30)) as session:
            assert session.query("SELECT 1") == [(1,)]
        open_session(there, user.name, user.password, Deadline(CLOCK, 30)).leave()


class KeepingRelay(Relay):
    """As a pooler may, it keeps the client's connection when the server has closed its own."""

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        if outward:
            super()._pump(source, sink, outward)
            return
        with suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)


def test_a_pooler_that_keeps_the_connection_is_not_waited_for(stack: Stack, url: DatabaseURL) -> None:
    with KeepingRelay(stack.postgresql.port) as relay:
        there = url._replace(host="127.0.0.1", port=relay.port)
        deadline = Deadline(CLOCK, 30)
        connect(there, USER, PASSWORD, deadline).leave()
        assert deadline.left() > 20


def test_a_step_whose_user_may_have_one_connection(stack: Stack, step: Step, config_file: Path) -> None:
    creation = postgresql.read_only_creation(provision.GROUP, connections=1)
    with Oddities(stack, config_file) as odd:
        odd.profile("single", access="read-only", database_role={"creation_statements": creation})
        run = step("exec", "single", "--", str(installed.psql()), "-wAtX", "-c", "SELECT 'let in'")
    assert (run.returncode, run.stdout) == (0, "let in\n"), run.stderr
