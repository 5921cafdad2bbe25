"""What `exec` refuses before the command runs: 125 each time, and nothing was issued."""

from __future__ import annotations

from pathlib import Path

import pytest
from step_runs import Oddities, audited, kinds, normalised, of_kind, reconfigure, reporting, said, verdicts

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return reporting(tmp_path / "report")


@pytest.fixture(autouse=True)
def never_run(tmp_path: Path, command: list[str]) -> object:
    """Whatever a test here does, the command did not run."""
    yield
    assert not (tmp_path / "report").exists()


def test_a_bad_configuration(stack: Stack, step: Step, config_file: Path, command: list[str]) -> None:
    before = len(stack.audit())
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(ttl="20m", acess="ddl"))
    run = step("exec", "verify", "--", *command)
    assert run.returncode == 125
    assert said(run.stderr) == (
        "stepcreds: error: 2 problems in the configuration\n"
        "stepcreds.yml:26:5: profiles.verify.ttl: the ttl (20m) is longer than max_ttl (10m)\n"
        "  fix: Lower ttl, or raise max_ttl.\n"
        "stepcreds.yml:28:5: profiles.verify.acess: unknown key\n"
        '  fix: Did you mean "access"?\n'
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )
    assert audited(stack, before) == []


def test_no_configuration(step: Step, config_file: Path, command: list[str]) -> None:
    config_file.unlink()
    run = step("exec", "verify", "--", *command)
    assert run.returncode == 125
    assert run.stderr.startswith("stepcreds: error: 1 problem in the configuration\n")


def test_an_unknown_profile(step: Step, config_file: Path, command: list[str]) -> None:
    run = step("exec", "verifi", "--", *command)
    assert run.returncode == 125
    assert said(run.stderr) == (
        f"stepcreds: error: There is no profile verifi in {config_file}\n"
        "  fix: The profiles there are: migrate, verify.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )


def test_a_profile_that_is_asked_for_twice(step: Step, command: list[str]) -> None:
    run = step("exec", "verify", "--also", "verify", "--", *command)
    assert (run.returncode, said(run.stderr)) == (
        125,
        "stepcreds: error: The profile verify is asked for twice\n"
        "  cause: There is one credential for each profile.\n"
        "  fix: Name it once: --also counts, and so does the Action's `also`.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n",
    )


USAGE = "Usage: stepcreds exec [OPTIONS] PROFILE COMMAND...\nTry 'stepcreds exec --help' for help.\n\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["verify"], "No command to run. Write it after the profile: stepcreds exec PROFILE -- COMMAND"),
        (["verify", "--"], "No command to run. Write it after the profile: stepcreds exec PROFILE -- COMMAND"),
        ([], "Missing argument 'PROFILE'."),
        (
            ["--grace", "soon", "verify", "true"],
            "Invalid value for '--grace': 'soon' is not a duration; write 90s, 2m or 1h30m",
        ),
        (
            ["--inherit", "some", "verify", "true"],
            "Invalid value for '--inherit': 'some' is not one of 'all', 'clean'.",
        ),
    ],
)
def test_wrong_usage(step: Step, arguments: list[str], text: str) -> None:
    run = step("exec", *arguments)
    assert (run.returncode, run.stderr) == (125, f"{USAGE}Error: {text}\n")


def test_an_unknown_flag(step: Step) -> None:
    run = step("exec", "--no-such-flag", "verify", "--", "true")
    assert run.returncode == 125
    assert run.stderr.startswith(
        USAGE + "Error: No such option"
    )  # the rest is click's, and differs between its versions


def test_no_identity(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    before = len(stack.audit())
    run = step(
        "exec", "verify", "--", *command,
        ACTIONS_ID_TOKEN_REQUEST_URL=None, ACTIONS_ID_TOKEN_REQUEST_TOKEN=None,
    )  # fmt: skip
    assert run.returncode == 125
    text = "GitHub Actions gives this job no ID token"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: The job lacks the permission id-token: write. A permissions: block of the job replaces the workflow's, and "
        "a reusable workflow has at most what its caller grants.\n"
        "  fix: Add to the job (and to the job that calls it, if it is a reusable workflow):\n"
        "      permissions:\n"
        "        contents: read\n"
        "        id-token: write\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#id-token-permission\n"
    )
    assert audited(stack, before) == []
    assert not (config_file.parent / ".stepcreds").exists()


