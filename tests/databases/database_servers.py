"""Real PostgreSQL servers for the tests of this folder, users on them, and servers that lie."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.postgresql import PostgreSQL as Engine
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import Connection, connect
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.secret import Secret

TIMEOUT = 10.0  # seconds: far more than anything here takes
CANARY = "c4n4ry-7Qd2"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgreSQL]:
    """One for tests that change what the whole server does."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def engine() -> Engine:
    return Engine(SystemClock())


def url_of(server: PostgreSQL, **changes: Any) -> DatabaseURL:
    fields: dict[str, Any] = {
        "engine": "postgresql",
        "scheme": "postgresql",
        "host": server.host,
        "port": server.port,
        "database": "postgres",
        "sslmode": "disable",
        "sslrootcert": None,
    }
    return DatabaseURL(**{**fields, **changes})


def deadline(seconds: float = TIMEOUT) -> Deadline:
    return Deadline(SystemClock(), seconds)


def administer(server: PostgreSQL, *statements: str, **values: str) -> list[Any]:
    """Run each statement as the superuser, `:name` standing for the value of that name; the rows of the last."""
    rows: list[Any] = []
    with closing(server.connect()) as connection:
        for statement in statements:
            rows = connection.run(statement, **values) or []
    return rows


def reload(server: PostgreSQL) -> None:
    """Have the server read its files again, and wait until a new session is under what they say."""
    (before,) = administer(server, "SELECT pg_conf_load_time()")
    administer(server, "SELECT pg_reload_conf()")
    while administer(server, "SELECT pg_conf_load_time()") == [before]:
        pass


def allow(server: PostgreSQL, *lines: str) -> None:
    """Put `lines` before the others of pg_hba.conf, in place of those that an earlier call put there."""
    path = hba_file(server)
    last = path.read_text().splitlines()[-1]
    path.write_text("".join(f"{line}\n" for line in (*lines, last)))
    reload(server)


def hba_file(server: PostgreSQL) -> Path:
    """pg_hba.conf: who may come in, and how."""
    return Path(administer(server, "SHOW hba_file")[0][0])


class User:
    """A role on `server` that may log in with `password`, dropped again when the test is over."""

    def __init__(self, server: PostgreSQL, options: str = "") -> None:
        self.server = server
        self.name = f"user{next(_numbers)}"
        self.password = Secret(f"{CANARY}-{self.name}")
        self.alter(f"CREATE ROLE {self.name} LOGIN PASSWORD '{self.password.reveal()}' {options}")

    def alter(self, *statements: str) -> None:
        administer(self.server, *statements)

    def connect(self, password: Secret | None = None, **changes: Any) -> Connection:
        return connect(url_of(self.server, **changes), self.name, password or self.password, deadline())

    def exists(self) -> bool:
        return bool(administer(self.server, "SELECT FROM pg_roles WHERE rolname = :name", name=self.name))

    def sessions(self) -> int:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE usename = :name"
        return int(administer(self.server, statement, name=self.name)[0][0])

    def drop(self) -> None:
        if self.exists():
            statement = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = :name"
            administer(self.server, statement, name=self.name)
            administer(self.server, f"DROP OWNED BY {self.name}", f"DROP ROLE {self.name}")


@pytest.fixture
def new_user(postgres: PostgreSQL) -> Iterator[Callable[..., User]]:
    made: list[User] = []

    def make(options: str = "") -> User:
        made.append(User(postgres, options))
        return made[-1]

    yield make
    for user in made:
        user.drop()


@pytest.fixture
def user(new_user: Callable[..., User]) -> User:
    return new_user()


@contextmanager
def liar(script: Callable[[socket.socket], None]) -> Iterator[DatabaseURL]:
    """A server on loopback that does to each connection what `script` says, then closes it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                connection, _ = listener.accept()
                with closing(connection), suppress(OSError):
                    if not over.is_set():
                        script(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield DatabaseURL("postgresql", "postgresql", "127.0.0.1", port, "app", "disable", None)
        finally:
            over.set()
            with closing(socket.create_connection(("127.0.0.1", port))):
                pass
            thread.join()
