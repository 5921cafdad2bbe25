"""`setup apply` for a MariaDB: from nothing to a step that works, drift, and what remains of a run that fails half way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fresh_shop import Shop
from mariadb_server import MariaDB, mariadb  # noqa: F401 - a fixture

from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

# ruff: noqa: F811, S608 - pytest hands a fixture in under the name it was imported with; the names in SQL are ours

PASSWORD = "c4n4ry-of-the-administrator"


class Orders(Shop):
    """A shop whose database is at a MariaDB."""

    key = "databases"

    def __init__(self, stack: Stack, folder: Path, server: MariaDB) -> None:
        self.server = server
        super().__init__(stack, folder)

    @property
    def url(self) -> str:
        return f"mariadb://127.0.0.1:{self.server.port}/{self.name}?sslmode=disable"

    @property
    def administrator(self) -> Secret:
        return Secret(f"mariadb://admin_{self.name}:{PASSWORD}@127.0.0.1:{self.server.port}/?sslmode=disable")

    def fill(self) -> None:
        self.server.administer(
            f"CREATE DATABASE {self.name}",
            f"CREATE TABLE {self.name}.orders (id INT PRIMARY KEY)",
            f"CREATE USER admin_{self.name} IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON *.* TO admin_{self.name} WITH GRANT OPTION",
        )

    def drop(self) -> None:
        self.server.administer(
            f"DROP DATABASE {self.name}", f"DROP USER admin_{self.name}", f"DROP USER IF EXISTS {self.manager}"
        )

    def assert_no_secret(self, text: str) -> None:
        super().assert_no_secret(text)
        assert PASSWORD not in text

    def password(self) -> str:
        rows = self.server.administer(f"SELECT authentication_string FROM mysql.user WHERE User = '{self.manager}'")
        return str(rows[0][0]) if rows else ""


@pytest.fixture
def orders(stack: Stack, mariadb: MariaDB, tmp_path: Path) -> Iterator[Orders]:
    made = Orders(stack, tmp_path, mariadb)
    yield made
    made.remove()


def test_from_nothing_to_a_working_step(orders: Orders) -> None:
    first = orders.setup("apply", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    for profile in ("verify", "migrate"):
        step = orders.step("exec", profile, "--", "true")
        assert step.returncode == 0, step.stderr
    assert orders.server.administer("SELECT User FROM mysql.user WHERE User LIKE 'v-%'") == []

    password = orders.password()
    second = orders.setup("apply", "--yes")
    assert (second.returncode, "Nothing to do." in second.stdout.splitlines()) == (0, True), second.stdout
    assert orders.password() == password

    role = f"{orders.engine}/roles/{orders.name}-verify"
    wanted = orders.read(role)
    orders.write(role, db_name=orders.name, revocation_statements=[])
    orders.server.administer(f"REVOKE CONNECTION ADMIN ON *.* FROM {orders.manager}")
    assert sorted(drift.code for drift in orders.check().drift) == [
        "database.statement",
        "vault.database_role.revocation_statements",
    ]
    assert orders.check(mend=True).drift == ()

    orders.server.administer(f"GRANT FILE ON *.* TO {orders.manager}", f"GRANT SELECT ON mysql.* TO {orders.manager}")
    assert [(drift.code, drift.what) for drift in orders.check().drift] == [
        (
            "mysql.manager.power",
            f"Vault's user {orders.manager} has rights on the whole server that it does not need: FILE.",
        ),
        (
            "mysql.manager.system",
            f"Vault's user {orders.manager} has rights on the server's own tables: SELECT ON mysql.*.",
        ),
    ]
    assert orders.read(role) == wanted
    assert orders.step("exec", "verify", "--", "true").returncode == 0


def test_a_new_password_is_vaults_alone(orders: Orders) -> None:
    assert orders.setup("apply", "--yes").returncode == 0
    before = orders.password()
    run = orders.setup("apply", "--yes", "--rotate-manager")
    assert run.returncode == 0, run.stdout + run.stderr
    assert before != orders.password()
    assert orders.read(f"{orders.engine}/creds/{orders.name}-verify")["username"].startswith("v-")


def test_what_ran_before_a_statement_that_fails_stays(orders: Orders) -> None:
    # Somebody who may make users, and hand on nothing.
    orders.server.administer(
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM admin_{orders.name}",
        f"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO admin_{orders.name} WITH GRANT OPTION",
        f"GRANT SELECT ON mysql.* TO admin_{orders.name}",
    )
    run = orders.setup("apply", "--yes")
    assert run.returncode == 1
    assert run.stderr.startswith(
        f"stepcreds: error: A statement failed at 127.0.0.1:{orders.server.port}/{orders.name}: What it hands on to the "
        f"users it makes: their rights on {orders.name}.\n"
    )
    assert "What came before it (3) is there, and will not be run again." in run.stderr
    assert orders.password()
    orders.server.administer(f"GRANT ALL ON *.* TO admin_{orders.name} WITH GRANT OPTION")
    assert orders.setup("apply", "--yes").returncode == 0