def test_a_login_that_is_refused(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("other", jwt_role={"bound_claims": {"environment": "staging"}})
        run = step("exec", "other", "--", *command)
    assert run.returncode == 125
    text = (
        'Vault refused the login of role app-other at auth/jwt: error validating claims: claim "environment" does not match '
        "any associated bound claim values"
    )
    lines = normalised(run.stderr).splitlines()
    assert lines[:3] == [
        f"stepcreds: error: {text}",
        "  cause: The role wants another environment than this job's, which is production.",
        "    This job's token says (unverified):",
    ]
    assert "      environment            production" in lines
    assert lines[-1] == "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#login-claim"
    # On record as refused, though nothing was requested.
    assert kinds(config_file) == ["chain.opened", "credential.closed"]
    assert verdicts(config_file) == ["not issued"]
    assert step("ledger", "verify").returncode == 0


def test_a_policy_that_cannot_revoke(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    """Vault's default policy: it may issue what it cannot end."""
    with Oddities(stack, config_file) as odd:
        odd.profile("endless", policy=lambda text: text.replace("sys/leases/revoke", "sys/leases/none"))
        before = len(stack.audit())
        run = step("exec", "endless", "--", *command)
        asked = audited(stack, before)
    assert run.returncode == 125
    text = "This token may not revoke what database/creds/app-endless issues, so nothing is issued"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: Vault's `default` policy does not hold sys/leases/revoke; or allowed_parameters of the role's policy leave "
        'out "sync", without which Vault only queues a revocation.\n'
        "  fix: Add to a policy of the role:\n"
        '    path "sys/leases/revoke" {\n'
        '      capabilities = ["update"]\n'
        "      allowed_parameters = {\n"
        '        "lease_id" = ["database/creds/app-endless/*"]\n'
        '        "sync"     = []\n'
        "      }\n"
        "    }\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#policy-revoke\n"
    )
    assert asked == [
        ("update", "auth/jwt/login"),
        ("update", "sys/leases/revoke"),
        ("update", "auth/token/revoke-self"),
    ]
    assert verdicts(config_file) == ["not issued"]


def test_a_policy_that_only_queues_revocations(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("queueing", policy=lambda text: text.replace('"sync" = []', ""))
        run = step("exec", "queueing", "--", *command)
    assert run.returncode == 125
    assert run.stderr.startswith("stepcreds: error: This token may not revoke what database/creds/app-queueing issues")
    assert verdicts(config_file) == ["not issued"]


def test_a_batch_token(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("batch", jwt_role={"token_type": "batch"})
        before = len(stack.audit())
        run = step("exec", "batch", "--", *command)
        asked = audited(stack, before)
    assert run.returncode == 125
    text = "The role app-batch at auth/jwt gives batch tokens, which cannot be revoked"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: A batch token and what it issues live until they expire, whatever happens to the step.\n"
        "  fix: Make the role give service tokens:\n"
        "      bao write auth/jwt/role/app-batch role_type=jwt token_type=service\n"
        "    If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#batch-token\n"
    )
    assert asked == [("update", "auth/jwt/login")]
    assert verdicts(config_file) == ["not issued"]


def test_a_lease_that_cannot_be_shortened(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile(
            "long",
            policy=lambda text: text.replace("sys/leases/renew", "sys/leases/none"),
            database_role={"default_ttl": 1000},
        )
        run = step("exec", "long", "--", *command)
    assert run.returncode == 125
    text = (
        "The lease of database/creds/app-long lasts 1000 s and could not be shortened to the profile's ttl of 120 s: Vault "
        "at http://HOST answered 403 to POST sys/leases/renew: permission denied"
    )
    assert normalised(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  cause: The role's policy does not allow sys/leases/renew, or this engine's leases cannot be renewed.\n"
        '  fix: Allow it (path "sys/leases/renew" { capabilities = ["update"] }); or set default_ttl of the creds role to '
        "120s; or raise profiles.long.ttl.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#lease-not-shortened\n"
    )
    assert [record["kind"] for record in of_kind(config_file, "credential.requested")] == ["credential.requested"]
    assert verdicts(config_file) == ["proven dead"]


def test_a_ledger_that_cannot_be_written(stack: Stack, step: Step, command: list[str], config_file: Path) -> None:
    """No record, no credential."""
    (config_file.parent / ".stepcreds").write_text("in the way")
    before = len(stack.audit())
    run = step("exec", "verify", "--", *command)
    assert run.returncode == 125
    text = f"The ledger cannot use {config_file.parent / '.stepcreds'}: a part of that path is not a folder"
    assert said(run.stderr) == (
        f"stepcreds: error: {text}\n"
        "  fix: Set ledger.path in stepcreds.yml to a folder on a local disk that this user can write to.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )
    assert audited(stack, before) == []
