"""Checkpoints that a real Transit engine signs: when, over what, and what becomes of a step that gets none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from step_runs import (
    STAYING,
    Running,
    audited,
    kinds,
    normalised,
    of_kind,
    reconfigure,
    refusal,
    reported,
    reporting,
    token_is_gone,
    until,
    verdicts,
)

from conftest import Step
from faulty_vault import Fault, FaultyVault
from signatures import OURS, checkpoints
from stepcreds.devstack.stack import Stack
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.setup import vault

pytestmark = pytest.mark.usefixtures("alone")

ISSUED = "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
ENDED = "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"
DEAD = "stepcreds: verify: proven dead (lease lookup and refused logins)\n"
SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#"


def signed_of(stack: Stack, config_file: Path) -> list[Checkpoint]:
    """The checkpoints of the one chain beside `config_file`; each is good."""
    (chain,) = (config_file.parent / ".stepcreds").glob("*.jsonl")
    return checkpoints(stack, chain)


def covered(stack: Stack, config_file: Path) -> list[str]:
    """The kind of the last record under each checkpoint."""
    return [kinds(config_file)[each.size - 1] for each in signed_of(stack, config_file)]


def test_a_step_is_signed_when_it_is_issued_and_when_it_is_closed(stack: Stack, step: Step, signed: Path) -> None:
    run = step("exec", "verify", "--", "true")
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + ENDED)
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]
    first, last = signed_of(stack, signed)
    opened = of_kind(signed, "chain.opened")[0]
    assert (first.chain_uid, first.repository_id, first.run_id, first.run_attempt) == (
        opened["chain_uid"],
        "71717171",
        "9000000001",
        "1",
    )
    assert of_kind(signed, "credential.issued")[0]["time"] <= first.time <= last.time
    assert opened["trust"]["key"] == OURS
    # The key is there for signing alone, and only before the token is given back.
    assert token_is_gone(stack, of_kind(signed, "credential.requested")[0]["token_accessor"])
    assert step("ledger", "verify").returncode == 0


def test_the_audit_log_shows_what_was_signed_and_for_which_step(stack: Stack, step: Step, signed: Path) -> None:
    before = len(stack.audit())
    assert step("exec", "verify", "--", "true").returncode == 0
    asked = [
        entry["request"]
        for entry in stack.audit()[before:]
        if entry["type"] == "request" and "/sign/" in entry["request"]["path"]
    ]
    payloads = [json.loads(decoded(each["data"]["input"]).partition(b"{")[2].join([b"{", b""])) for each in asked]
    assert payloads == [{"schema": "stepcreds.checkpoint/1", **each._asdict()} for each in signed_of(stack, signed)]
    steps = {uid for each in asked for uid in each["headers"]["x-stepcreds-step"]}
    assert steps == {of_kind(signed, "credential.requested")[0]["step_uid"]}


def decoded(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


def test_two_credentials_of_a_step(stack: Stack, step: Step, signed: Path) -> None:
    reconfigure(signed, lambda document: document["profiles"]["migrate"].update(env={"ADMIN_URL": "{url}"}))
    run = step("exec", "verify", "--also", "migrate", "--", "true")
    assert run.returncode == 0, run.stderr
    assert covered(stack, signed) == ["credential.issued"] * 2 + ["credential.closed"] * 2
    assert signed_of(stack, signed)[-1].size == len(kinds(signed))


def test_a_refused_request_is_signed_as_closed(stack: Stack, step: Step, signed: Path) -> None:
    reconfigure(signed, lambda document: document["profiles"]["verify"].update(creds="database/creds/app-migrate"))
    run = step("exec", "verify", "--", "true")
    assert run.returncode == 125
    assert kinds(signed)[-1] == "credential.closed"
    assert verdicts(signed) == ["not issued"]


def test_what_a_refused_issue_leaves_on_record_is_signed(stack: Stack, step: Step, signed: Path) -> None:
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("issue", Fault(status=400))
        run = step("exec", "verify", "--", "true", STEPCREDS_VAULT_ADDR=faulty.address)
    assert run.returncode == 125
    assert kinds(signed) == ["chain.opened", "credential.requested", "credential.closed"]
    assert verdicts(signed) == ["not issued"]
    assert [each.size for each in signed_of(stack, signed)] == [3]


def through(config_file: Path, faulty: FaultyVault) -> None:
    """The tokens are still meant for OpenBao itself."""

    def change(document: dict[str, Any]) -> None:
        document["vault"]["auth"]["audience"] = document["vault"]["address"]
        document["vault"]["address"] = faulty.address

    reconfigure(config_file, change)


def test_the_front_signs_what_a_killed_worker_left(stack: Stack, signed: Path, tmp_path: Path) -> None:
    with Running(stack, signed, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        reported(tmp_path / "report")
        running.kill(running.worker)
        assert running.wait().returncode == 137
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]
    assert verdicts(signed) == ["proven dead"]


def test_the_worker_signs_when_the_front_was_killed(stack: Stack, signed: Path, tmp_path: Path) -> None:
    with Running(stack, signed, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        given = reported(tmp_path / "report")
        running.kill(running.process.pid)
        running.wait()
    until(lambda: token_is_gone(stack, of_kind(signed, "credential.requested")[0]["token_accessor"]), "the end")
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]


def test_a_worker_killed_between_its_last_record_and_its_signature(stack: Stack, signed: Path, tmp_path: Path) -> None:
    """The front has the token, and signs what the ledger says."""
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault("pass"))
        second = faulty.fail("sign", Fault("hang"))
        command = ("exec", "verify", "--", "true")
        with Running(stack, signed, *command, STEPCREDS_VAULT_ADDR=faulty.address) as running:
            assert second.arrived.wait(60)
            running.kill(running.worker)
            run = running.wait()
    assert run.returncode == 137
    assert kinds(signed)[-1] == "credential.closed"
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]


def test_revoke_signs_the_ends_that_it_proves(stack: Stack, step: Step, signed: Path, tmp_path: Path) -> None:
    with Running(stack, signed, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        given = reported(tmp_path / "report")
        worker = running.worker
        for pid in (worker, running.process.pid):
            running.kill(pid, 19)  # SIGSTOP: or the first would end the tree before the second is killed
        for pid in (worker, running.process.pid):
            running.kill(pid)
        running.kill(int(given["own pid"]))
        running.wait()
    assert covered(stack, signed) == ["credential.issued"]
    run = step("revoke")
    assert run.returncode == 0, run.stderr
    ends = [kinds(signed)[each.size - 1] for each in signed_of(stack, signed)]
    # Of the witness, too; of what was left last.
    assert ends.count("credential.closed") == 2
    assert verdicts(signed) == ["proven dead", "proven dead"]
    assert max(each.size for each in signed_of(stack, signed)) == len(kinds(signed))


def test_what_the_command_left_is_under_the_last_checkpoint(
    stack: Stack, step: Step, signed: Path, tmp_path: Path
) -> None:
    """In the database, and in the files that the runner reads: known before the token is given back."""
    environment = tmp_path / "GITHUB_ENV"
    environment.touch()
    script = 'psql -qc "CREATE TABLE app.a_left_table ()"; echo "A_PASSWORD=$PGPASSWORD" >> "$GITHUB_ENV"'
    run = step("exec", "migrate", "--", "sh", "-c", script, GITHUB_ENV=str(environment), PATH=with_psql(stack))
    stack.sql("DROP TABLE app.a_left_table")
    assert run.returncode == 1, run.stderr
    assert kinds(signed)[3:] == ["credential.left", "credential.leaked", "credential.closed"]
    assert signed_of(stack, signed)[-1].size == 6
    assert step("ledger", "verify").returncode == 0


def with_psql(stack: Stack) -> str:
    from stepcreds.devstack import installed

    return f"{installed.psql().parent}:{stack.environment()['PATH']}"


def test_a_leak_that_the_scan_finds_comes_after_the_last_checkpoint(stack: Stack, step: Step, signed: Path) -> None:
    run = step("exec", "verify", "--", "sh", "-c", 'echo "$PGPASSWORD" > left.txt', GITHUB_WORKSPACE=str(signed.parent))
    assert run.returncode == 0, run.stderr
    assert kinds(signed)[3:] == ["credential.closed", "credential.leaked"]
    assert signed_of(stack, signed)[-1].size == 4


# The policy without the key; then keys that cannot sign.
REFUSED = """\
The ledger is not signed: Vault at http://HOST answered 403 to POST transit/sign/stepcreds-71717171: permission denied
{indent}The token's policy does not allow transit/sign/stepcreds-71717171.
{fix}Let `stepcreds setup` write policy and role anew; or add, where no other repository has it:
    path "transit/sign/stepcreds-71717171" {{
      capabilities = ["update"]
      allowed_parameters = {{ "input" = [] }}
    }}
