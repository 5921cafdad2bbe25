"""A PostgreSQL of each supported major with a shop in it, for credentials whose power is measured and really used.

The shop is set up as `stepcreds setup` would, and the server is full of what the credential has nothing to do with:
another team's schema and database, powerful roles, functions that run as a superuser.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from postgresql_programs import programs
from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.measurement import Measured
from stepcreds.scope import measure
from stepcreds.secret import Secret
from stepcreds.setup import postgresql
from stepcreds.setup.answers import Answers, ProfileAnswers

IN_BILLING = "IN billing: "
DENIED = "42501"  # insufficient_privilege
PASSWORD = Secret("0nly-0n-l00pback")

SHOP = """
CREATE ROLE app_owner NOLOGIN;
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;
CREATE TABLE app.orders (id int PRIMARY KEY, customer text, note text);
INSERT INTO app.orders SELECT n, 'customer ' || n, 'as it was' FROM generate_series(1, 20) n;
CREATE TABLE app.customers (id int PRIMARY KEY, email text);
INSERT INTO app.customers SELECT n, n || '@example.com' FROM generate_series(1, 20) n;
CREATE SEQUENCE app.numbers;
CREATE VIEW app.recent AS SELECT id, note FROM app.orders WHERE id > 10;
CREATE FUNCTION app.total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.orders';
RESET ROLE;
"""

NEIGHBOURS = f"""
CREATE ROLE hr_owner NOLOGIN;
CREATE ROLE hr_admin LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD.reveal()}';
CREATE ROLE outsider LOGIN PASSWORD '{PASSWORD.reveal()}';
GRANT hr_owner TO hr_admin WITH ADMIN OPTION;
GRANT pg_read_all_data, pg_execute_server_program TO hr_admin;
CREATE SCHEMA hr AUTHORIZATION hr_owner;
SET ROLE hr_owner;
CREATE TABLE hr.salaries (id int PRIMARY KEY, person text, amount int);
INSERT INTO hr.salaries SELECT n, 'person ' || n, 1000 * n FROM generate_series(1, 5) n;
CREATE SEQUENCE hr.numbers;
GRANT ALL ON hr.salaries TO hr_admin;
RESET ROLE;
CREATE TABLE hr.audit (at timestamptz DEFAULT now(), what text);
CREATE FUNCTION hr.dismiss(who int) RETURNS void LANGUAGE sql SECURITY DEFINER
  AS 'DELETE FROM hr.salaries WHERE id = who';
"""

BILLING = """
CREATE TABLE public.invoices (id int PRIMARY KEY, amount int);
INSERT INTO public.invoices SELECT n, 100 * n FROM generate_series(1, 5) n;
"""


class Session:
    """A connection of one role, which stays open until the end of the attack."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def run(self, statement: str) -> list[list[Any]]:
        """Its rows. Raises pg8000's DatabaseError."""
        rows: list[list[Any]] | None = self.connection.run(statement)
        return rows or []


class Lab:
    """One server with the shop in it, and a superuser's session in the shop's database."""

    def __init__(self, major: int, server: PostgreSQL) -> None:
        self.major = major
        self.server = server
        self.admin = Session(server.connect())
        self.do("CREATE DATABASE shop", "CREATE DATABASE billing")
        with closing(server.connect(database="billing")) as connection:
            connection.run(BILLING)
        self.admin.connection.close()
        self.admin = Session(server.connect(database="shop"))
        self.do(SHOP, NEIGHBOURS)
        profile = Profile("verify", "app-verify", "database/creds/verify", self.url(), "read-only", ("app",))
        answers = Answers("github", "", "", {}, {"verify": ProfileAnswers({}, "app_ro")}, "vault_mgr")
        for statement in postgresql.database_plan(self.url(), [profile], answers).statements:
            self.admin.connection.execute_simple(statement.sql)
        self.do("REVOKE CONNECT ON DATABASE billing FROM PUBLIC")

    def do(self, *statements: str) -> None:
        """As superuser, each in a transaction of its own; one that begins with "IN billing: ", in that database."""
        for statement in statements:
            if statement.startswith(IN_BILLING):
                with closing(self.server.connect(database="billing")) as connection:
                    connection.run(statement.removeprefix(IN_BILLING))
            else:
                self.admin.run(statement)

    def ask(self, query: str) -> Any:
        """What the superuser sees."""
        return self.admin.run(query)

    def issue(self, name: str, creation: list[str] | None = None) -> None:
        """Make the login role `name` as the database engine would, by default a member of the read-only group."""
        values = {"name": name, "password": PASSWORD.reveal(), "expiration": "2100-01-01"}
        for statement in creation or postgresql.read_only_creation("app_ro"):
            for key, value in values.items():
                statement = statement.replace(f"{{{{{key}}}}}", value)  # noqa: PLW2901 - filled in, step by step
            self.do(statement)

    @contextmanager
    def login(self, name: str, database: str = "shop") -> Iterator[Session]:
        with closing(self.server.connect(name, PASSWORD, database)) as connection:
            yield Session(connection)

    def url(self) -> DatabaseURL:
        return DatabaseURL("postgresql", "postgresql", self.server.host, self.server.port, "shop", "disable", None)

    def measure(self, name: str, **declared: Any) -> Measured:
        """What the login role can do, held against a read-only profile for the schema `app`, or what is `declared`."""
        fields = {"access": "read-only", "schemas": ("app",), **declared}
        profile = Profile("verify", "app-verify", "database/creds/verify", self.url(), **fields)
        return measure(profile, name, PASSWORD, SystemClock())

    def close(self) -> None:
        self.admin.connection.close()


@contextmanager
def running(major: int) -> Iterator[Lab]:
    with PostgreSQL(programs=programs(major)) as server, closing(Lab(major, server)) as lab:
        yield lab


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Of the test module's `MAJOR`."""
    if platform.machine() != "x86_64":
        pytest.skip("npm has all majors of PostgreSQL for x86-64 alone")
    with running(request.module.MAJOR) as made:
        yield made
