"""A PostgreSQL of one major at work, set up by the plan as an administrator would, and OpenBao that issues users for it.

`site`  the fixture, for the test module's MAJOR: one server for the module, with connection and roles at the shared OpenBao
"""

from __future__ import annotations

# ruff: noqa: S608 - the names are ours
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from postgresql_programs import programs
from stepcreds.config.model import Access, DatabaseURL, Profile
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql, vault
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.names import quoted
from stepcreds.setup.postgresql.roles import MANAGER_PASSWORD

PASSWORD = Secret("0nly-0n-l00pback")
DATABASE = "shop"

# What is there before anybody hears of stepcreds: an owner, an application and a monitor that count on PUBLIC, and
# somebody else's schema.
PRODUCTION = f"""
CREATE ROLE app_owner NOLOGIN;
CREATE ROLE shop_web LOGIN PASSWORD '{PASSWORD.reveal()}';
CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD.reveal()}';
CREATE SCHEMA app AUTHORIZATION app_owner;
CREATE SCHEMA hr;
CREATE TABLE hr.salaries AS SELECT 1 AS amount;
SET ROLE app_owner;
CREATE TABLE app.orders (id serial PRIMARY KEY, note text NOT NULL DEFAULT '', secret text);
INSERT INTO app.orders (note) SELECT 'order ' || n FROM generate_series(1, 100) n;
CREATE TABLE app.customers (id int GENERATED ALWAYS AS IDENTITY, email text);
INSERT INTO app.customers (email) SELECT n || '@example.com' FROM generate_series(1, 10) n;
CREATE VIEW app.recent AS SELECT id, note FROM app.orders WHERE id > 90;
CREATE FUNCTION app.total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.orders';
GRANT USAGE ON SCHEMA app TO shop_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO shop_web;
RESET ROLE;
"""


def sqlstate(action: Callable[[], object]) -> str:
    """The code of the error that `action` meets."""
    with pytest.raises(DatabaseError) as refused:
        action()
    return str(refused.value.args[0]["C"])


def message(action: Callable[[], object]) -> str:
    """The text of the error that `action` meets."""
    with pytest.raises(DatabaseError) as refused:
        action()
    return str(refused.value.args[0]["M"])


class Session:
    """One connection. Statements go as they are: pg8000's `run` would take `:name` for a placeholder."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, *statements: str) -> list[list[Any]]:
        """The rows of the last one. Raises pg8000's DatabaseError, and InterfaceError when the server has ended it."""
        rows: list[list[Any]] | None = None
        for statement in statements:
            rows = self._connection.execute_simple(statement).rows
        return rows or []

    def close(self) -> None:
        with suppress(InterfaceError):
            self._connection.close()


def run_plan(session: Session, statements: Sequence[Statement], password: Secret = PASSWORD) -> list[Statement]:
    """Run what is missing, as an administrator; what that was. Each must then be found done."""
    missing = []
    for statement in statements:
        if session.run(statement.done) != [[True]]:
            session.run(statement.sql.replace(MANAGER_PASSWORD, password.reveal()))
            assert session.run(statement.done) == [[True]], statement.why
            missing.append(statement)
    return missing


@dataclass
class Issued:
    """A live credential, and OpenBao's client that asked for it."""

    site: Site
    client: Any
    lease_id: str
    user: str
    password: Secret

    @contextmanager
    def connect(self, database: str | None = None) -> Iterator[Session]:
        with closing(self.site.login(self.user, self.password, database)) as session:
            yield session

    def revoke(self) -> tuple[int, str]:
        """Status and text of the answer to a synchronous revocation."""
        answer = self.client.adapter.session.request(
            "PUT",
            f"{self.client.url}/v1/sys/leases/revoke",
            headers={"X-Vault-Token": self.client.token},
            json={"lease_id": self.lease_id, "sync": True},
            timeout=60,
        )
        return int(answer.status_code), str(answer.text)

    def assert_revoked(self) -> None:
        """Revoke, and nothing is left at the moment of the answer."""
        status, text = self.revoke()
        left = self.site.sessions(self.user)
        assert (status, text, left) == (204, "", 0)
        self.assert_dead()

    def assert_dead(self) -> None:
        assert self.site.run(f"SELECT count(*) FROM pg_roles WHERE rolname = '{self.user}'") == [[0]]
        assert self.site.sessions(self.user) == 0
        assert sqlstate(lambda: self.site.login(self.user, self.password)) == "28P01"


