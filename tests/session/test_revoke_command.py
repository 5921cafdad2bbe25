"""`stepcreds revoke`: what it finds in the ledger, how it ends it, and what it says where it cannot prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from step_runs import audited, kinds, normalised, of_kind, reconfigure, root, said, token_is_gone, until, verdicts

from conftest import Step
from stepcreds.ci.github import GitHub
from stepcreds.clock import SystemClock
from stepcreds.config.model import LedgerSettings
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import credential as record
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import new_uid
from stepcreds.model import Lease, Login
from stepcreds.secret import Secret

pytestmark = pytest.mark.usefixtures("alone")

UNPROVEN = "The credential of profile migrate is not proven dead: revoked, not proven"


def folded(text: str) -> str:
    """`text` as GitHub's log folds it."""
    return f"::group::stepcreds: what steps left\n{text}::endgroup::\n"


class Left:
    """A credential that a step left: issued on a login like the step's, and on record as far as `recorded` says."""

    def __init__(
        self,
        stack: Stack,
        config_file: Path,
        profile: str = "migrate",
        *,
        recorded: str = "issued",
        job: str = "deploy",
    ) -> None:
        creds = f"database/creds/app-{profile}"
        with stack.login(f"app-{profile}") as vault:
            self.accessor = _accessor(stack, vault.token)
            answer = vault.read(creds)
        self.lease, self.user, self.password = (
            answer["lease_id"],
            answer["data"]["username"],
            answer["data"]["password"],
        )
        if not recorded:
            return
        clock = SystemClock()
        environment = {**stack.environment(), "GITHUB_JOB": job}
        uid, step_uid = new_uid(), new_uid()
        journal = Journal.open(
            LedgerSettings(config_file.parent / ".stepcreds", None),
            GitHub().job(stack.issuer.claims | {"iss": stack.issuer.url}, environment),
            step_uid=step_uid,
            claims={},
            vault_addr=stack.address,
            clock=clock,
        )
        journal.append(
            record.requested(
                step_uid,
                uid,
                stack.profiles[profile],
                token_accessor=self.accessor,
                mount_point="auth/jwt",
                delivery="exec",
                inherited=(),
            )
        )
        if recorded == "requested":
            return
        now = clock.now()
        login = Login(Secret(""), self.accessor, (), "", 120.0, True, "", now)
        lease = Lease(self.lease, 120.0, True, {}, "", now)
        journal.append(record.issued(step_uid, uid, login, lease, db_user=self.user, expire_time=now + 120))


def _accessor(stack: Stack, token: str) -> str:
    with stack.client() as client:
        return str(client.auth.token.lookup(token)["data"]["accessor"])


def test_nothing_to_revoke(step: Step, config_file: Path) -> None:
    assert step("exec", "verify", "--", "true").returncode == 0
    for arguments in ([], ["--all"]):
        run = step("revoke", *arguments)
        assert (run.returncode, run.stdout, run.stderr) == (
            0,
            "",
            "stepcreds: nothing to revoke: no credential is open in this ledger\n",
        )


def test_the_last_step_of_this_job_alone(stack: Stack, step: Step, config_file: Path) -> None:
    earlier, other = Left(stack, config_file), Left(stack, config_file, "verify", job="other")
    last = Left(stack, config_file, "verify")
    run = step("revoke")
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == folded("stepcreds: verify: proven dead (lease lookup and a witness)\n")
    assert {earlier.user, other.user, last.user} & stack.issued_roles() == {earlier.user, other.user}
    run = step("revoke", "--all")
    assert run.returncode == 0, run.stderr
    assert sorted(normalised(run.stderr).splitlines()) == [
        "::endgroup::",
        "::group::stepcreds: what steps left",
        "stepcreds: migrate: proven dead (lease lookup and a witness)",
        "stepcreds: verify: proven dead (lease lookup and a witness)",
    ]
    assert {earlier.user, other.user} & stack.issued_roles() == set()


def test_an_allowance_that_has_expired_keeps_nobody_from_revoking(stack: Stack, step: Step, config_file: Path) -> None:
    Left(stack, config_file)
    allow = [{"what": "PG.SCHEMA.OWN app", "reason": "the vendor's", "expires": "2026-01-31"}]
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(allow=allow))
    run = step("revoke", "--all")
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == folded("stepcreds: migrate: proven dead (lease lookup and a witness)\n")


