"""Legs of a matrix that share a ledger's folder: each has a chain of its own, and `revoke --all` ends its own alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from step_runs import STAYING, Running, of_kind, reported, reporting, said, until, verdicts

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

EU, US = (json.dumps({"region": region, "version": 14}) for region in ("eu", "us"))


def test_one_leg_leaves_the_other_its_credential(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    command = reporting(tmp_path / "report", STAYING)
    with Running(stack, config_file, "exec", "verify", "--", *command, STEPCREDS_MATRIX=EU) as other:
        user = reported(tmp_path / "report")["PGUSER"]
        assert step("exec", "migrate", "--", "true", STEPCREDS_MATRIX=US).returncode == 0
        run = step("revoke", "--all", STEPCREDS_MATRIX=US)
        assert (run.returncode, said(run.stderr)) == (
            0,
            "stepcreds: nothing to revoke: no credential is open in this ledger\n",
        )
        # In use, and still there: the password works, and the leg's step ends as it would have.
        assert user in stack.issued_roles()
        other.kill(other.process.pid, 15)
        ended = other.wait()
    assert (ended.returncode, user in stack.issued_roles()) == (143, False), ended.stderr
    files = sorted(path.name.rpartition("-")[0] for path in (config_file.parent / ".stepcreds").glob("*.jsonl"))
    assert files == ["9000000001-1-deploy-eu-14", "9000000001-1-deploy-us-14"]
    jobs = {(record["job"]["job"], record["job"]["matrix"]) for record in of_kind(config_file, "chain.opened")}
    assert jobs == {("deploy (eu, 14)", "eu, 14"), ("deploy (us, 14)", "us, 14")}
    assert verdicts(config_file) == ["proven dead", "proven dead"]
    shown = step("ledger", "show")
    assert "deploy (eu, 14)" in shown.stdout
    assert "deploy (us, 14)" in shown.stdout


def test_a_leg_that_was_killed_is_ended_by_its_own_end_of_job(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    command = reporting(tmp_path / "report", STAYING)
    with Running(stack, config_file, "exec", "verify", "--", *command, STEPCREDS_MATRIX=EU) as other:
        given = reported(tmp_path / "report")
        for pid in (other.worker, other.process.pid, int(given["own pid"])):
            other.kill(pid)
        other.wait()
    assert step("revoke", "--all", STEPCREDS_MATRIX=US).returncode == 0
    assert given["PGUSER"] in stack.issued_roles()
    assert step("revoke", "--all", STEPCREDS_MATRIX=EU).returncode == 0
    until(lambda: given["PGUSER"] not in stack.issued_roles(), "the user is gone")
    assert verdicts(config_file)[-1] == "proven dead"


def test_a_retry_has_a_chain_of_its_own(stack: Stack, step: Step, config_file: Path) -> None:
    assert step("exec", "verify", "--", "true").returncode == 0
    stack.issuer.claims["run_attempt"] = "2"
    try:
        assert step("exec", "verify", "--", "true").returncode == 0
    finally:
        stack.issuer.claims["run_attempt"] = "1"
    opened = of_kind(config_file, "chain.opened")
    assert [record["job"]["run_attempt"] for record in opened] == ["1", "2"]
    assert {(record["job"]["actor"], record["job"]["ref"]) for record in opened} == {("octocat", "refs/heads/main")}