"""


@pytest.fixture
def refused(stack: Stack, signed: Path) -> Path:
    stack.set_up()
    return signed


def test_without_a_signature_a_step_goes_on_with_a_warning(stack: Stack, step: Step, refused: Path) -> None:
    run = step("exec", "verify", "--", "sh", "-c", "exit 3")
    warning = "stepcreds: warning: " + REFUSED.format(indent="    ", fix="    ")
    # Once, though two checkpoints are missing.
    assert (run.returncode, normalised(run.stderr)) == (3, warning + ISSUED + ENDED)
    assert verdicts(refused) == ["proven dead"]
    assert signed_of(stack, refused) == []


def test_a_step_that_must_be_signed_does_not_begin_without(stack: Stack, step: Step, refused: Path) -> None:
    reconfigure(refused, lambda document: document["ledger"].update(on_sign_failure="fail"))
    run = step("exec", "verify", "--", "echo", "it ran")
    error = "stepcreds: error: " + REFUSED.format(indent="  cause: ", fix="  fix: ")
    assert (run.returncode, run.stdout) == (125, "")
    assert normalised(run.stderr) == DEAD + error + f"{SEE}ledger-key\n"
    assert verdicts(refused) == ["proven dead"]
    assert of_kind(refused, "credential.closed")[0]["step"]["exit_code"] is None


def test_a_step_that_must_be_signed_and_is_not_at_its_end(stack: Stack, step: Step, signed: Path) -> None:
    """As one whose end is not on record."""
    reconfigure(signed, lambda document: document["ledger"].update(on_sign_failure="fail"))
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault("pass"))
        faulty.fail("sign", Fault(status=400), None)
        run = step("exec", "verify", "--", "echo", "it ran", STEPCREDS_VAULT_ADDR=faulty.address)
    assert (run.returncode, run.stdout) == (121, "it ran\n")
    what = (
        "The ledger is not signed: Vault at http://HOST answered 400 to POST transit/sign/stepcreds-71717171: injected"
    )
    assert normalised(run.stderr) == ISSUED + f"stepcreds: error: {what}\n{SEE}vault-answers\n" + ENDED
    assert verdicts(signed) == ["proven dead"]
    assert [each.size for each in signed_of(stack, signed)] == [3]


NO_KEY = """\
stepcreds: warning: The ledger is not signed: Vault at http://HOST answered {status} to POST {path}: {said}
    There is no such key, or no Transit engine, at Vault.
    Let `stepcreds setup` make it, or:
      bao write -f {key} type=ed25519
