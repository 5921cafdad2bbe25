"""docs/vault.md can be pasted: what stands there, on a real PostgreSQL and OpenBao, gives a step what it says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pg8000.exceptions
import pytest

from stepcreds.devstack import installed
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

PAGE = (Path(__file__).parents[2] / "docs" / "vault.md").read_text(encoding="utf-8")
# A server has one set of roles for all its databases: these must not be another test's as well.
MANAGER, OWNER, GROUP, PASSWORD = "docs_mgr", "docs_owner", "docs_ro", "a-password-of-the-docs"


def generated(name: str) -> str:
    found = re.search(rf"<!-- generated: {name} -->\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found is not None
    return found[1].replace("stepcreds_vault", MANAGER).replace("app_owner", OWNER).replace("app_ro", GROUP)


@pytest.fixture
def database(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """The page's database, with its schema and its owner, set up as the page says."""
    with closing(stack.postgresql.connect(SUPERUSER, stack.postgresql.password)) as server:
        server.run("CREATE DATABASE app")
        try:
            with closing(stack.postgresql.connect(SUPERUSER, stack.postgresql.password, "app")) as connection:
                connection.run(f"CREATE ROLE {OWNER} NOLOGIN")
                connection.run(f"CREATE SCHEMA app AUTHORIZATION {OWNER}")
                connection.run(f"SET ROLE {OWNER}")
                connection.run("CREATE TABLE app.orders AS SELECT 1 AS id")
            script = tmp_path / "app.sql"
            script.write_text(generated("database setup"))
            login = {"PGUSER": SUPERUSER, "PGPASSWORD": stack.postgresql.password.reveal(), "PGDATABASE": "app"}
            done = subprocess.run(
                [installed.psql(), "--no-psqlrc", "--quiet", f"--file={script}"],
                env={"PGHOST": stack.postgresql.host, "PGPORT": str(stack.postgresql.port), **login},
                input=f"{PASSWORD}\n{PASSWORD}\n",
                text=True,
                capture_output=True,
                start_new_session=True,  # without a terminal psql takes the password from stdin
                check=False,
            )
            assert done.returncode == 0, done.stderr
            yield "app"
        finally:
            server.run("DROP DATABASE app WITH (FORCE)")
            for role in (MANAGER, GROUP, OWNER):
                if server.run("SELECT FROM pg_roles WHERE rolname = :name", name=role):
                    server.run(f"DROP OWNED BY {role}")
                    server.run(f"DROP ROLE {role}")


@pytest.fixture
def vault(stack: Stack, database: str) -> Iterator[Any]:
    """An OpenBao with the page's connection, and the page's two roles under names of their own."""
    connection = json.loads(generated("connection"))
    place = f"{stack.postgresql.host}:{stack.postgresql.port}"
    url = connection["connection_url"].replace("db.example.com:5432", place).replace("verify-full", "disable")
    own = {"connection_url": url, "password": PASSWORD, "allowed_roles": ["docs-migrate", "docs-verify"]}
    paths = []
    with stack.client() as client:
        for path, body in (
            (f"database/config/{database}", {**connection, **own}),
            ("database/roles/docs-verify", json.loads(generated("read-only role"))),
            ("database/roles/docs-migrate", json.loads(generated("ddl role"))),
        ):
            client.write_data(path, data=body)
            paths.append(path)
        yield client
        for path in reversed(paths):
            client.delete(path)


@pytest.mark.usefixtures("alone")
def test_the_page_gives_two_credentials_that_can_what_it_says_and_end(stack: Stack, vault: Any) -> None:
    migrate, verify = (vault.read(f"database/creds/docs-{name}") for name in ("migrate", "verify"))
    with closing(connect(stack, migrate)) as session:
        session.run("CREATE TABLE app.notes (id int)")
        assert session.run("SELECT tableowner FROM pg_tables WHERE tablename = 'notes'") == [[OWNER]]
    with closing(connect(stack, verify)) as session:
        # What the migration made is readable at once, and nothing can be changed.
        assert session.run("SELECT count(*) FROM app.notes, app.orders") == [[0]]
        with pytest.raises(pg8000.exceptions.DatabaseError, match="25006"):
            session.run("DELETE FROM app.orders")
    for lease in (migrate, verify):
        vault.write_data("sys/leases/revoke", data={"lease_id": lease["lease_id"], "sync": True})
        with pytest.raises(pg8000.exceptions.DatabaseError, match="28P01"):
            connect(stack, lease)


def connect(stack: Stack, lease: dict[str, Any]) -> Any:
    given = lease["data"]
    return stack.postgresql.connect(given["username"], Secret(given["password"]), "app")
