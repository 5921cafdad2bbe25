"""What a step's command used of its credential comes into the ledger, and costs the step nothing where nobody counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sql
from step_runs import of_kind, reconfigure

from conftest import Step
from relay import Relay
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack

SQL = [sys.executable, sql.__file__]


@pytest.fixture(scope="module")
def counting() -> Iterator[Stack]:
    with Stack(statistics=True) as stack:
        yield stack


def run(stack: Stack, folder: Path, *arguments: str) -> dict[str, Any]:
    """A step that succeeds, and the record of its end."""
    config = stack.write_config(folder)
    done = subprocess.run(
        [sys.executable, "-m", "stepcreds", "exec", *arguments],
        cwd=folder,
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    closed: dict[str, Any] = of_kind(config, "credential.closed")[-1]
    assert closed["verdict"] == "proven dead"
    assert closed["lock"]["status"] == "locked"
    return closed


def test_a_reading_step_is_counted(counting: Stack, tmp_path: Path) -> None:
    closed = run(
        counting, tmp_path, "verify", "--", *SQL, "SELECT count(*) FROM app.orders", "SELECT 1 FROM app.customers"
    )
    assert closed["privileges"]["used"] == {
        "by": "pg_stat_statements",
        "complete": False,
        "gaps": [
            "statements that failed",
            "what functions, triggers and DO blocks did",
            "what it did as another role that it took (SET ROLE)",
        ],
        "level": "read",
        "roles": [],
        "statements": [{"calls": 2, "kind": "select", "role": "", "rows": 201}],
    }


def test_a_migration_is_counted_as_the_owner(counting: Stack, tmp_path: Path) -> None:
    closed = run(counting, tmp_path, "migrate", "--", *SQL, "CREATE TABLE app.used_1 (id int)", "DROP TABLE app.used_1")
    used = closed["privileges"]["used"]
    assert (used["level"], used["roles"]) == ("ddl", ["app_owner"])
    assert sorted((each["kind"], each["calls"], each["role"]) for each in used["statements"]) == [
        ("create table", 1, "app_owner"),
        ("drop table", 1, "app_owner"),
    ]


def test_a_command_that_asks_nothing_used_nothing_that_was_seen(counting: Stack, tmp_path: Path) -> None:
    used = run(counting, tmp_path, "verify", "--", "true")["privileges"]["used"]
    assert (used["level"], used["statements"]) == ("info", [])


@contextmanager
def held(stack: Stack) -> Iterator[None]:
    """Nobody can read the counts: a transaction that is not over holds the view."""
    with closing(stack.connect(SUPERUSER, stack.postgresql.password)) as connection:
        connection.run("BEGIN")
        connection.run("LOCK TABLE pg_stat_statements IN ACCESS EXCLUSIVE MODE")
        yield
        connection.run("ROLLBACK")


def test_counts_that_nobody_can_read_are_not_measured_and_the_credential_dies_as_ever(
    counting: Stack, tmp_path: Path
) -> None:
    with held(counting):
        closed = run(counting, tmp_path, "verify", "--", *SQL, "SELECT 1")
    assert closed["privileges"]["used"] is None
    assert closed["privileges"]["granted"]["level"] == "read"


def test_counts_that_a_role_may_not_read_are_not_measured(counting: Stack, tmp_path: Path) -> None:
    counting.sql("REVOKE SELECT ON pg_stat_statements FROM PUBLIC")
    try:
        closed = run(counting, tmp_path, "verify", "--", *SQL, "SELECT 1")
    finally:
        counting.sql("GRANT SELECT ON pg_stat_statements TO PUBLIC")
    assert closed["privileges"]["used"] is None


def test_a_secret_in_a_statement_goes_nowhere(counting: Stack, tmp_path: Path) -> None:
    run(counting, tmp_path, "migrate", "--", *SQL, "COMMENT ON TABLE app.orders IS 'canary-3f1b9d'")
    assert b"canary-3f1b9d" not in b"".join(file.read_bytes() for file in (tmp_path / ".stepcreds").iterdir())


def test_where_nobody_counts_it_is_not_measured_and_no_connection_more_is_made(
    stack: Stack, step: Step, config_file: Path, alone: None
) -> None:
    with Relay(stack.postgresql.port) as relay:
        there = f"postgresql://127.0.0.1:{relay.port}/{stack.database.database}?sslmode=disable"
        reconfigure(config_file, lambda document: document["profiles"]["verify"].update(database=there))
        done = step("exec", "verify", "--", "true")
        assert done.returncode == 0, done.stderr
        assert relay.connections == 4
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["privileges"]["used"] is None