class Site:
    """One server and OpenBao's roles for it; `run` and `session` are a superuser's, in the database `shop`."""

    def __init__(self, stack: Stack, server: PostgreSQL, major: int, exit_stack: ExitStack) -> None:
        self.stack = stack
        self.server = server
        self.major = major
        self._exit = exit_stack
        self.client = exit_stack.enter_context(stack.client())
        with closing(self.login(database="postgres")) as session:
            session.run(f"CREATE DATABASE {DATABASE}")
        self.session = self.login()
        exit_stack.callback(self.session.close)
        self.run(PRODUCTION)
        self.profiles = {
            "migrate": self.profile("migrate", "ddl"),
            "guarded": self.profile("guarded", "ddl"),
            "verify": self.profile("verify", "read-only"),
            "write": self.profile("write", "read-write"),
        }
        roles = {"migrate": "app_owner", "guarded": "app_owner", "verify": "app_ro", "write": "app_rw"}
        self.answers = answers(roles, guard=("guarded",))
        self.plan = postgresql.database_plan(self.url(), list(self.profiles.values()), self.answers)
        self.was_missing = run_plan(self.session, self.plan.statements)
        self.configure(self.url(), self.answers.manager, PASSWORD, f"pg{major}")
        for name, profile in self.profiles.items():
            self.add_role(f"pg{major}-{name}", f"pg{major}", profile, self.answers)

    def url(self, database: str = DATABASE) -> DatabaseURL:
        return DatabaseURL("postgresql", "postgresql", self.server.host, self.server.port, database, "disable", None)

    def profile(self, name: str, access: Access, *, database: str = DATABASE, **more: Any) -> Profile:
        fields = {"schemas": ("app",), **more}
        return Profile(name, name, f"database/creds/{name}", self.url(database), access, **fields)

    def login(self, user: str = "postgres", password: Secret | None = None, database: str | None = None) -> Session:
        return Session(self.server.connect(user, password, database or DATABASE))

    def run(self, *statements: str) -> list[list[Any]]:
        return self.session.run(*statements)

    def sessions(self, user: str) -> int:
        return int(self.run(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'")[0][0])

    def configure(self, url: DatabaseURL, manager: str, password: Secret, name: str) -> None:
        """A connection of OpenBao's, until the server goes."""
        self._write(
            f"database/config/{name}",
            {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": "postgresql://{{username}}:{{password}}@"
                f"{url.host}:{url.port}/{quote(url.database, safe='')}?sslmode=disable",
                "username": manager,
                "password": password.reveal(),
                "password_authentication": "scram-sha-256",
                "username_template": vault.USERNAME_TEMPLATE,
                "allowed_roles": ["*"],
            },
        )

    def add_role(self, name: str, connection: str, profile: Profile, given: Answers) -> None:
        creation, revocation = postgresql.role_statements(profile, given)
        self.write_role(name, connection, profile, creation, revocation)

    def write_role(
        self, name: str, connection: str, profile: Profile, creation: Sequence[str], revocation: Sequence[str]
    ) -> None:
        body = vault.database_role(profile, connection=connection, creation=creation, revocation=revocation)
        self._write(f"database/roles/{name}", body)

    def _write(self, path: str, body: Mapping[str, object]) -> None:
        self.client.write_data(path, data=dict(body))
        self._exit.callback(self.client.delete, path)

    def issue(self, profile: str) -> Issued:
        """A user for one of `profiles`."""
        return self.issue_role(f"pg{self.major}-{profile}")

    def issue_role(self, role: str, client: Any = None) -> Issued:
        """With a client of its own for each thread that asks."""
        client = client or self.client
        answer = client.read(f"database/creds/{role}")
        data = answer["data"]
        return Issued(self, client, answer["lease_id"], data["username"], Secret(data["password"]))

    @contextmanager
    def database(self, name: str, script: str = "") -> Iterator[Session]:
        """A superuser's session in a database of its own, in which `script` has run; dropped afterwards."""
        self.run(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
        try:
            with closing(self.login(database=name)) as session:
                if script:
                    session.run(script)
                yield session
        finally:
            self.run(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def answers(roles: Mapping[str, str], *, guard: Sequence[str] = (), manager: str = "vault_mgr") -> Answers:
    profiles = {name: ProfileAnswers({}, role, guard=name in guard) for name, role in roles.items()}
    return Answers("github", "https://issuer.example.com", "repository_id", {}, profiles, manager=manager)


class Storm:
    """Threads that work with a credential, and log in again whenever they are thrown out."""

    THREADS = 6

    def __init__(self, issued: Issued, statement: str) -> None:
        self._issued = issued
        self._statement = statement
        self._stop = threading.Event()
        self._connected = threading.Barrier(self.THREADS + 1)
        self.survivors = 0  # how many could still work at the end
        self._threads = [threading.Thread(target=self._work) for _ in range(self.THREADS)]

    def __enter__(self) -> Storm:
        """Returns when all are at work."""
        for thread in self._threads:
            thread.start()
        self._connected.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        first = True
        while not self._stop.is_set():
            with suppress(DatabaseError, InterfaceError, OSError), self._issued.connect() as session:
                if first:
                    self._connected.wait(20)
                    first = False
                while not self._stop.is_set():
                    session.run(self._statement)
                session.run(self._statement)
                self.survivors += 1


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Site]:
    major = request.module.MAJOR
    with ExitStack() as exit_stack:
        server = exit_stack.enter_context(PostgreSQL(programs=programs(major)))
        yield Site(stack, server, major, exit_stack)