"""
NO_ED25519 = """\
stepcreds: warning: The ledger is not signed: {key} at Vault is no Ed25519 key
    It was made with another type, which stays its own.
    Name another in ledger.key of stepcreds.yml, and let `stepcreds setup` make it.
"""
ODD = {
    "transit/keys/none-{repository_id}": NO_KEY.format(
        status=400,
        path="transit/sign/none-71717171",
        said="signing key not found",
        key="transit/keys/none-71717171",
    ),
    "nowhere/keys/at-all": NO_KEY.format(
        status=404,
        path="nowhere/sign/at-all",
        said='no handler for route "nowhere/sign/at-all". route entry not found.',
        key="nowhere/keys/at-all",
    ),
    "transit/keys/ecdsa-{repository_id}": NO_ED25519.format(key="transit/keys/ecdsa-71717171"),
    "transit/keys/aes-{repository_id}": NO_ED25519.format(key="transit/keys/aes-71717171"),
}


@pytest.fixture
def allow(stack: Stack) -> Iterator[Callable[[str], None]]:
    """`allow(key)`: the steps' policies allow to sign with it, whatever there is."""

    def write(key: str) -> None:
        with stack.client() as root:
            accessor = root.read("sys/auth/jwt")["data"]["accessor"]
            for profile in stack.profiles.values():
                text, _ = vault.without_accessor(vault.policy(profile, ledger_key=key), accessor)
                root.write_data(f"sys/policies/acl/app-{profile.name}", data={"policy": text})

    with stack.client() as root:
        for name, kind in (("ecdsa", "ecdsa-p256"), ("aes", "aes256-gcm96")):
            root.write_data(f"transit/keys/{name}-71717171", data={"type": kind})
    yield write
    stack.set_up()


