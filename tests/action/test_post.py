"""The end of a job: what is left is ended and proven dead, whatever later steps did to what lies about."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated_job import Job, Started, Use
from step_runs import audited, masked, normalised, refusal, root, until

from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

ENDED = "::group::stepcreds: what steps left\nstepcreds: {}: proven dead (lease lookup and a witness)\n::endgroup::\n"
WITH_RUNNER = (
    "stepcreds: warning: the ledger of this job ends with its runner, because nothing says where to copy it. Set "
    "ledger.push in stepcreds.yml: to artifact, to a folder, or to an object store\n"
)
BEGUN = "stepcreds_begun=true\n"
OVER = "stepcreds: the job is over, and nothing of it is alive\n"
CLOSED = "stepcreds: the job is over, and nothing of it is alive; CHAIN is closed\n"


@pytest.fixture
def job(stack: Stack, tmp_path: Path) -> Job:
    return Job(stack, tmp_path)


def plain(text: str) -> str:
    text = re.sub(r"9000000001-1-deploy-[0-9a-f]{12}(\.\d)?\.jsonl", "CHAIN", normalised(text))
    return re.sub(r"(?m)^::(warning|error).*\n", "", text)


def records(job: Job, kind: str = "") -> list[dict[str, Any]]:
    lines = [line for file in sorted(job.ledger.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if kind in ("", record["kind"])]


class Killed:
    """A step whose processes were all killed while its script ran: its credential lives."""

    def __init__(self, job: Job, report: Path, **inputs: str) -> None:
        script = f'echo "$PGUSER $PGPASSWORD $$" > {report}.part; mv {report}.part {report}; exec sleep 600'
        self.use = job.use(profile="migrate", run=script, **inputs)
        with Started(self.use) as step:
            until(report.exists, "the script runs")
            self.user, self.password, pid = report.read_text().split()
            step.kill_both()
            os.kill(int(pid), signal.SIGKILL)  # it holds the output, which is waited for


@pytest.fixture
def killed(job: Job, tmp_path: Path, stack: Stack) -> Iterator[Killed]:
    left = Killed(job, tmp_path / "report")
    assert refusal(stack, left.user, left.password) == ""
    yield left


def dead(stack: Stack, killed: Killed) -> bool:
    return refusal(stack, killed.user, killed.password) == "28P01" and killed.user not in stack.issued_roles()


def test_a_job_that_asked_for_nothing_needs_neither_identity_nor_vault(stack: Stack, job: Job) -> None:
    """As a pull request from a fork has it: stepcreds was only put on PATH."""
    job.variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": None, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": None}
    before = len(stack.audit())
    assert job.use().run().returncode == 0
    (end,) = job.ends()
    assert (end.returncode, end.stdout, end.stderr) == (0, "", OVER)
    assert audited(stack, before) == []
    assert not job.ledger.exists()
    # Nor a configuration, which the step did not need either.
    job.config.unlink()
    job.uses[0].files["STATE"].write_text(BEGUN)
    (end,) = job.ends()
    assert (end.returncode, end.stderr) == (0, OVER)


def test_several_uses_close_the_chain_once(stack: Stack, job: Job) -> None:
    job.use().run()
    assert job.use(profile="verify", run="true").run().returncode == 0
    assert job.use(profile="migrate", run="true").run().returncode == 0
    before = len(stack.audit())
    ends = job.ends()
    assert [(end.returncode, plain(end.stderr)) for end in ends] == [
        (0, WITH_RUNNER + CLOSED),
        (0, OVER),
        (0, OVER),
    ]
    assert audited(stack, before) == []
    assert [record["kind"] for record in records(job)].count("chain.closed") == 1
    assert records(job)[-1]["kind"] == "chain.closed"


def test_what_a_killed_step_left(stack: Stack, job: Job, killed: Killed) -> None:
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("migrate") + WITH_RUNNER + CLOSED), end.stderr
    assert dead(stack, killed)
    assert [record["verdict"] for record in records(job, "credential.closed")] == ["proven dead", "proven dead"]
    (again,) = job.ends()
    assert again.returncode == 0, again.stderr


def test_a_lease_that_is_gone_already_is_no_error(stack: Stack, job: Job, killed: Killed) -> None:
    (issued,) = records(job, "credential.issued")
    assert root(stack, "POST", "sys/leases/revoke", lease_id=issued["lease_id"], sync=True) == 204
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("migrate") + WITH_RUNNER + CLOSED)


@pytest.mark.parametrize("rule", ["", "warn"])
def test_no_proof_fails_the_job_unless_it_is_to_warn(stack: Stack, job: Job, tmp_path: Path, rule: str) -> None:
    """The role is there again: Vault says that the lease is gone, and the witness sees it."""
    killed = Killed(job, tmp_path / "report", **({"on_revoke_failure": rule} if rule else {}))
    (issued,) = records(job, "credential.issued")
    assert root(stack, "POST", "sys/leases/revoke", lease_id=issued["lease_id"], sync=True) == 204
    stack.sql(f'CREATE ROLE "{killed.user}" LOGIN')
    try:
        (end,) = job.ends()
    finally:
        stack.sql(f'DROP ROLE "{killed.user}"')
    what = "The credential of profile migrate is not proven dead: revoked, not proven\n"
    rest = (
        "Proof: 1 role(s) and 0 session(s) of that name\n",
        "Vault has no lease of it any more, and will not end it: the database lost its end in a crash, or somebody made it "
        "anew. Drop the user USER there, and then have that proven:\n",
        "stepcreds revoke --as-operator --lease database/creds/app-migrate/LEASE\n",
    )
    if rule:
        assert (end.returncode, plain(end.stderr)) == (
            0,
            f"stepcreds: warning: {what}    {rest[0]}    {rest[1]}      {rest[2]}",
        )
    else:
        assert (end.returncode, plain(end.stderr)) == (
            1,
            f"stepcreds: error: {what}  cause: {rest[0]}  fix: {rest[1]}      {rest[2]}"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n",
        )
    assert "chain.closed" not in [record["kind"] for record in records(job)]
    (again,) = job.ends()
    assert again.returncode == 0, again.stderr


def test_a_configuration_that_a_later_step_changed(stack: Stack, job: Job, killed: Killed) -> None:
    """It may name another Vault now, which would say whatever is wanted of it."""
    job.config.write_text(job.config.read_text().replace(stack.address, "http://127.0.0.1:9"))
    (end,) = job.ends()
    changed = (
        f"stepcreds: warning: {job.config} has changed since the step that got the credential: the end of the job goes "
        "by what it said then\n"
    )
    assert (end.returncode, plain(end.stderr)) == (0, changed + ENDED.format("migrate") + WITH_RUNNER + CLOSED)
    assert dead(stack, killed)


def test_a_workspace_that_is_gone(stack: Stack, job: Job, killed: Killed) -> None:
    job.config.unlink()
    job.workspace.rmdir()
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("migrate") + WITH_RUNNER + CLOSED)
    assert dead(stack, killed)


def test_without_any_configuration_what_is_left_is_named(stack: Stack, job: Job, killed: Killed) -> None:
    """As in a job whose steps use `shell: stepcreds exec --config …`: the runner was not told which."""
    text = job.config.read_text()
    job.config.unlink()
    state = killed.use.files["STATE"].read_text()
    killed.use.files["STATE"].write_text(BEGUN)
    (end,) = job.ends()
    assert end.returncode == 1
    assert plain(end.stderr) == (
        "stepcreds: error: 1 problem in the configuration\n"
        f"{job.workspace}: there is no stepcreds.yml here, nor above in this repository\n"
        "  fix: stepcreds init writes a first one; or name yours with --config or STEPCREDS_CONFIG.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
        "stepcreds: error: The credential of profile migrate is not proven dead: expires at TIME\n"
        "  fix: The lease is database/creds/app-migrate/LEASE; it expires at TIME. End it and prove it, with a Vault token "
        "of your own:\n"
        "      stepcreds revoke --as-operator --lease database/creds/app-migrate/LEASE\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    job.config.write_text(text)
    killed.use.files["STATE"].write_text(state)
    assert job.ends()[0].returncode == 0


def test_a_ledger_that_a_later_step_removed(stack: Stack, job: Job, killed: Killed) -> None:
    """The runner remembers what the step held; what other steps held, nobody does."""
    (chain,) = job.ledger.glob("*.jsonl")
    chain.unlink()
    (end,) = job.ends()
    assert dead(stack, killed)
    assert end.returncode == 1
    gone = (
        "stepcreds: error: The ledger that this job's steps wrote is not there any more\n"
        "  cause: There is another chain in its file. Something removed or replaced it after the step.\n"
        "  fix: What this step itself held is ended. Whether a step with `shell: stepcreds exec …` left something, only "
        "Vault's audit log can tell. Set ledger.path to a folder that no step cleans, and ledger.push.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#altered-ledger\n"
    )
    assert plain(end.stderr) == ENDED.format("migrate") + gone + WITH_RUNNER


def test_a_ledger_that_is_gone_though_nothing_is_left(job: Job) -> None:
    assert job.use(profile="verify", run="true").run().returncode == 0
    (chain,) = job.ledger.glob("*.jsonl")
    chain.unlink()
    (end,) = job.ends()
    assert end.returncode == 1
    assert plain(end.stderr).startswith(
        "stepcreds: error: The ledger that this job's steps wrote is not there any more\n"
        f"  cause: The ledger cannot use {job.ledger}/CHAIN: it is gone. Something removed or replaced it after the step.\n"
    )


@pytest.mark.parametrize("rule", ["warn", "fail"])
def test_the_ledger_is_copied_and_what_becomes_of_a_failure(stack: Stack, tmp_path: Path, rule: str) -> None:
    job = Job(stack, tmp_path, more_config=f"ledger:\n  push: ../kept\n  on_push_failure: {rule}\n")
    kept = tmp_path / "kept"
    for _ in range(2):
        assert job.use(profile="verify", run="true").run().returncode == 0
    ends = job.ends()
    (copy,) = kept.iterdir()
    over = CLOSED.removesuffix("\n") + f"; copied to {kept}/CHAIN\n"
    assert [(end.returncode, plain(end.stderr)) for end in ends] == [(0, over), (0, OVER)]
    assert copy.read_bytes() == next(job.ledger.glob("*.jsonl")).read_bytes()
    # A place that cannot be written to.
    copy.unlink()
    kept.rmdir()
    kept.write_text("a file")
    assert job.use(profile="verify", run="true").run().returncode == 0
    end = job.uses[-1].run("post")
    lost = "The ledger CHAIN could not be copied to its place: The ledger cannot use "
    assert (end.returncode, lost in plain(end.stderr)) == (1 if rule == "fail" else 0, True), end.stderr
    assert len(list(job.ledger.glob("*.jsonl"))) == 2


def test_a_ledger_in_which_a_later_step_wrote_that_it_is_dead(stack: Stack, job: Job) -> None:
    """Linked as it should be: nothing in the file tells. Vault does."""
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    user, password = use.outputs["username"], use.outputs["password"]
    _forge(job)
    (end,) = job.ends()
    assert refusal(stack, user, password) == "28P01"
    assert end.returncode == 1
    assert plain(end.stderr) == (
        ENDED.format("verify")
        + "stepcreds: error: The ledger says that the credential of profile verify was dead, and Vault still had its "
        "lease database/creds/app-verify/LEASE\n"
        "  cause: Something other than stepcreds has written to the ledger, or something put the lease back.\n"
        "  fix: The credential is dead now. Look at the steps between, and keep the ledger as evidence.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#altered-ledger\n"
    )


def _forge(job: Job) -> None:
    from stepcreds.clock import SystemClock
    from stepcreds.ledger.journal import Journal
    from stepcreds.ledger.record import Event

    (chain,) = job.ledger.glob("*.jsonl")
    (requested,) = records(job, "credential.requested")
    closed = {
        "credential_uid": requested["credential_uid"],
        "profile": "verify",
        "revoke": {"time": requested["time"], "method": "lease", "status": "revoked"},
        "verified": {"time": requested["time"]},
        "verdict": "proven dead",
    }
    Journal.at(chain, clock=SystemClock()).append(Event("credential.closed", requested["step_uid"], closed))


def test_a_line_that_a_later_step_changed(stack: Stack, job: Job) -> None:
    assert job.use(profile="verify", run="true").run().returncode == 0
    (chain,) = job.ledger.glob("*.jsonl")
    chain.write_text(chain.read_text().replace('"access":"read-only"', '"access":"ddl"'))
    (end,) = job.ends()
    assert end.returncode == 1
    assert "stepcreds: error: The ledger of this job was altered\n  cause: CHAIN:3: chain/prev: " in plain(end.stderr)


def test_a_state_that_is_none(stack: Stack, job: Job, killed: Killed) -> None:
    state = killed.use.files["STATE"]
    state.write_text(
        f"{BEGUN}stepcreds_config={{\nstepcreds_vault={{\nstepcreds_file_0=1\nstepcreds_ledger=[]\n"
        "stepcreds_credential_1=7\nstepcreds_credential_2=null\nother=\n"
    )
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("migrate") + WITH_RUNNER + CLOSED)


def test_handed_out_and_not_ended_by_any_step(stack: Stack, job: Job, tmp_path: Path) -> None:
    use = job.use(profile="verify", outputs="true")
    run = use.run()
    password = use.outputs["password"]
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("verify") + WITH_RUNNER + CLOSED)
    assert use.outputs == {}
    assert password in "".join(masked(run.stderr))
    left = [path for path in tmp_path.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert left == []


def test_no_identity_at_the_end(stack: Stack, job: Job, killed: Killed) -> None:
    job.variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": None}
    (end,) = job.ends()
    assert end.returncode == 1
    assert "stepcreds: error: GitHub Actions gives this job no ID token\n" in end.stderr
    assert "stepcreds: error: The credential of profile migrate is not proven dead: expires at " in end.stderr
    job.variables = {}
    assert job.ends()[0].returncode == 0
    assert dead(stack, killed)


def test_what_the_profile_says_counts_where_the_input_is_not_given(stack: Stack, tmp_path: Path) -> None:
    job = Job(stack, tmp_path)
    job.config.write_text(
        job.config.read_text().replace("    access: ddl\n", "    access: ddl\n    on_revoke_failure: warn\n")
    )
    killed = Killed(job, tmp_path / "report")
    job.variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": None}
    (end,) = job.ends()
    assert end.returncode == 0, end.stderr
    assert "stepcreds: warning: The credential of profile migrate is not proven dead: expires at " in end.stderr
    assert isinstance(killed.use, Use)
    job.variables = {}
    assert job.ends()[0].returncode == 0
