"""The statement templates on a real OpenBao and PostgreSQL: what they give, and that nothing survives revocation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnsupportedError
from stepcreds.secret import Secret
from stepcreds.setup import postgresql


@dataclass
class Issued:
    """A live credential, with the Vault client whose token made it."""

    stack: Stack
    vault: Any
    lease_id: str
    user: str
    password: Secret

    @contextmanager
    def connect(self) -> Iterator[Any]:
        connection = self.stack.connect(self.user, self.password)
        try:
            yield connection
        finally:
            with suppress(InterfaceError):  # the server may have ended it
                connection.close()

    def revoke(self) -> int:
        body = {"lease_id": self.lease_id, "sync": True}
        return int(self.vault.adapter.put("/v1/sys/leases/revoke", json=body).status_code)

    def assert_dead(self) -> None:
        assert self.user not in self.stack.issued_roles()
        assert self.stack.sessions(self.user) == 0
        assert sqlstate(lambda: self.stack.connect(self.user, self.password)) == "28P01"


@contextmanager
def issue(stack: Stack, profile: str) -> Iterator[Issued]:
    with stack.login(f"app-{profile}") as vault:
        answer = vault.read(f"database/creds/app-{profile}")
        data = answer["data"]
        yield Issued(stack, vault, answer["lease_id"], data["username"], Secret(data["password"]))


def sqlstate(action: Any) -> str:
    """The code of the error that `action` meets."""
    with pytest.raises(DatabaseError) as refused:
        action()
    return str(refused.value.args[0]["C"])


class Storm:
    """Four threads that work with a credential, and log in again whenever they are thrown out."""

    def __init__(self, issued: Issued) -> None:
        self._issued = issued
        self._stop = threading.Event()
        self._connected = threading.Barrier(5)
        self.survivors = 0  # how many could still work at the end
        self._threads = [threading.Thread(target=self._work) for _ in range(4)]

    def __enter__(self) -> Storm:
        """Returns when all four are at work."""
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
            with suppress(DatabaseError, InterfaceError, OSError), self._issued.connect() as connection:
                if first:
                    self._connected.wait(20)
                    first = False
                while not self._stop.is_set():
                    connection.run("SELECT count(*) FROM app.orders")
                connection.run("SELECT 1")
                self.survivors += 1


@pytest.mark.usefixtures("alone")
class TestReadOnly:
    def test_it_reads_and_does_nothing_else(self, stack: Stack) -> None:
        with issue(stack, "verify") as issued, issued.connect() as connection:
            assert connection.run("SELECT count(*) FROM app.orders") == [[1000]]
            assert sqlstate(lambda: connection.run("DELETE FROM app.orders")) == "25006"
            # The user may turn that setting off; the grants are what stands.
            connection.run("SET default_transaction_read_only = off")
            for statement in (
                "DELETE FROM app.orders",
                "INSERT INTO app.customers (name, email) VALUES ('a', 'b')",
                "DROP TABLE app.staging_orders",
                "CREATE TABLE app.mine (id int)",
                "CREATE TABLE public.mine (id int)",
                "CREATE TEMP TABLE mine (id int)",
                "SET ROLE app_owner",
                "CREATE ROLE mine",
            ):
                assert sqlstate(partial(connection.run, statement)) == "42501", statement
            assert issued.revoke() == 204
        issued.assert_dead()

    def test_other_databases_are_closed(self, stack: Stack) -> None:
        with issue(stack, "verify") as issued:
            connect = partial(stack.postgresql.connect, issued.user, issued.password)
            for database in ("postgres", "template1"):
                assert sqlstate(partial(connect, database)) == "42501"
            assert issued.revoke() == 204

    def test_tables_that_a_migration_makes_are_readable_at_once(self, stack: Stack) -> None:
        with (
            issue(stack, "verify") as reader,
            reader.connect() as reading,
            issue(stack, "migrate") as migration,
            migration.connect() as migrating,
        ):
            migrating.run("CREATE TABLE app.fresh AS SELECT 1 AS one")
            assert reading.run("SELECT one FROM app.fresh") == [[1]]
            migrating.run("DROP TABLE app.fresh")
            assert (reader.revoke(), migration.revoke()) == (204, 204)

    def test_it_cannot_veto_its_own_revocation(self, stack: Stack) -> None:
        with issue(stack, "verify") as issued, issued.connect() as connection:
            connection.run("SET default_transaction_read_only = off")
            connection.run("SELECT lo_create(0)")
            connection.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
            assert issued.revoke() == 204
            with pytest.raises((DatabaseError, InterfaceError)):
                connection.run("SELECT 1")
        issued.assert_dead()


@pytest.mark.usefixtures("alone")
class TestDDL:
    def test_it_works_as_the_owner_and_what_it_makes_is_the_owners(self, stack: Stack) -> None:
        with issue(stack, "migrate") as issued, issued.connect() as connection:
            connection.run("ALTER TABLE app.customers ADD COLUMN made_here int")
            connection.run("CREATE TABLE app.made_here (id int)")
            assert connection.run("SELECT current_user") == [["app_owner"]]
            assert issued.revoke() == 204
        issued.assert_dead()
        assert stack.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'made_here'") == [["app_owner"]]
        stack.sql("DROP TABLE app.made_here")
        stack.sql("ALTER TABLE app.customers DROP COLUMN made_here")

    def test_it_takes_no_table_along_when_it_is_revoked(self, stack: Stack) -> None:
        with issue(stack, "migrate") as issued, issued.connect() as connection:
            take = f'ALTER TABLE app.orders OWNER TO "{issued.user}"'
            assert sqlstate(lambda: connection.run(take)) == "42501"
            # As the owner it may give itself the right to make tables, and then own one.
            connection.run(f'GRANT USAGE, CREATE ON SCHEMA app TO "{issued.user}"')
            connection.run("SET ROLE NONE")
            connection.run("CREATE TABLE app.hoard AS SELECT 1 AS one")
            connection.run("SELECT lo_create(0)")
            connection.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
            assert issued.revoke() == 204
        issued.assert_dead()
        assert stack.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'hoard'") == [["app_owner"]]
        stack.sql("DROP TABLE app.hoard")
        assert stack.sql("SELECT nspacl::text FROM pg_namespace WHERE nspname = 'app'") == [
            ["{app_owner=UC/app_owner,app_ro=U/app_owner}"]
        ]

    def test_it_ends_at_its_schema(self, stack: Stack) -> None:
        with issue(stack, "migrate") as issued, issued.connect() as connection:
            for statement in (
                "CREATE SCHEMA mine",
                "CREATE TABLE public.mine (id int)",
                "CREATE ROLE mine",
                "CREATE EXTENSION dblink",
                "COPY app.orders TO PROGRAM 'cat'",
                "SET ROLE vault_mgr",
            ):
                assert sqlstate(partial(connection.run, statement)) == "42501", statement
            assert issued.revoke() == 204

    def test_sessions_that_reconnect_without_end_do_not_survive(self, stack: Stack) -> None:
        for _ in range(5):
            with issue(stack, "migrate") as issued:
                with Storm(issued) as storm:
                    status = issued.revoke()
                    left = stack.sessions(issued.user)
                assert (status, left, storm.survivors) == (204, 0, 0)
            issued.assert_dead()


@pytest.mark.usefixtures("alone")
class TestRevocation:
    def test_a_user_that_somebody_dropped_already_is_no_error(self, stack: Stack) -> None:
        with issue(stack, "verify") as issued:
            stack.sql(f'DROP ROLE "{issued.user}"')
            assert issued.revoke() == 204
        issued.assert_dead()

    def test_a_changed_password_does_not_help(self, stack: Stack) -> None:
        with issue(stack, "verify") as issued, issued.connect() as connection:
            connection.run("SET default_transaction_read_only = off")
            connection.run("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
            assert issued.revoke() == 204
            assert sqlstate(lambda: stack.connect(issued.user, Secret("mine"))) == "28P01"
        issued.assert_dead()

    def test_control_the_engines_default_leaves_the_session_and_can_be_vetoed(self, stack: Stack) -> None:
        """What the templates are for: the same two acts against roles with no revocation statements of their own."""
        location = f"{stack.postgresql.host}:{stack.postgresql.port}/shop?sslmode=disable"
        connection_url = f"postgresql://{{{{username}}}}:{{{{password}}}}@{location}"
        config = {"plugin_name": "postgresql-database-plugin", "connection_url": connection_url}
        login = {"username": "postgres", "password": stack.postgresql.password.reveal(), "allowed_roles": ["control"]}
        creation = [
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
            'GRANT app_ro TO "{{name}}"',
        ]
        with stack.client() as vault:
            vault.write_data("database/config/control", data={**config, **login})
            role = {"db_name": "control", "creation_statements": creation, "revocation_statements": []}
            vault.write_data("database/roles/control", data=role)

            def issued() -> Issued:
                answer = vault.read("database/creds/control")
                password = Secret(answer["data"]["password"])
                return Issued(stack, vault, answer["lease_id"], answer["data"]["username"], password)

            survivor = issued()
            with survivor.connect() as connection:
                assert survivor.revoke() == 204
                assert connection.run("SELECT 1") == [[1]]
            veto = issued()
            with veto.connect() as connection:
                connection.run("SELECT lo_create(0)")
            with pytest.raises(Exception, match="cannot be dropped because some objects depend on it"):
                veto.revoke()
            with veto.connect() as connection:
                assert connection.run("SELECT 1") == [[1]]
            stack.sql(f'DROP OWNED BY "{veto.user}"')
            assert veto.revoke() == 204
            vault.delete("database/roles/control")
            vault.delete("database/config/control")


class TestNames:
    def test_any_name_that_can_be_written_is_quoted(self) -> None:
        """A whole cycle of the templates with names that mean something to SQL, run as the engine runs them."""
        owner, group, schema = "o\"wner' END", 'g"roup --', "s'chema\\"
        database, manager = 'd"ata $$ base', 'man"ager'
        user = {"{{name}}": "v-user", "{{password}}": "secret", "{{expiration}}": "2099-01-01 00:00:00+00"}
        with PostgreSQL() as server:
            with closing(server.connect()) as connection:
                connection.run(f"CREATE DATABASE {postgresql.identifier(database)}")
            with closing(server.connect(database=database)) as connection:
                connection.run(f"CREATE ROLE {postgresql.identifier(owner)}")
                connection.run(
                    f"CREATE SCHEMA {postgresql.identifier(schema)} AUTHORIZATION {postgresql.identifier(owner)}"
                )
                for statement in (
                    *postgresql.read_only_group(group, database=database, schema=schema, owner=owner),
                    *postgresql.management_user(
                        18, manager, "pass'word", database=database, groups=[group], owners=[owner]
                    ),
                    *postgresql.hardening(database),
                ):
                    connection.run(statement)
            for creation in (postgresql.ddl_creation(owner, database), postgresql.read_only_creation(group)):
                with closing(server.connect(manager, Secret("pass'word"), database)) as connection:
                    for statement in filled(creation, user):
                        connection.run(statement)
                    with closing(server.connect("v-user", Secret("secret"), database)) as issued:
                        expected = owner if creation[1].startswith("GRANT CONNECT") else "v-user"
                        assert issued.run("SELECT current_user") == [[expected]]
                    connection.run("BEGIN")
                    for statement in filled(postgresql.revocation(owner), user):
                        connection.run(statement)
                    connection.run("COMMIT")
                assert sqlstate(lambda: server.connect("v-user", Secret("secret"), database)) == "28P01"

    @pytest.mark.parametrize(
        "name", ["", "a;b", "{{name}}", "a}}", "$sc$", "a\0b", "n" * 64, "é" * 32], ids=lambda name: ascii(name)[:20]
    )
    def test_a_name_that_means_something_to_the_engine_is_refused(self, name: str) -> None:
        with pytest.raises(UnsupportedError) as refused:
            postgresql.identifier(name)
        assert str(refused.value) == f"{name!a} cannot stand in a statement for Vault's database engine."
        assert refused.value.cause == "A name has 1 to 63 bytes, and none of ';', '{{', '}}', '$sc$' and the zero byte."


def filled(statements: list[str], values: dict[str, str]) -> Iterator[str]:
    """Each statement as the engine sends it: placeholders replaced as plain text."""
    for statement in statements:
        for placeholder, value in values.items():
            statement = statement.replace(placeholder, value)  # noqa: PLW2901 - one replacement after another
        yield statement


def test_before_postgresql_16_the_management_user_is_a_plain_member_of_the_owners() -> None:
    assert postgresql.management_user(15, "mgr", "pw", database="shop", groups=["ro"], owners=["owner"]) == [
        "CREATE ROLE \"mgr\" LOGIN CREATEROLE INHERIT PASSWORD 'pw'",
        'GRANT CONNECT ON DATABASE "shop" TO "mgr" WITH GRANT OPTION',
        'GRANT "owner" TO "mgr"',
    ]


def test_the_number_of_connections_is_a_setting() -> None:
    assert " CONNECTION LIMIT 3 " in postgresql.read_only_creation("ro", connections=3)[0]
    assert " CONNECTION LIMIT 4 " in postgresql.ddl_creation("owner", "shop", connections=4)[0]
