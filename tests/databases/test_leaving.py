"""When a session of ours is over the server has its place back: a user may be limited to a single connection."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from step_runs import Oddities

from conftest import Step
from relay import Relay
from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import ServerError
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import connect
from stepcreds.devstack import installed, provision
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql

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


class KeepingRelay(Relay):
    """As a pooler may, it keeps the client's connection when the server has closed its own."""

    def _pump(self, source: object, sink: object, outward: bool) -> None:
        if outward:
            super()._pump(source, sink, outward)  # type: ignore[arg-type]
            return
        while content := source.recv(65536):  # type: ignore[attr-defined]
            sink.sendall(content)  # type: ignore[attr-defined]


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
