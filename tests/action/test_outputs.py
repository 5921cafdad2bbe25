"""`outputs: true`: what is handed out and for how long, and everything that ends it; the runner's part is played here."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from simulated_job import Job, Started
from step_runs import MASK, masked, normalised, refusal, root, said, token_is_gone, until

from faulty_vault import Fault, FaultyVault
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

WARNING = (
    "as an output the credential lives on when this step ends, and any later step of the job can name it. A step with "
    "run: has it for its own process tree alone, and proves it dead before the next one begins; so does "
    "`shell: stepcreds exec …`"
)
ISSUED = (
    "stepcreds: {0}: issued database/creds/app-{0} as USER, handed out as outputs; measured {1} in N ms; ends at TIME, "
    "or with the next use of stepcreds in this job, whichever is first\n"
)
ENDED = "::group::stepcreds: what steps left\nstepcreds: {}: proven dead (lease lookup and a witness)\n::endgroup::\n"


@pytest.fixture
def job(stack: Stack, tmp_path: Path) -> Job:
    return Job(stack, tmp_path)


def plain(text: str) -> str:
    """What is said for people, and folds; annotations repeat it."""
    return re.sub(r"(?m)^::(warning|error).*\n", "", normalised(text))


def records(job: Job, kind: str = "") -> list[dict[str, Any]]:
    lines = [line for file in sorted(job.ledger.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if kind in ("", record["kind"])]


def holders(folder: Path, value: str) -> list[str]:
    """The files below `folder` that hold `value`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in files if value.encode() in path.read_bytes())


def test_handed_out_masked_and_ended_by_the_next_use(stack: Stack, job: Job, tmp_path: Path) -> None:
    first = job.use(profile="migrate", outputs="true", reason="the vendor's action")
    run = first.run()
    assert run.returncode == 0, run.stderr
    outputs = first.outputs
    assert sorted(outputs) == ["database", "expires-at", "host", "password", "port", "url", "username"]
    assert refusal(stack, outputs["username"], outputs["password"]) == ""
    assert outputs["url"].startswith(f"postgresql://{outputs['username']}:{outputs['password']}@127.0.0.1:")
    # The masks come before everything else; the rest is for people.
    lines = run.stderr.splitlines()
    count = len(masked(run.stderr))
    assert all(line.startswith(MASK) for line in lines[:count])
    assert {outputs["password"], outputs["url"]} <= set(masked(run.stderr))
    assert plain(run.stderr) == ISSUED.format("migrate", "ddl") + f"stepcreds: warning: {WARNING}\n"
    assert outputs["password"] not in said(run.stderr) + run.stdout
    assert holders(tmp_path, outputs["password"]) == ["_temp/_runner_file_commands/output_1"]
    requested, issued = records(job, "credential.requested")[0], records(job, "credential.issued")[0]
    assert (requested["delivery"], requested["declared"]["reason"]) == ("outputs", "the vendor's action")
    assert issued["expire_time"] == outputs["expires-at"]
    row = first.files["STEP_SUMMARY"].read_text().splitlines()[-1]
    assert re.fullmatch(
        r"\| migrate \| ddl in app \| measured ddl in \d+ ms \| 1800 s \| at most 1800\.\d s \| no\\: expires at \S+ \| \S+, seq 2, unsigned \|",
        row,
    ), row
    (kept,) = [value for name, value in first.state.items() if name.startswith("stepcreds_credential_")]
    assert json.loads(kept)["lease_id"] == issued["lease_id"]

    run = (second := job.use(profile="verify", run="echo second")).run()
    assert (run.returncode, run.stdout) == (0, "second\n"), run.stderr
    assert plain(run.stderr).startswith(ENDED.format("migrate"))
    assert second.outputs == {}
    assert refusal(stack, outputs["username"], outputs["password"]) == "28P01"
    assert token_is_gone(stack, requested["token_accessor"])
    assert holders(tmp_path, outputs["password"]) == []
    assert first.files["OUTPUT"].read_bytes() == b""
    assert list((job.temporary / "stepcreds-outputs").iterdir()) == []
    witness = records(job, "credential.requested")[1]
    assert (witness["profile"], witness["delivery"]) == ("verify", "witness")


def test_what_was_measured_is_on_record_before_anybody_has_it(job: Job) -> None:
    """Who ends it is another process, and repeats what stands there."""
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    assert [record["kind"] for record in records(job)] == [
        "chain.opened",
        "credential.requested",
        "credential.issued",
        "credential.measured",
    ]
    (measured,) = records(job, "credential.measured")
    assert (measured["privileges"]["granted"]["level"], measured["privileges"]["excess"]) == ("read", [])
    assert [run.returncode for run in job.ends()] == [0]
    closed = {record["credential_uid"]: record for record in records(job, "credential.closed")}
    assert closed[measured["credential_uid"]]["privileges"] == measured["privileges"]