@pytest.mark.parametrize("key", ODD)
def test_a_key_that_cannot_sign(stack: Stack, step: Step, signed: Path, allow: Callable[[str], None], key: str) -> None:
    allow(key)
    reconfigure(signed, lambda document: document["ledger"].update(key=key))
    run = step("exec", "verify", "--", "true")
    assert (run.returncode, normalised(run.stderr)) == (0, ODD[key] + ISSUED + ENDED)
    assert signed_of(stack, signed) == []


SILENT = """\
stepcreds: warning: The ledger is not signed: No answer from Vault at http://HOST: {reason}
    The address is wrong, the server is down, or this machine may not reach it.
    Look at vault.address in stepcreds.yml (or VAULT_ADDR), the network and the proxy variables. From this machine:
      curl -sS http://HOST/v1/sys/health
"""


def test_an_engine_that_hangs_holds_the_end_for_seconds_alone(stack: Stack, step: Step, signed: Path) -> None:
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault("pass"))
        faulty.fail("sign", Fault("hang"), None)
        run = step("exec", "verify", "--", "true", STEPCREDS_VAULT_ADDR=faulty.address)
    warning = SILENT.format(reason="no answer in time (tried 2 times in 5 s)")
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + warning + ENDED)
    assert token_is_gone(stack, of_kind(signed, "credential.requested")[0]["token_accessor"])
    assert [each.size for each in signed_of(stack, signed)] == [3]


def test_a_lost_answer_is_asked_for_again(stack: Stack, step: Step, signed: Path) -> None:
    """The same signature comes: Ed25519 has one for each text."""
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault("reset", after=True))
        run = step("exec", "verify", "--", "true", STEPCREDS_VAULT_ADDR=faulty.address)
        assert faulty.stages.count("sign") == 3
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + ENDED)
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]


@pytest.mark.parametrize("status", [307, 412, 429, 473, 503])
def test_a_standby_that_is_behind_is_asked_again(stack: Stack, step: Step, signed: Path, status: int) -> None:
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault(status=status))
        run = step("exec", "verify", "--", "true", STEPCREDS_VAULT_ADDR=faulty.address)
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + ENDED)
    assert covered(stack, signed) == ["credential.issued", "credential.closed"]


def test_a_vault_that_is_gone_at_the_end(stack: Stack, step: Step, signed: Path) -> None:
    """After the proof: a signature is missing and a token lives on, and the step has succeeded."""
    with FaultyVault(stack.address) as faulty:
        through(signed, faulty)
        faulty.fail("sign", Fault("pass"))
        faulty.fail("sign", Fault("refuse"), None)
        run = step("exec", "verify", "--", "true", STEPCREDS_VAULT_ADDR=faulty.address)
    assert run.returncode == 0, run.stderr
    assert "stepcreds: warning: The ledger is not signed: No answer from Vault at" in run.stderr
    # What comes after the last checkpoint that there can be.
    assert kinds(signed)[-2:] == ["credential.closed", "token.revoke_failed"]
    with stack.client() as root:
        root.write("auth/token/revoke-accessor", accessor=of_kind(signed, "credential.requested")[0]["token_accessor"])


