"""The link "signing": a key that is there, a policy that allows it, and whose key it is; with real Transit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from doctor_runs import DOCS, Step, told, under

from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone", "signed")

OURS = "transit/keys/stepcreds-71717171"
SIGNS = f"✓ signing     {OURS} signs for this job, with its version 1\n"


def operators(stack: Stack) -> dict[str, str]:
    return {"VAULT_TOKEN": stack.openbao.root_token.reveal()}


@contextmanager
def role(stack: Stack, **changes: object) -> Iterator[None]:
    """`app-verify` with other settings."""
    with stack.client() as root:
        before = root.read("auth/jwt/role/app-verify")["data"]
        root.write_data("auth/jwt/role/app-verify", data={**before, **changes})
        yield
        root.write_data("auth/jwt/role/app-verify", data=before)


@contextmanager
def key(stack: Stack, **settings: object) -> Iterator[None]:
    """The repository's key with other settings; afterwards one that is as it should be."""

    def configure(values: Mapping[str, object]) -> None:
        root.write_data(f"{OURS}/config", data=dict(values))

    with stack.client() as root:
        configure(settings)
        yield
        configure({"deletion_allowed": True})
        root.delete(OURS)
        root.write_data(OURS, data={"type": "ed25519"})


def test_a_key_that_signs(stack: Stack, step: Step) -> None:
    before = len(stack.audit())
    run = step("doctor", "verify")
    assert run.returncode == 0, run.stdout
    assert under(run.stdout, "signing") == SIGNS
    assert run.stdout.index("signing") < run.stdout.index("policy     ")
    probe, *_ = (
        base64.b64decode(entry["request"]["data"]["input"])
        for entry in stack.audit()[before:]
        if entry["type"] == "request" and entry["request"]["path"] == "transit/sign/stepcreds-71717171"
    )
    # Whoever reads the audit log takes it for no checkpoint.
    assert probe == b"DSSEv1 36 application/vnd.stepcreds.probe+json 2 {}"


def test_without_a_key_there_is_no_such_link(step: Step, config_file: Path) -> None:
    lines = config_file.read_text().splitlines(keepends=True)
    config_file.write_text("".join(line for line in lines if not line.startswith("  key: ")))
    run = step("doctor", "verify", "--json")
    assert "signing" not in [each["link"] for each in json.loads(run.stdout)["links"]]


def test_an_operator_sees_that_the_key_is_safe(stack: Stack, step: Step) -> None:
    run = step("doctor", "verify", **operators(stack))
    assert (run.returncode, under(run.stdout, "signing")) == (0, SIGNS)


def test_a_policy_without_the_key(stack: Stack, step: Step) -> None:
    stack.set_up()
    run = step("doctor", "verify", "--json")
    assert run.returncode == 1
    link = told(run, "signing")
    assert (link["status"], link["cause"], link["docs"]) == (
        "failed",
        "The token's policy does not allow transit/sign/stepcreds-71717171.",
        "ledger-key",
    )


def test_a_key_that_can_be_taken_out(stack: Stack, step: Step) -> None:
    with key(stack, exportable=True, allow_plaintext_backup=True, deletion_allowed=True):
        run = step("doctor", "verify", **operators(stack))
    assert run.returncode == 1
    assert under(run.stdout, "signing") == (
        f"! signing     {OURS} signs for this job, with its version 1\n"
        f"  cause: {OURS} can be taken out of Vault (exportable): whoever has done so can forge what it signs.\n"
        f"    {OURS} can be taken out of Vault as a backup (allow_plaintext_backup): whoever has done so can forge what it signs.\n"
        f"    {OURS} may be deleted (deletion_allowed), and nobody could get its public versions any more.\n"
        "  fix: Vault takes that back of no key: name another in ledger.key of stepcreds.yml, and let `stepcreds setup` make it.\n"
        "    Forbid it:\n"
        f"      bao write {OURS}/config deletion_allowed=false\n"
        f"  see: {DOCS}#ledger-key\n"
    )


@pytest.mark.parametrize("claim", ["job_workflow_ref", "repository_owner"])
def test_a_user_claim_by_which_two_repositories_may_be_one_entity(stack: Stack, step: Step, claim: str) -> None:
    """As all that call one reusable workflow have one `job_workflow_ref`."""
    with role(stack, user_claim=claim):
        run = step("doctor", "verify", **operators(stack))
    assert run.returncode == 1
    assert under(run.stdout, "signing") == (
        "✗ signing     auth/jwt/role/app-verify does not fix whose key a step signs with\n"
        f"  cause: Its user_claim is {claim}. Jobs of several repositories may be one entity by it, and the policy goes by "
        "what the entity's last login said: they could sign with each other's keys.\n"
        "  fix: A user_claim that fixes it:\n"
        """      printf %s '{"role_type": "jwt", "user_claim": "repository"}' | bao write auth/jwt/role/app-verify -\n"""
        f"  see: {DOCS}#ledger-key\n"
    )


def test_a_role_that_says_nothing_of_the_repository(stack: Stack, step: Step) -> None:
    with role(stack, claim_mappings={"run_id": "run_id"}):
        run = step("doctor", "verify", **operators(stack))
    assert run.returncode == 1
    assert under(run.stdout, "signing") == (
        "✗ signing     auth/jwt/role/app-verify does not fix whose key a step signs with\n"
        "  cause: Its claim_mappings say nothing of repository_id, by which the policy goes.\n"
        "  fix: Let `stepcreds setup` write the role anew.\n"
        f"  see: {DOCS}#ledger-key\n"
    )


def test_scope_takes_the_jobs_own_key_for_no_power(stack: Stack, step: Step, config_file: Path) -> None:
    """As the token itself is told, and as its policy is written; and another's for one."""
    for variables in ({}, operators(stack)):
        run = step("scope", "verify", **variables)
        assert (run.returncode, "VAULT.TRANSIT" in run.stdout) == (0, False), run.stdout
    config_file.write_text(config_file.read_text().replace("transit/keys/stepcreds-", "transit/keys/other-"))
    run = step("scope", "verify", **operators(stack))
    assert run.returncode == 1
    assert "VAULT.TRANSIT transit/sign/stepcreds-{{identity.entity.aliases.auth_jwt_" in run.stdout
