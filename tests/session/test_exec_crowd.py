"""Two hundred steps that begin at once: a database revokes one user at a time, and nobody may be forgotten in the queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from step_runs import Running, of_kind, token_is_gone

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.timeout(900)]

STEPS = 200


def test_two_hundred_steps_at_once(stack: Stack, step: Step, config_file: Path) -> None:
    assert int(stack.sql("SHOW max_connections")[0][0]) >= STEPS + 50
    crowd = [Running(stack, config_file, "exec", "verify", "--", "true") for _ in range(STEPS)]
    ended = [running.wait(600) for running in crowd]
    assert [run.returncode for run in ended] == [0] * STEPS, [run.stderr for run in ended if run.returncode][:3]
    assert stack.leases("database/creds/app-verify") == []
    assert not {role for role in stack.issued_roles() if "-app-verify-" in role}
    assert stack.sql("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'v-%'") == [[0]]
    closed = of_kind(config_file, "credential.closed")
    assert len(closed) == STEPS
    assert {record["verdict"] for record in closed} == {"proven dead"}
    assert all(
        token_is_gone(stack, record["token_accessor"]) for record in of_kind(config_file, "credential.requested")
    )
    checked = step("ledger", "verify")
    assert checked.returncode == 0, checked.stdout