def test_no_job_signs_with_the_key_of_another_repository(stack: Stack, signed: Path) -> None:
    """One role and one policy for two repositories: OpenBao goes by whose login it was."""
    with stack.client() as root:
        root.write_data("transit/keys/stepcreds-4711", data={"type": "ed25519"})
        role = root.read("auth/jwt/role/app-verify")["data"]
        both = {**role, "bound_claims": {**role["bound_claims"], "repository_id": ["71717171", "4711"]}}
        root.write_data("auth/jwt/role/app-verify", data=both)
    try:
        others = {"repository": "acme/other", "repository_id": "4711"}
        with stack.login("app-verify") as ours, stack.login("app-verify", **others) as theirs:
            assert signs(ours) == {"71717171": True, "4711": False}
            assert signs(theirs) == {"71717171": False, "4711": True}
            # Still, after the other's login.
            assert signs(ours) == {"71717171": True, "4711": False}
    finally:
        with stack.client() as root:
            root.write_data("auth/jwt/role/app-verify", data=role)


def signs(client: Any) -> dict[str, bool]:
    """Which of the two repositories' keys this token may sign with."""
    allowed = {}
    for repository in ("71717171", "4711"):
        try:
            client.write_data(f"transit/sign/stepcreds-{repository}", data={"input": "YQ=="})
            allowed[repository] = True
        except hvac.exceptions.Forbidden:
            allowed[repository] = False
    return allowed


def test_a_step_chooses_neither_the_version_that_signs_nor_signs_many_at_once(stack: Stack, signed: Path) -> None:
    """A version that was rotated out is nobody's any more."""
    path = "transit/sign/stepcreds-71717171"
    with stack.login("app-verify") as client:
        assert client.write_data(path, data={"input": "YQ=="})["data"]["key_version"] == 1
        for more in ({"key_version": 1}, {"prehashed": True}, {"batch_input": [{"input": "YQ=="}]}):
            with pytest.raises(hvac.exceptions.Forbidden):
                client.write_data(path, data={"input": "YQ==", **more})
        with pytest.raises(hvac.exceptions.Forbidden):
            client.write_data(f"{path}/sha2-512", data={"input": "YQ=="})


def test_a_repository_without_an_id_has_no_key_of_its_own(stack: Stack, step: Step, signed: Path) -> None:
    """An operator's own credential belongs to no repository."""
    before = len(stack.audit())
    environment = {"GITHUB_ACTIONS": None, "GITHUB_REPOSITORY_ID": None, "GITHUB_REPOSITORY": None}
    run = step(
        "exec", "--as-operator", "verify", "--", "true",
        VAULT_TOKEN=stack.openbao.root_token.reveal(), **environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (
        "stepcreds: warning: The ledger is not signed: This CI names no repository, so there is none whose key could sign\n"
        in run.stderr
    )
    assert [path for _, path in audited(stack, before) if path.startswith("transit/")] == []


def test_where_there_is_no_room_for_all_there_is_some_for_the_end(
    stack: Stack, config_file: Path, tmp_path: Path
) -> None:
    """What the command left is too much for the disk; that its credential is dead is not."""
    environment = tmp_path / "GITHUB_ENV"
    environment.touch()
    names = " ".join(f"A_PASSWORD_{number}" for number in range(20))
    script = f'for name in {names}; do echo "$name=$PGPASSWORD" >> "$GITHUB_ENV"; done'
    full = ("prlimit", "--fsize=5600")
    command = ("exec", "verify", "--", "sh", "-c", script)
    with Running(stack, config_file, *command, before=full, GITHUB_ENV=str(environment)) as running:
        run = running.wait()
    assert run.returncode == 1
    assert kinds(config_file)[-2:] == ["credential.issued", "credential.closed"]
    assert verdicts(config_file) == ["proven dead"]
    assert "stepcreds: error: The ledger cannot" in run.stderr, run.stderr