def test_what_can_do_more_than_it_declares_is_not_handed_out(stack: Stack, job: Job) -> None:
    document = yaml.safe_load(job.config.read_text())
    document["profiles"]["migrate"]["access"] = "read-only"
    job.config.write_text(yaml.safe_dump(document))
    use = job.use(profile="migrate", outputs="true")
    run = use.run()
    assert (run.returncode, use.outputs) == (125, {})
    assert masked(run.stderr) == []
    assert plain(run.stderr).startswith(
        "stepcreds: migrate: proven dead (lease lookup and refused logins)\n"
        "stepcreds: error: The credential of profile migrate is declared read-only in app, and can do more (ddl): it can "
        "drop the schema app with all that is in it, and open it to others, via SET ROLE app_owner\n"
    )
    (closed,) = records(job, "credential.closed")
    assert (closed["verdict"], closed["privileges"]["excess"][0]) == ("proven dead", "PG.SCHEMA.OWN app")
    assert (
        "| migrate | read-only in app | measured ddl, 6 beyond the profile in " in use.files["STEP_SUMMARY"].read_text()
    )
    assert "stepcreds_credential_" not in " ".join(name for name, value in use.state.items() if value != "null")


def test_it_lasts_max_ttl_lease_and_token(stack: Stack, job: Job) -> None:
    """Both are renewed once, so that ordinary roles will do."""
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    (issued,) = records(job, "credential.issued")
    (requested,) = records(job, "credential.requested")
    with stack.client() as client:
        lease = client.write_data("sys/leases/lookup", data={"lease_id": issued["lease_id"]})["data"]["ttl"]
        token = client.auth.token.lookup_accessor(requested["token_accessor"])["data"]["ttl"]
    assert 590 <= lease <= 600
    assert 590 <= token <= 601
    assert [run.returncode for run in job.ends()] == [0]


def test_a_role_that_does_not_let_it_last_is_refused(stack: Stack, job: Job) -> None:
    """The message names the expiry, and what was issued is dead."""
    with stack.client() as client:
        path = "database/roles/app-verify"
        role = client.read(path)["data"]
        client.write_data(path, data={**role, "max_ttl": 120})
        try:
            use = job.use(profile="verify", outputs="true")
            run = use.run()
        finally:
            client.write_data(path, data=role)
    assert run.returncode == 125
    assert use.outputs == {}
    # OpenBao counts whole seconds from the issue on, and one may have passed.
    assert plain(run.stderr).replace("after 119 s.", "after 120 s.") == (
        "stepcreds: error: The credential of profile verify would end at TIME, and as an output it has to last its "
        "max_ttl of 10m, until TIME\n"
        "  cause: No process lives that could renew it, so Vault has to let it last from the start; the lease ends "
        "after 120 s.\n"
        "  fix: Where setup made the roles: stepcreds setup apply\n"
        "    Else give the profile roles of its own in Vault, and let these last:\n"
        "      database/roles/app-verify: default_ttl=600s max_ttl=600s\n"
        "    Or lower profiles.verify.max_ttl to what they allow; or use run: or shell:, which need neither.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#outputs-ttl\n"
    )
    assert [record["verdict"] for record in records(job, "credential.closed")] == ["proven dead"]
    assert "stepcreds_credential_" not in " ".join(name for name, value in use.state.items() if value != "null")


def test_a_role_whose_token_does_not_last_is_refused(stack: Stack, job: Job) -> None:
    """The message names what `stepcreds setup` makes for it."""
    with stack.client() as client:
        path = "auth/jwt/role/app-verify"
        role = client.read(path)["data"]
        client.write_data(path, data={**role, "token_ttl": 60, "token_max_ttl": 240})
        try:
            run = job.use(profile="verify", outputs="true").run()
        finally:
            client.write_data(path, data=role)
    assert run.returncode == 125
    assert plain(run.stderr).partition("  fix: ")[2] == (
        "Where setup made the roles: stepcreds setup apply --outputs verify, and then in the profile role: "
        "app-verify-outputs\n"
        "    Else give the profile roles of its own in Vault, and let these last:\n"
        "      auth/<mount>/role/app-verify: token_ttl=600s token_max_ttl=600s\n"
        "    Or lower profiles.verify.max_ttl to what they allow; or use run: or shell:, which need neither.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#outputs-ttl\n"
    )


