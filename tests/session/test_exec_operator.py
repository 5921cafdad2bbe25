"""`--as-operator`: a person at a laptop, whose own Vault token stands for an identity and survives the step."""

from __future__ import annotations

from pathlib import Path

import pytest
from step_runs import audited, normalised, of_kind, records, refusal, reported, reporting, token_is_gone, verdicts

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

LAPTOP = {
    "GITHUB_ACTIONS": None,
    "CI": None,
    "ACTIONS_ID_TOKEN_REQUEST_URL": None,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": None,
}


def test_a_child_of_the_operators_token_is_used_and_ended(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    before = len(stack.audit())
    token = stack.openbao.root_token.reveal()
    run = step("exec", "--as-operator", "verify", "--", *reporting(tmp_path / "report"), **LAPTOP, VAULT_TOKEN=token)
    asked = audited(stack, before)
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == (
        "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
        "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"
    )
    assert asked == [
        ("update", "auth/token/create"),
        ("update", "sys/leases/revoke"),
        ("read", "database/creds/app-verify"),
        ("update", "sys/leases/revoke"),
        ("update", "sys/leases/lookup"),
        ("update", "auth/token/revoke-self"),
    ]
    given = reported(tmp_path / "report")
    assert "VAULT_TOKEN" not in given
    assert refusal(stack, given["PGUSER"], given["PGPASSWORD"]) == "28P01"
    (requested,) = of_kind(config_file, "credential.requested")
    assert requested["mount_point"] == "auth/token"
    assert token_is_gone(stack, requested["token_accessor"])
    assert records(config_file)[0]["job"]["ci"] == "none"
    # The operator's own token is as it was: everything else in these tests goes on with it.
    with stack.client() as client:
        assert client.is_authenticated()
    # And it is nowhere.
    for path in config_file.parent.rglob("*.jsonl"):
        assert token not in path.read_text()


def test_the_token_of_the_vault_cli_will_do(stack: Stack, step: Step, tmp_path: Path, config_file: Path) -> None:
    (tmp_path / ".vault-token").write_text(stack.openbao.root_token.reveal() + "\n")
    run = step("exec", "--as-operator", "verify", "--", "true", **LAPTOP, HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert verdicts(config_file) == ["proven dead"]


def test_nobody_is_logged_in(step: Step, tmp_path: Path) -> None:
    run = step("exec", "--as-operator", "verify", "--", "true", **LAPTOP, HOME=str(tmp_path))
    assert run.returncode == 125
    assert run.stderr == (
        "stepcreds: error: --as-operator needs a Vault token, and there is none\n"
        "  cause: Neither VAULT_TOKEN nor BAO_TOKEN is set, and ~/.vault-token does not exist.\n"
        "  fix: Log in first: vault login (or bao login)\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#as-operator\n"
    )


def test_without_the_flag_a_laptop_is_told_of_it(step: Step, stack: Stack) -> None:
    token = stack.openbao.root_token.reveal()
    run = step("exec", "verify", "--", "true", **LAPTOP, VAULT_TOKEN=token)
    assert run.returncode == 125
    assert run.stderr == (
        "stepcreds: error: There is no CI here that could say who this step is\n"
        "  cause: No variable of a CI that stepcreds knows is set, nor is --id-token-file or STEPCREDS_ID_TOKEN.\n"
        "  fix: On another CI, write its ID token to a file:\n"
        "      stepcreds exec --id-token-file FILE PROFILE -- COMMAND\n"
        "    On your own machine, use the Vault token that you logged in with; the ledger will say so:\n"
        "      stepcreds exec --as-operator PROFILE -- COMMAND\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#no-identity\n"
    )