def test_all_closes_the_chain_and_a_later_step_opens_another(stack: Stack, step: Step, config_file: Path) -> None:
    left = Left(stack, config_file)
    run = step("revoke", "--all")
    assert run.returncode == 0, run.stderr
    assert left.user not in stack.issued_roles()
    # The witness is closed before its chain is.
    assert kinds(config_file) == [
        "chain.opened",
        "credential.requested",
        "credential.issued",
        "credential.requested",
        "credential.issued",
        "credential.closed",
        "credential.closed",
        "chain.closed",
    ]
    assert step("exec", "verify", "--", "true").returncode == 0
    assert kinds(config_file)[8:] == ["chain.opened", "credential.requested", "credential.issued", "credential.closed"]
    checked = step("ledger", "verify")
    assert checked.returncode == 0, checked.stdout
    assert len(list((config_file.parent / ".stepcreds").glob("*.jsonl"))) == 2


def test_a_credential_that_was_requested_and_never_seen(stack: Stack, step: Step, config_file: Path) -> None:
    """Killed between asking and recording: it goes with the token that asked, whose accessor is on record."""
    left = Left(stack, config_file, recorded="requested")
    run = step("revoke")
    assert run.returncode == 1
    assert said(run.stderr) == (
        f"stepcreds: error: {UNPROVEN}\n"
        "  cause: Proof: the answer to its request is not on record: neither its lease nor its user is known\n"
        f"  fix: Whatever was issued ends with the token that asked for it (accessor {left.accessor}), which is revoked. "
        "Whether anything was issued, Vault's audit log says.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    assert token_is_gone(stack, left.accessor)
    # OpenBao ends a token's leases after it has answered.
    until(lambda: left.user not in stack.issued_roles(), "the role goes with the token")
    assert left.lease not in stack.leases("database/creds/app-migrate")
    (closed,) = of_kind(config_file, "credential.closed")
    assert (closed["revoke"]["method"], closed["revoke"]["status"]) == ("accessor", "revoked")
    assert closed["verdict"] == "revoked, not proven"
    # Said once: there is nothing more that could be done about it, and the job's chain can be closed.
    again = step("revoke", "--all")
    assert again.returncode == 0, again.stderr
    assert again.stderr == "stepcreds: nothing to revoke: no credential is open in this ledger\n"
    assert kinds(config_file)[-1] == "chain.closed"


def test_one_lease_by_its_id(stack: Stack, step: Step, config_file: Path) -> None:
    first, second = Left(stack, config_file, job="other"), Left(stack, config_file)
    run = step("revoke", "--lease", first.lease)
    assert run.returncode == 0, run.stderr
    assert normalised(run.stderr) == folded("stepcreds: migrate: proven dead (lease lookup and a witness)\n")
    assert {first.user, second.user} & stack.issued_roles() == {second.user}
    assert step("revoke").returncode == 0


def test_a_lease_that_no_ledger_knows(stack: Stack, step: Step, config_file: Path) -> None:
    left = Left(stack, config_file, recorded="")
    run = step("revoke", "--lease", left.lease)
    assert run.returncode == 1
    assert said(run.stderr) == (
        f"stepcreds: error: {UNPROVEN}\n"
        "  cause: Proof: no ledger here knows the database user: only that of its own step could\n"
        f"  fix: The lease is {left.lease}; when it expires is not known. End it and prove it, in a step of the same job:\n"
        f"      stepcreds revoke --lease {left.lease}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    assert left.user not in stack.issued_roles()
    assert verdicts(config_file) == ["revoked, not proven"]


def test_a_lease_of_no_profile(step: Step) -> None:
    run = step("revoke", "--lease", "aws/creds/other/0123456789")
    assert run.returncode == 2
    text = "No profile of this configuration issues such a lease"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: The lease id begins with the creds path of the profile it was issued for, and none of these match: "
        "database/creds/app-migrate, database/creds/app-verify\n"
        "  fix: Use the stepcreds.yml of the step that held it.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#revoke\n"
    )


def test_a_lease_and_all_exclude_each_other(step: Step) -> None:
    run = step("revoke", "--all", "--lease", "database/creds/app-migrate/0123456789")
    assert run.returncode == 2
    assert said(run.stderr) == (
        "Usage: stepcreds revoke [OPTIONS]\n"
        "Try 'stepcreds revoke --help' for help.\n\n"
        "Error: --lease and --all exclude each other: --all ends every lease of this run attempt\n"
    )


def test_a_role_that_is_there_again_is_no_dead_one(stack: Stack, step: Step, config_file: Path) -> None:
    """Vault says that the lease is gone; the witness sees what Vault cannot."""
    left = Left(stack, config_file)
    assert root(stack, "POST", "sys/leases/revoke", lease_id=left.lease, sync=True) == 204
    stack.sql(f'CREATE ROLE "{left.user}" LOGIN')
    try:
        run = step("revoke", "--all")
    finally:
        stack.sql(f'DROP ROLE "{left.user}"')
    assert run.returncode == 1
    assert normalised(run.stderr) == (
        f"stepcreds: error: {UNPROVEN}\n"
        "  cause: Proof: 1 role(s) and 0 session(s) of that name\n"
        "  fix: Vault has no lease of it any more, and will not end it: the database lost its end in a crash, or somebody "
        "made it anew. Drop the user USER there, and then have that proven:\n"
        "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    assert "chain.closed" not in kinds(config_file)
    assert step("revoke", "--all").returncode == 0
    assert kinds(config_file)[-1] == "chain.closed"


def test_a_revocation_that_fails_is_said(stack: Stack, step: Step, config_file: Path) -> None:
    left = Left(stack, config_file)
    with stack.client() as vault:
        role: dict[str, Any] = vault.read("database/roles/app-migrate")["data"]
        vault.write_data("database/roles/app-migrate", data={**role, "revocation_statements": ["SELECT 1/0"]})
        try:
            run = step("revoke")
        finally:
            vault.write_data("database/roles/app-migrate", data=role)
    assert run.returncode == 1
    text = "The credential of profile migrate is not proven dead: expires at TIME"
    assert normalised(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: Revocation: Vault at http://HOST answered 400 to POST sys/leases/revoke: failed to revoke entry: resp: "
        "(*logical.Response)(nil) err: ERROR: division by zero (SQLSTATE 22012). Vault goes on trying\n"
        "    Proof: Vault still has the lease\n"
        "  fix: The lease is database/creds/app-migrate/LEASE; it expires at TIME. End it and prove it, in a step of the same "
        "job:\n"
        "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    run = step("revoke")
    assert run.returncode == 0, run.stderr
    assert left.user not in stack.issued_roles()


def test_without_an_identity(stack: Stack, step: Step, config_file: Path) -> None:
    """Where something is left it is named; where nothing is, nobody has to be asked."""
    run = step("revoke", "--all", ACTIONS_ID_TOKEN_REQUEST_URL=None)
    assert (run.returncode, run.stderr) == (0, "stepcreds: nothing to revoke: no credential is open in this ledger\n")
    left = Left(stack, config_file)
    before = len(stack.audit())
    run = step("revoke", ACTIONS_ID_TOKEN_REQUEST_URL=None)
    assert run.returncode == 1
    assert run.stderr.startswith("stepcreds: error: GitHub Actions gives this job no ID token\n")
    assert "stepcreds: error: The credential of profile migrate is not proven dead: expires at " in run.stderr
    assert f"      stepcreds revoke --lease {left.lease}\n" in run.stderr
    assert audited(stack, before) == []
    assert step("revoke").returncode == 0
    assert step("revoke", VAULT_ADDR="http://127.0.0.1:9", ACTIONS_ID_TOKEN_REQUEST_URL=None).returncode == 0


def test_the_token_that_asked_goes_too(stack: Stack, step: Step, config_file: Path) -> None:
    """It has nothing left to give; but one that lives for hours is not to be left lying about."""
    left = Left(stack, config_file)
    assert not token_is_gone(stack, left.accessor)
    assert step("revoke").returncode == 0
    assert token_is_gone(stack, left.accessor)
    # One that has ended by itself is none to complain about.
    left = Left(stack, config_file)
    assert root(stack, "POST", "auth/token/revoke-accessor", accessor=left.accessor) == 204
    run = step("revoke")
    assert (run.returncode, normalised(run.stderr)) == (
        0,
        folded("stepcreds: migrate: proven dead (lease lookup and a witness)\n"),
    )
