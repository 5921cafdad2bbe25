"""What a migration leaves in the database is looked for while its user lives, and told in log, ledger and summary."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sql
from step_runs import normalised, of_kind

from conftest import Step
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.model import Holding
from stepcreds.secret import Secret
from stepcreds.session.remains import Left, Remains

pytestmark = pytest.mark.usefixtures("alone")
SQL = [sys.executable, sql.__file__]


@pytest.fixture(autouse=True)
def _tidy(stack: Stack) -> Iterator[None]:
    yield
    stack.sql("DROP TABLE IF EXISTS app.left_1; DROP FUNCTION IF EXISTS app.door()")
    stack.sql("REVOKE ALL ON app.customers FROM PUBLIC")


def told(stderr: str) -> list[str]:
    return [line for line in normalised(stderr).splitlines() if "left in the database" in line]


def test_what_widens_power_is_in_the_log_and_everything_in_the_ledger(step: Step, config_file: Path) -> None:
    summary = config_file.parent / "summary.md"
    done = step(
        *("exec", "migrate", "--", *SQL, "CREATE TABLE app.left_1 (id int)"),
        "GRANT SELECT ON app.customers TO PUBLIC",
        "CREATE FUNCTION app.door() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == 0, done.stderr
    assert told(done.stderr) == [
        "stepcreds: migrate: left in the database: a new SECURITY DEFINER function app.door(), owned by app_owner, "
        "for everybody to call",
        "stepcreds: migrate: left in the database: PUBLIC has SELECT on the table app.customers",
        "stepcreds: migrate: left in the database: 2 kinds of other changes, in the ledger",
    ]
    (left,) = of_kind(config_file, "credential.left")
    assert (left["profile"], left["more"], left["unknown"]) == ("migrate", 0, None)
    assert left["changes"] == [
        {
            "code": "LEFT.DEFINER",
            "subject": "app.door()",
            "what": "a new SECURITY DEFINER function app.door(), owned by app_owner, for everybody to call",
        },
        {"code": "LEFT.GRANT", "subject": "app.customers", "what": "PUBLIC has SELECT on the table app.customers"},
        {
            "code": "LEFT.GRANT",
            "subject": "app.left_1",
            "what": "app_ro has SELECT on the new table app.left_1",
        },
        {"code": "LEFT.NEW", "subject": "app.left_1", "what": "a new table app.left_1, owned by app_owner"},
    ]
    assert (
        summary.read_text().count("**Left in the database of migrate, and outliving the credential:**\n\n- a new") == 1
    )
    verified = step("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_migration_that_changes_nothing_is_on_record_with_no_change(step: Step, config_file: Path) -> None:
    done = step("exec", "migrate", "--", *SQL, "SELECT 1")
    assert done.returncode == 0, done.stderr
    assert told(done.stderr) == []
    (left,) = of_kind(config_file, "credential.left")
    assert (left["changes"], left["unknown"]) == ([], None)


def test_who_reads_only_leaves_nothing_and_pays_for_no_look(step: Step, config_file: Path) -> None:
    done = step("exec", "verify", "--", *SQL, "SELECT 1")
    assert done.returncode == 0, done.stderr
    assert of_kind(config_file, "credential.left") == []


def test_a_step_that_changed_its_password_is_not_taken_for_one_that_left_nothing(step: Step, config_file: Path) -> None:
    done = step("exec", "migrate", "--", *SQL, "SET ROLE NONE", "ALTER ROLE CURRENT_USER PASSWORD 'c4n4ry-own'")
    assert done.returncode == 0, done.stderr
    (left,) = of_kind(config_file, "credential.left")
    assert left["changes"] == []
    assert "password authentication failed" in left["unknown"]
    assert "stepcreds: warning: migrate: what the command left in the database is not known: " in done.stderr


def test_a_look_that_goes_wrong_in_any_way_does_not_keep_the_end_from_coming(stack: Stack) -> None:
    """What is compared comes out of a database that somebody else's command has just changed."""
    profile = stack.profiles["migrate"]
    with stack.login(profile.role) as vault:
        answer = vault.read(profile.creds)
        data = answer["data"]
        holding = Holding("uid", "migrate", Secret(""), "", username=data["username"])
        around: Any = SimpleNamespace(clock=SystemClock())
        credential: Any = SimpleNamespace(profile=profile, holding=holding)
        remains = Remains(around)
        remains._before["uid"] = {("table", "1"): None}  # type: ignore[dict-item]
        remains.compare(credential, Secret(data["password"]), cancelled=False)
        vault.adapter.put("/v1/sys/leases/revoke", json={"lease_id": answer["lease_id"], "sync": True})
    assert remains.found == [Left("uid", "migrate", (), "a defect of stepcreds (AttributeError)")]
