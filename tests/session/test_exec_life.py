"""The whole life of one credential on real servers: handed to one command, and dead when the command is over."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest
from step_runs import (
    audited,
    kinds,
    masked,
    normalised,
    of_kind,
    records,
    refusal,
    reported,
    reporting,
    said,
    token_is_gone,
)

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

LOGIN = """
import json, os, sys, pg8000.native
with pg8000.native.Connection(
    os.environ["PGUSER"], host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]),
    password=os.environ["PGPASSWORD"], database=os.environ["PGDATABASE"],
) as connection:
    answers = []
    for statement in sys.argv[1:]:
        try:
            answers.append(connection.run(statement))
        except pg8000.exceptions.DatabaseError as error:
            answers.append(error.args[0]["C"])
    print(json.dumps(answers))
"""
TRY = ("SELECT session_user::text, current_user::text", "CREATE TABLE app.tried (id int)", "DROP TABLE app.tried")


def answers(stdout: str) -> list[object]:
    """What the statements of LOGIN gave: rows, or an SQLSTATE."""
    found: list[object] = json.loads(stdout.splitlines()[-1])
    return found


def test_a_step_gets_its_credential_and_leaves_nothing(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    before = len(stack.audit())
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report"))
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    user, password = given["PGUSER"], given["PGPASSWORD"]
    host, port = stack.database.host, str(stack.database.port)
    assert {name: value for name, value in given.items() if name.startswith(("PG", "DATABASE"))} == {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": "shop",
        "PGSSLMODE": "disable",
        "DATABASE_URL": f"postgresql://{user}:{password}@{host}:{port}/shop?sslmode=disable",
    }
    assert (run.stdout, masked(run.stderr)) == ("", [password])
    assert normalised(run.stderr) == (
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
    )
    assert refusal(stack, user, password) == "28P01"
    assert user not in stack.issued_roles()
    assert stack.leases("database/creds/app-migrate") == []
    assert token_is_gone(stack, of_kind(config_file, "credential.requested")[0]["token_accessor"])
    assert audited(stack, before)[:6] == [
        ("update", "auth/jwt/login"),
        ("update", "sys/leases/revoke"),
        ("read", "database/creds/app-migrate"),
        ("update", "sys/leases/revoke"),
        ("update", "sys/leases/lookup"),
        ("update", "auth/token/revoke-self"),
    ]


def test_the_ledger_tells_the_whole_life(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    command = reporting(tmp_path / "report")
    run = step("exec", "migrate", "--reason", "add a column", "--", *command, SOME_TOKEN="value of no matter")
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    opened, requested, issued, left, closed = records(config_file)
    assert (left["kind"], left["changes"], left["unknown"]) == ("credential.left", [], None)
    assert [record["kind"] for record in (opened, requested, issued, closed)] == [
        "chain.opened",
        "credential.requested",
        "credential.issued",
        "credential.closed",
    ]
    for seq, record in enumerate((opened, requested, issued, left, closed)):
        assert record["schema"] == "stepcreds.ledger/1"
        assert record["seq"] == seq
        assert record["chain_uid"] == opened["chain_uid"]
        assert record["step_uid"] == opened["step_uid"]
    common = {"schema", "seq", "prev", "chain_uid", "kind", "time", "event_uid", "step_uid"}
    assert opened.keys() - common == {"claims", "job", "nonce", "runner", "tool_version", "trust"}
    assert opened["claims"]["sub"] == "repo:acme/shop:environment:production"
    assert opened["trust"] == {"vault_addr": stack.address, "key": None}
    uid = requested["credential_uid"]
    assert {name: value for name, value in requested.items() if name not in common | {"token_accessor"}} == {
        "credential_uid": uid,
        "profile": "migrate",
        "mount_point": "auth/jwt",
        "role": "app-migrate",
        "creds": "database/creds/app-migrate",
        "database": f"postgresql://{stack.postgresql.host}:{stack.postgresql.port}/shop",
        "declared": {"access": "ddl", "schemas": ["app"], "ttl": 120, "reason": "add a column"},
        "delivery": "exec",
        "inherited": ["SOME_TOKEN"],
    }
    assert issued.keys() - common == {
        "credential_uid", "request_id", "lease_id", "lease_duration", "issue_time", "expire_time", "db_user",
        "policies", "entity_id",
    }  # fmt: skip
    assert issued["credential_uid"] == uid
    assert issued["db_user"] == given["PGUSER"]
    assert issued["lease_id"].startswith("database/creds/app-migrate/")
    assert issued["lease_duration"] == 120
    assert issued["policies"] == ["app-migrate"]
    # The request ids are Vault's own: its audit log has the same.
    logged = [entry for entry in stack.audit() if entry["type"] == "response" and "id" in entry["request"]]
    ids = {entry["request"]["path"]: entry["request"]["id"] for entry in logged}
    assert issued["request_id"] == {"login": ids["auth/jwt/login"], "creds": ids["database/creds/app-migrate"]}
    assert issued["issue_time"] < issued["expire_time"]
    privileges = closed.pop("privileges")
    assert re.fullmatch(r"PostgreSQL \d+\.\d+ in \d+ ms", privileges["measured_by"])
    assert (privileges["granted"]["level"], privileges["used"], privileges["excess"]) == ("ddl", None, [])
    owned = [each for each in privileges["granted"]["findings"] if each["code"] == "PG.TABLE.OWN"]
    assert [(each["subject"], each["via"], each["standing"]) for each in owned] == [
        ("app", "SET ROLE app_owner", "within")
    ]
    times = closed["lock"].pop("time"), closed["revoke"].pop("time"), closed["verified"].pop("time")
    assert [issued["issue_time"], closed["step"]["start"], closed["step"]["end"], *times] == sorted(
        [issued["issue_time"], closed["step"].pop("start"), closed["step"].pop("end"), *times]
    )
    assert {name: value for name, value in closed.items() if name not in common} == {
        "credential_uid": uid,
        "profile": "migrate",
        "step": {
            "name": "__run",
            "command_sha256": hashlib.sha256(b"\0".join(map(os.fsencode, command))).hexdigest(),
            "exit_code": 0,
        },
        "lock": {"status": "locked", "detail": "", "sessions_ended": 0},
        "revoke": {"method": "lease", "status": "revoked"},
        "verified": {
            "lookup": "gone",
            "db_login": "refused",
            "witness": "not_checked",
            "method": "lease lookup and refused logins",
        },
        "cancelled_by": None,
        "verdict": "proven dead",
    }
    checked = step("ledger", "verify")
    assert checked.returncode == 0, checked.stdout


def test_each_step_of_a_job_extends_the_same_chain(step: Step, config_file: Path) -> None:
    for profile in ("migrate", "verify"):
        run = step("exec", profile, "--", "true")
        assert run.returncode == 0, run.stderr
    issued = ["credential.requested", "credential.issued"]
    assert kinds(config_file) == [
        "chain.opened",
        *issued,
        "credential.left",
        "credential.closed",
        *issued,
        "credential.closed",
    ]
    assert len(list((config_file.parent / ".stepcreds").glob("*.jsonl"))) == 1
    assert step("ledger", "verify").returncode == 0


def test_a_migration_may_change_the_schema(step: Step) -> None:
    run = step("exec", "migrate", "--", sys.executable, "-c", LOGIN, *TRY)
    assert run.returncode == 0, run.stderr
    who, *changes = answers(run.stdout)
    # What a migration makes belongs to the owner from the start.
    assert normalised(str(who)) == "[['USER', 'app_owner']]"
    assert changes == [None, None]


def test_a_verification_may_only_read(step: Step) -> None:
    run = step("exec", "verify", "--", sys.executable, "-c", LOGIN, "SELECT count(*) FROM app.customers", *TRY)
    assert run.returncode == 0, run.stderr
    assert answers(run.stdout)[0] == [[200]]
    # 25006: read-only transaction; 42501: and without it, no privilege.
    assert answers(run.stdout)[2:] == ["25006", "25006"]
    unlocked = ("SET default_transaction_read_only = off", *TRY[1:])
    run = step("exec", "verify", "--", sys.executable, "-c", LOGIN, *unlocked)
    assert answers(run.stdout) == [None, "42501", "42P01"]


def test_quiet_keeps_to_problems(step: Step) -> None:
    run = step("exec", "-q", "verify", "--", "true")
    assert (run.returncode, said(run.stderr)) == (0, "")