def test_two_profiles_in_one_step(stack: Stack, job: Job) -> None:
    use = job.use(profile="migrate", also="verify", outputs="true")
    assert use.run().returncode == 0
    outputs = use.outputs
    assert refusal(stack, outputs["username"], outputs["password"]) == ""
    assert refusal(stack, outputs["verify-username"], outputs["verify-password"]) == ""
    assert len(outputs) == 14
    run = job.use(revoke="verify").run()
    assert (run.returncode, plain(run.stderr)) == (0, ENDED.format("verify"))
    assert refusal(stack, outputs["verify-username"], outputs["verify-password"]) == "28P01"
    assert refusal(stack, outputs["username"], outputs["password"]) == ""
    # The file of the runner is emptied when nothing in it is alive any more.
    assert use.outputs == outputs
    run = job.use(revoke="all").run()
    assert (run.returncode, plain(run.stderr)) == (0, ENDED.format("migrate"))
    assert use.outputs == {}
    assert stack.issued_roles() & {outputs["username"], outputs["verify-username"]} == set()


def test_revoke_of_nothing_and_of_what_there_is_not(job: Job) -> None:
    run = job.use(revoke="all").run()
    assert (run.returncode, run.stderr) == (
        0,
        "stepcreds: nothing to revoke: no credential is handed out in this job\n",
    )
    run = job.use(revoke="migrat").run()
    assert run.returncode == 125
    assert plain(run.stderr) == (
        f"stepcreds: error: There is no profile migrat in {job.config}\n"
        "  fix: The profiles there are: migrate, verify.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )


def test_a_use_that_only_installs_ends_it_too(stack: Stack, job: Job) -> None:
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    user = use.outputs["username"]
    run = job.use().run()
    assert (run.returncode, plain(run.stderr)) == (0, ENDED.format("verify"))
    assert user not in stack.issued_roles()


def test_without_masks_nothing_is_handed_out(stack: Stack, job: Job, tmp_path: Path) -> None:
    """Somebody sends what we print to a file: the runner would not know what to hide."""
    use = job.use(profile="verify", outputs="true")
    with (tmp_path / "log").open("w") as log:
        process = use.start()
        process.communicate()
        run = subprocess.run(process.args, env=_environment(use), stderr=log, stdout=log, check=False, timeout=120)
    text = (tmp_path / "log").read_text()
    assert run.returncode == 125
    assert "stepcreds: error: The CI's runner cannot be told to mask these values, so they are not handed out\n" in text
    assert MASK not in text
    assert [record["verdict"] for record in records(job, "credential.closed")][-1] == "proven dead"
    assert job.ends()[0].returncode == 0


def _environment(use: Any) -> dict[str, str]:
    merged = {
        **use.job.environment(),
        **{f"GITHUB_{name}": str(file) for name, file in use.files.items()},
        "INPUT_PROFILE": "verify",
        "INPUT_OUTPUTS": "true",
    }
    return {name: value for name, value in merged.items() if value is not None}


def test_the_files_of_the_runner_cannot_be_written(stack: Stack, job: Job) -> None:
    use = job.use(profile="verify", outputs="true")
    use.files["OUTPUT"].unlink()
    use.files["OUTPUT"].mkdir()
    run = use.run()
    assert run.returncode == 125
    assert plain(run.stderr).endswith(
        "stepcreds: error: The outputs cannot be written to the runner's file (GITHUB_OUTPUT): Is a directory\n"
        "  cause: The file is the runner's own.\n"
        "  fix: Check the space on its disk.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#outputs\n"
        "stepcreds: verify: proven dead (lease lookup and refused logins)\n"
    )
    run = job.use(profile="verify", outputs="true").run(GITHUB_OUTPUT=None)
    assert run.returncode == 125
    assert plain(run.stderr) == (
        "stepcreds: error: GitHub Actions hands no outputs to later steps here\n"
        "  cause: GITHUB_OUTPUT is not set, which a runner sets for every step.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#outputs\n"
    )


@pytest.fixture
def faulty(stack: Stack, job: Job) -> Iterator[FaultyVault]:
    """A Vault that hangs where it is told to; the ends of the job then find it well."""
    with FaultyVault(stack.address) as vault:
        job.config.write_text(job.config.read_text().replace(f"address: {stack.address}", f"address: {vault.address}"))
        yield vault


@pytest.mark.parametrize(
    ("stage", "whom"),
    [
        ("probe", "both"),
        ("issue", "both"),
        ("renew", "both"),
        ("issue", "worker"),
        ("renew", "worker"),
        ("renew", "front"),
    ],
)
def test_killed_at_any_request_nothing_is_alive_in_the_end(
    stack: Stack, job: Job, faulty: FaultyVault, stage: str, whom: str
) -> None:
    """After OpenBao has done it, and before anybody here knows."""
    before = tokens(stack)
    use = job.use(profile="verify", outputs="true")
    rule = faulty.fail(stage, Fault("hang", after=True))
    with Started(use) as step:
        assert rule.arrived.wait(60)
        if whom == "both":
            step.kill_both()
        else:
            worker = step.worker
            step.process.kill() if whom == "front" else subprocess.run(["kill", "-KILL", str(worker)], check=True)
            step.process.wait(timeout=60)
            until(lambda: not _runs(worker), "the worker has ended")
        code = step.process.returncode
    assert code == (-signal.SIGKILL if whom != "worker" else 125)
    assert use.outputs == {}
    (end,) = job.ends()
    if whom == "both":  # Vault ends what hangs on a token a moment after it has revoked that
        until(lambda: not stack.issued_roles() & set(_users(faulty)), "its users are gone")
    assert stack.issued_roles() & set(_users(faulty)) == set(), end.stderr
    # What nobody has heard of is revoked by the accessor of its token, and then there is nothing to prove it by.
    unknown = stage == "issue" and whom == "both"
    assert end.returncode == (1 if unknown else 0), end.stderr
    assert tokens(stack) - before == set()


def tokens(stack: Stack) -> set[str]:
    """The accessors of all tokens that OpenBao knows."""
    with stack.client() as client:
        return set(client.list("auth/token/accessors")["data"]["keys"])


def _users(vault: FaultyVault) -> list[str]:
    return list(vault.issued.values())


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_cancelled_before_it_is_handed_out(stack: Stack, job: Job, faulty: FaultyVault) -> None:
    use = job.use(profile="verify", outputs="true")
    rule = faulty.fail("renew", Fault("hang", after=True))
    with Started(use) as step:
        assert rule.arrived.wait(60)
        step.process.send_signal(signal.SIGINT)
        assert step.process.wait(timeout=60) == 125
    assert use.outputs == {}
    assert stack.issued_roles() & set(_users(faulty)) == set()
    assert [record["verdict"] for record in records(job, "credential.closed")] == ["proven dead"]


def test_what_somebody_put_in_the_place_of_the_note(stack: Stack, job: Job, tmp_path: Path) -> None:
    """A later step that rewrites the note has us empty no file of its choosing."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    notes = job.temporary / "stepcreds-outputs"
    (note,) = notes.iterdir()
    note.write_text(str(precious))
    (notes / "link").symlink_to(precious)
    (job.temporary / "hard").hardlink_to(precious)
    (notes / "hard").write_text(str(job.temporary / "hard"))
    (job.temporary / "soft").symlink_to(precious)
    (notes / "soft").write_text(str(job.temporary / "soft"))
    assert job.use(revoke="all").run().returncode == 0
    assert precious.read_text() == "precious"
    assert root(stack, "LIST", "sys/leases/lookup/database/creds/app-verify") == 404


@pytest.mark.parametrize("rule", ["fail", "warn"])
def test_a_next_use_that_cannot_end_it_gets_nothing_itself(stack: Stack, job: Job, rule: str) -> None:
    text = job.config.read_text()
    job.config.write_text(
        text.replace("    access: read-only\n", f"    access: read-only\n    on_revoke_failure: {rule}\n")
    )
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    (issued,) = records(job, "credential.issued")
    assert root(stack, "POST", "sys/leases/revoke", lease_id=issued["lease_id"], sync=True) == 204
    stack.sql(f'CREATE ROLE "{issued["db_user"]}" LOGIN')
    try:
        run = job.use(profile="migrate", run="echo ran").run()
    finally:
        stack.sql(f'DROP ROLE "{issued["db_user"]}"')
    what = "The credential of profile verify is not proven dead: revoked, not proven\n"
    assert plain(run.stderr).startswith(f"stepcreds: {'error' if rule == 'fail' else 'warning'}: {what}")
    assert (run.returncode, run.stdout) == ((125, "") if rule == "fail" else (0, "ran\n"))
    # What is not proven dead stays on the list, and the end of the job tries again.
    assert len(list((job.temporary / "stepcreds-outputs").iterdir())) == 1
    assert [end.returncode for end in job.ends()] == [0, 0]
    assert list((job.temporary / "stepcreds-outputs").iterdir()) == []


def test_revoke_as_a_command_empties_the_file_too(stack: Stack, job: Job) -> None:
    use = job.use(profile="verify", outputs="true")
    assert use.run().returncode == 0
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "revoke", "--all"],
        cwd=job.workspace,
        env={name: value for name, value in job.environment().items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert use.outputs == {}
    assert job.ends()[0].returncode == 0
