"""`stepcreds doctor` as a person meets it: the whole output on a sound stack, and with one broken link at a time."""
# ruff: noqa: RUF001 - the en dash is one of the marks that doctor prints

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from doctor_runs import DOCS, GLOB, ISSUE, lax_role, under

from annotations import unannotated
from relay import Relay
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.stack import Stack

Step = Callable[..., "subprocess.CompletedProcess[str]"]
REVOKED = """\
✓ revoke      locked at the database; revoked
✓ sessions    revocation alone ended a session that was open
✓ proof       proven dead (lease lookup and refused logins)
"""
SEEN = """\
✓ config      FOLDER/stepcreds.yml: migrate, verify
✓ machine     Linux, Python VERSION, N open files, private files in /dev/shm
✓ ledger      FOLDER/.stepcreds takes records
✓ identity    GitHub Actions: repo:acme/shop:environment:production, for VAULT
✓ vault       VAULT: version 2.7.2, without TLS
✓ clock       this machine and Vault agree within 5 s
"""
NOT_READ = """\
– role        whom it lets in (bound_claims) was not looked at: give VAULT_TOKEN a token that may read auth/jwt/role/app-ROLE
– statements  how it revokes was not looked at: give VAULT_TOKEN a token that may read database/roles/app-ROLE
"""
SOUND = """\
✓ login       app-PROFILE at auth/jwt: a service token for TTL, policies: app-PROFILE
✓ revocation  the token may revoke what database/creds/app-PROFILE issues
✓ policy      look up, renew, give back
✓ network     DATABASE answers as PostgreSQL does (sslmode=disable)
✓ issue       database/creds/app-PROFILE: USER, which ends in 2m unless renewed
✓ lifetime    the credential lasts 2m without a renewal, LONGEST with
✓ database    USER logs in at DATABASE: PostgreSQL 18.6, without TLS (sslmode=disable)
✓ scope       declared DECLARED in app, and can do no more (LEVEL), by PostgreSQL 18.6
"""
CUT_SHORT = """\
– issue       not looked at: login comes first
– lifetime    not looked at: issue comes first
– database    not looked at: issue comes first
– scope       not looked at: issue comes first
– revoke      not looked at: issue comes first
– sessions    not looked at: issue comes first
– proof       not looked at: issue comes first
"""

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def normal(stack: Stack, tmp_path: Path) -> Callable[[str], str]:
    """What differs from run to run, under names."""

    def normalised(text: str) -> str:
        for found, name in (
            (str(tmp_path), "FOLDER"),
            (stack.address, "VAULT"),
            (f"127.0.0.1:{stack.postgresql.port}", "DATABASE"),
            (stack.issuer.url, "ISSUER"),
        ):
            text = text.replace(found, name)
        text = re.sub(r"a service token for \w+,", "a service token for TTL,", text)
        text = re.sub(r"Python [\d.]+, \d+ open files", "Python VERSION, N open files", text)
        text = re.sub(r"v-[0-9a-f]{12}-app-\w+-\w{12}", "USER", text)
        return re.sub(r"(?m)^( +(?:exp|iat|nbf) +)\S+$", r"\1TIME", text)

    return normalised


def sound(profile: str) -> str:
    """The links of a profile of the stack from the login to the measurement, where all is well."""
    declared, level, longest = {"migrate": ("ddl", "ddl", "30m"), "verify": ("read-only", "read", "10m")}[profile]
    text = SOUND.replace("PROFILE", profile).replace("DECLARED", declared)
    return text.replace("LEVEL", level).replace("LONGEST", longest)


def test_a_sound_profile(step: Step, normal: Callable[[str], str]) -> None:
    done = step("doctor", "migrate")
    expected = f"{SEEN}\nprofile migrate\n{NOT_READ.replace('ROLE', 'migrate')}{sound('migrate')}{REVOKED}"
    assert normal(done.stdout) == (f"{expected}\nEvery link that was looked at holds; 2 were not (role, statements).\n")
    assert (done.stderr, done.returncode) == ("", 0)


def test_every_profile_with_the_operators_token(stack: Stack, step: Step, normal: Callable[[str], str]) -> None:
    done = step("doctor", VAULT_TOKEN=stack.openbao.root_token.reveal())
    output = re.sub("  +", "  ", normal(done.stdout))  # the widths of a table depend on the ports
    role = """\
✓ role  auth/jwt/role/app-PROFILE fits this job
  setting  the role wants  this job has
  role_type  jwt  jwt  ok
  bound_issuer  ISSUER  ISSUER  ok
  bound_audiences  VAULT  VAULT  ok
  user_claim  repository  acme/shop  ok
  bound_claims environment  production  production  ok
  bound_claims repository_id  71717171  71717171  ok
"""
    statements = "✓ statements  database/roles/app-PROFILE revokes with statements of its own\n"
    each = [
        f"\nprofile PROFILE\n{role}{statements}".replace("PROFILE", profile) + sound(profile) + REVOKED
        for profile in ("migrate", "verify")
    ]
    assert output == re.sub("  +", "  ", SEEN + "".join(each) + "\nEvery link holds.\n")
    assert (done.stderr, done.returncode) == ("", 0)
    assert stack.openbao.root_token.reveal() not in done.stdout


def test_as_json(step: Step) -> None:
    done = step("doctor", "verify", "--json")
    told = json.loads(done.stdout)
    assert [told[count] for count in ("findings", "broken", "warnings", "cut_short")] == [0, 0, 0, ""]
    assert [(link["link"], link["status"], link["profile"]) for link in told["links"]] == [
        *((name, "ok", None) for name in ("config", "machine", "ledger", "identity", "vault", "clock")),
        *((name, "skipped", "verify") for name in ("role", "statements")),
        *((name, "ok", "verify") for name in ("login", "revocation", "policy", "network", "issue", "lifetime")),
        *((name, "ok", "verify") for name in ("database", "scope", "revoke", "sessions", "proof")),
    ]
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_credential_is_on_record_as_any_other(step: Step, tmp_path: Path) -> None:
    assert step("doctor", "verify").returncode == 0
    (chain,) = (tmp_path / ".stepcreds").rglob("*.jsonl")
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    assert [record["kind"] for record in records] == [
        "chain.opened",
        "credential.requested",
        "credential.issued",
        "credential.closed",
    ]
    assert records[1]["delivery"] == "doctor"


def declare(config_file: Path, **changes: object) -> None:
    """Change what the profile migrate declares."""
    document = yaml.safe_load(config_file.read_text())
    document["profiles"]["migrate"].update(changes)
    config_file.write_text(yaml.safe_dump(document))


WIDE = (
    "declared read-only in app, and can do more (ddl), by PostgreSQL 18.6: it can drop the schema app with all that is "
)
WIDE += "in it, and open it to others, via SET ROLE app_owner"


def test_a_credential_that_can_do_more_than_it_declares(
    step: Step, config_file: Path, normal: Callable[[str], str]
) -> None:
    declare(config_file, access="read-only")
    done = step("doctor", "migrate")
    shown = under(normal(done.stdout), "scope").splitlines()
    assert shown[0] == f"✗ scope       {WIDE}"
    assert shown[1].startswith("  cause: PG.SCHEMA.OWN app: drop the schema app ")
    assert '        - {what: "PG.SCHEMA.OWN app", reason: "…", expires: YYYY-MM-DD}' in shown
    assert shown[-1] == "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#excess"
    assert normal(done.stdout).endswith(f"{REVOKED}\n1 broken: see above.\n")
    assert done.returncode == 1
    told = json.loads(step("doctor", "migrate", "--json").stdout)
    (link,) = (link for link in told["links"] if link["link"] == "scope")
    assert (link["status"], link["docs"]) == ("failed", "excess")
    assert [line.partition(":")[0] for line in link["cause"].splitlines()][:2] == [
        "PG.SCHEMA.OWN app",
        "PG.TABLE.OWN app",
    ]
    (chain,) = (config_file.parent / ".stepcreds").rglob("*.jsonl")
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    ends = [each["privileges"]["excess"] for each in records if each["kind"] == "credential.closed"]
    assert [names[0] for names in ends] == ["PG.SCHEMA.OWN app"] * 2


def test_where_excess_only_warns_it_is_a_warning(step: Step, config_file: Path) -> None:
    allowed = {"what": "PG.ROLE.CREATEDB", "reason": "none", "expires": "2199-12-31"}
    declare(config_file, access="read-only", on_excess="warn", allow=[allowed])
    done = step("doctor", "migrate")
    unneeded = '; allow "PG.ROLE.CREATEDB" matches nothing that it can do: remove it'
    said = f"! scope       {WIDE}; on_excess: warn lets it pass\n".replace(" 18.6:", f" 18.6{unneeded}:")
    assert under(done.stdout, "scope").startswith(said)
    assert done.stdout.endswith("\n1 warning: see above.\n")
    assert done.returncode == 1


def test_what_nobody_is_to_measure(step: Step, config_file: Path) -> None:
    declare(config_file, measure="off")
    done = step("doctor", "migrate")
    assert under(done.stdout, "scope") == "– scope       the profile says measure: off\n"
    assert done.returncode == 0


def test_no_secret_is_shown(stack: Stack, step: Step) -> None:
    before = len(stack.audit())
    done = step("doctor", "--json", VAULT_TOKEN=stack.openbao.root_token.reveal())
    shown = done.stdout + done.stderr
    assert stack.openbao.root_token.reveal() not in shown
    assert stack.issuer.request_token.reveal() not in shown
    assert "eyJ" not in shown  # how every JWT begins
    # The audit log of this stack tells every request and answer, with the secrets in them hashed; so the tokens of
    # OpenBao are known by their form alone.
    assert re.search(r"\bs\.[A-Za-z0-9]{20}", shown) is None
    assert len(stack.audit()) > before


# One broken link at a time.


def test_a_config_that_is_wrong(step: Step, config_file: Path, normal: Callable[[str], str]) -> None:
    config_file.write_text(config_file.read_text().replace("access: ddl", "access: dll"))
    done = step("doctor")
    assert normal(done.stdout) == (
        "✗ config      1 problem in the configuration\n"
        'stepcreds.yml:14:5: profiles.migrate.access: "dll" is not one of read-only, read-write, ddl\n'
        '  fix: Did you mean "ddl"?\n'
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
        "\n1 broken: see above.\n"
    )
    assert (done.stderr, done.returncode) == ("", 2)


def test_a_profile_that_is_not_there(step: Step, normal: Callable[[str], str]) -> None:
    done = step("doctor", "migrat")
    assert normal(unannotated(done.stderr)) == (
        "stepcreds: error: There is no profile migrat in FOLDER/stepcreds.yml\n"
        "  fix: The profiles there are: migrate, verify.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )
    assert (done.stdout, done.returncode) == ("", 2)


def test_no_identity(step: Step, normal: Callable[[str], str]) -> None:
    done = step("doctor", "verify", ACTIONS_ID_TOKEN_REQUEST_URL=None)
    identity = under(normal(done.stdout), "identity")
    assert identity.startswith("✗ identity ")
    assert "id-token: write" in identity
    assert under(normal(done.stdout), "login") == "– login       not looked at: identity comes first\n"
    assert normal(done.stdout).endswith(
        "✓ network     DATABASE answers as PostgreSQL does (sslmode=disable)\n"
        "– issue       not looked at: login comes first\n"
        "– lifetime    not looked at: issue comes first\n"
        "– database    not looked at: issue comes first\n"
        "– scope       not looked at: issue comes first\n"
        "– revoke      not looked at: issue comes first\n"
        "– sessions    not looked at: issue comes first\n"
        "– proof       not looked at: issue comes first\n"
        "\n1 broken: see above.\n"
    )
    assert done.returncode == 1


def test_another_audience_than_the_roles(stack: Stack, step: Step, config_file: Path) -> None:
    audience = f"{stack.address}/other"
    config_file.write_text(config_file.read_text().replace(f"audience: {stack.address}", f"audience: {audience}"))
    done = step("doctor", "verify", VAULT_TOKEN=stack.openbao.root_token.reveal())
    role = re.sub("  +", "  ", under(done.stdout, "role"))
    assert role == (
        "✗ role  auth/jwt/role/app-verify does not fit: bound_audiences\n"
        "  setting  the role wants  this job has\n"
        "  role_type  jwt  jwt  ok\n"
        f"  bound_issuer  {stack.issuer.url}  {stack.issuer.url}  ok\n"
        f"  bound_audiences  {stack.address}  {audience}  differs\n"
        "  user_claim  repository  acme/shop  ok\n"
        "  bound_claims environment  production  production  ok\n"
        "  bound_claims repository_id  71717171  71717171  ok\n"
        "  cause: Vault refuses the login of this job.\n"
        "  fix: If this job is meant to have the role (each setting that is named is replaced as a whole):\n"
        f"""  printf %s '{{"role_type": "jwt", "bound_audiences": ["{audience}"]}}' | """
        "bao write auth/jwt/role/app-verify -\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#role-differs\n"
    )
    assert under(done.stdout, "login").startswith(
        "✗ login       Vault refused the login of role app-verify at auth/jwt: error validating token: invalid "
        "audience (aud) claim: audience claim does not match any expected audience\n"
        f"  cause: The role's bound_audiences do not hold {audience}.\n"
    )
    assert done.returncode == 1


def test_a_claim_that_is_missing_and_one_that_differs(
    stack: Stack, step: Step, monkeypatch: pytest.MonkeyPatch, normal: Callable[[str], str]
) -> None:
    monkeypatch.setitem(stack.issuer.claims, "environment", None)
    monkeypatch.setitem(stack.issuer.claims, "repository_id", "666")
    done = step("doctor", "migrate", BAO_TOKEN=stack.openbao.root_token.reveal())
    output = normal(done.stdout)
    role = re.sub("  +", "  ", under(output, "role"))
    assert role.splitlines()[6:] == [
        "  bound_claims environment  production  (none)  missing",
        "  bound_claims repository_id  71717171  666  differs",
        "  cause: Vault refuses the login of this job.",
        "  fix: If this job is meant to have the role (each setting that is named is replaced as a whole):",
        """  printf %s '{"role_type": "jwt", "bound_claims": {"repository_id": "666"}, "bound_claims_type": """
        """"string"}' | """
        "bao write auth/jwt/role/app-migrate -",
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#role-differs",
    ]
    # Vault itself names one of the two, and not always the same.
    assert re.match(
        r"✗ login       Vault refused the login of role app-migrate at auth/jwt: error validating claims: claim "
        r'("environment" is missing|"repository_id" does not match any associated bound claim values)\n',
        under(output, "login"),
    )
    assert output.endswith(f"{CUT_SHORT}\n2 broken: see above.\n")


def test_a_role_that_is_not_there(stack: Stack, step: Step, config_file: Path, normal: Callable[[str], str]) -> None:
    config_file.write_text(config_file.read_text().replace("role: app-verify", "role: nobody"))
    done = step("doctor", "verify", VAULT_TOKEN=stack.openbao.root_token.reveal())
    output = normal(done.stdout)
    assert under(output, "role") == "– role        not read: there is no auth/jwt/role/nobody\n"
    login = under(output, "login")
    assert login.startswith(
        '✗ login       Vault refused the login of role nobody at auth/jwt: role "nobody" could not be found\n'
        "  cause: There is no role nobody at auth/jwt.\n"
    )
    assert login.endswith(
        "  fix: The roles there are:\n"
        "      bao list auth/jwt/role\n"
        "    Correct `role` of the profile (its default is the profile's name), or `mount` of vault.auth.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#login-role\n"
    )
    assert output.endswith(f"{CUT_SHORT}\n1 broken: see above.\n")


def test_a_policy_that_cannot_revoke(stack: Stack, step: Step, config_file: Path, normal: Callable[[str], str]) -> None:
    with lax_role(stack, ISSUE) as name:
        config_file.write_text(config_file.read_text().replace("role: app-verify", f"role: {name}"))
        done = step("doctor", "verify")
    output = normal(done.stdout)
    assert under(output, "revocation") == (
        "✗ revocation  This token may not revoke what database/creds/app-verify issues, so nothing is issued\n"
        "  cause: Vault's `default` policy does not hold sys/leases/revoke; or allowed_parameters of the role's policy "
        'leave out "sync", without which Vault only queues a revocation.\n'
        "  fix: Add to a policy of the role:\n"
        '    path "sys/leases/revoke" {\n'
        '      capabilities = ["update"]\n'
        "      allowed_parameters = {\n"
        '        "lease_id" = ["database/creds/app-verify/*"]\n'
        '        "sync"     = []\n'
        "      }\n"
        "    }\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#policy-revoke\n"
    )
    assert under(output, "issue") == "– issue       not looked at: revocation comes first\n"


def test_a_policy_that_lacks_what_a_step_needs(
    stack: Stack, step: Step, config_file: Path, normal: Callable[[str], str]
) -> None:
    revoke = 'path "sys/leases/revoke" { capabilities = ["update"] }\n'
    with lax_role(stack, ISSUE + revoke, token_no_default_policy=True) as name:
        config_file.write_text(config_file.read_text().replace("role: app-verify", f"role: {name}"))
        done = step("doctor", "verify")
    policy = under(normal(done.stdout), "policy")
    assert policy.startswith(
        f"✗ policy      The policies of role {name} do not allow sys/leases/lookup, sys/leases/renew, "
        "auth/token/renew-self, auth/token/revoke-accessor, auth/token/revoke-self\n"
        "  cause: A step looks its lease up to prove it dead, keeps lease and token alive while the command runs, and "
        "gives the token back; `stepcreds revoke` ends what was lost by its accessor; and what cannot be revoked at "
        "once is left to Vault's queue (sync=false).\n"
        "  fix: The least that this profile needs, as a policy:\n"
        "    # Issue.\n"
        '    path "database/creds/app-verify" {\n'
    )
    assert policy.endswith(
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#policy-missing\n"
    )
    assert under(done.stdout, "issue") == "– issue       not looked at: policy comes first\n"


def test_a_policy_that_cannot_issue(stack: Stack, step: Step, config_file: Path, normal: Callable[[str], str]) -> None:
    revoke = 'path "sys/leases/revoke" { capabilities = ["update"] }\n'
    accessor = 'path "auth/token/revoke-accessor" { capabilities = ["update"] }\n'
    with lax_role(stack, revoke + accessor) as name:
        config_file.write_text(config_file.read_text().replace("role: app-verify", f"role: {name}"))
        done = step("doctor", "verify")
    output = normal(done.stdout)
    assert under(output, "issue") == (
        "✗ issue       Vault at VAULT answered 403 to GET database/creds/app-verify: permission denied\n"
        "  cause: The policies of the token do not allow to read database/creds/app-verify.\n"
        "  fix: Add to a policy of the role:\n"
        '    path "database/creds/app-verify" {\n'
        '      capabilities = ["read"]\n'
        "    }\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#policy-creds\n"
    )
    assert output.endswith(
        "– database    not looked at: issue comes first\n"
        "– scope       not looked at: issue comes first\n"
        "– revoke      not looked at: issue comes first\n"
        "– sessions    not looked at: issue comes first\n"
        "– proof       not looked at: issue comes first\n"
        "\n1 broken: see above.\n"
    )


def test_a_role_that_gives_batch_tokens_and_does_not_fix_the_repository(
    stack: Stack, step: Step, config_file: Path, normal: Callable[[str], str]
) -> None:
    with lax_role(stack, ISSUE, token_type="batch", user_claim="repository_owner") as name:
        config_file.write_text(config_file.read_text().replace("role: app-verify", f"role: {name}"))
        done = step("doctor", "verify", VAULT_TOKEN=stack.openbao.root_token.reveal())
    output = normal(done.stdout)
    role = under(output, "role")
    assert role.startswith(f"✗ role        auth/jwt/role/{name} does not fit: token_type, user_claim\n")
    assert (
        "  cause: The role gives batch tokens, which cannot be revoked. The role's user_claim repository_owner does "
        "not fix the repository: jobs of other repositories are the same entity to Vault, and its policies cannot tell "
        "them apart.\n"
        "  fix: If this job is meant to have the role (each setting that is named is replaced as a whole):\n"
        """      printf %s '{"role_type": "jwt", "user_claim": "repository", "token_type": "service"}' | """
        f"bao write auth/jwt/role/{name} -\n"
    ) in role
    assert under(output, "login") == (
        f"✗ login       The role {name} at auth/jwt gives batch tokens, which cannot be revoked\n"
        "  cause: A batch token and what it issues live until they expire, whatever happens to the step.\n"
        "  fix: Make the role give service tokens:\n"
        f"      bao write auth/jwt/role/{name} role_type=jwt token_type=service\n"
        f"    {GLOB}\n"
        f"  see: {DOCS}#batch-token\n"
    )


def test_a_token_of_the_operator_that_may_not_read_the_role(stack: Stack, step: Step) -> None:
    with stack.login("app-verify") as vault:
        done = step("doctor", "verify", VAULT_TOKEN=vault.token)
    assert under(done.stdout, "role") == (
        "– role        not read: your Vault token may not read auth/jwt/role/app-verify\n"
    )
    assert done.returncode == 0


def test_a_token_of_the_operator_that_vault_does_not_know(step: Step) -> None:
    done = step("doctor", "verify", VAULT_TOKEN="s.nobody")
    assert under(done.stdout, "role") == ("– role        not read: Vault does not know your token (any longer)\n")
    assert done.returncode == 0


def test_operator_without_a_token(step: Step, tmp_path: Path) -> None:
    done = step("doctor", "--operator", HOME=str(tmp_path))
    assert unannotated(done.stderr) == (
        "stepcreds: error: --operator needs a Vault token, and there is none\n"
        "  cause: Neither VAULT_TOKEN nor BAO_TOKEN is set, and ~/.vault-token does not exist.\n"
        "  fix: Log in first: vault login (or bao login)\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#as-operator\n"
    )
    assert done.returncode == 2


def test_the_token_file_is_read_only_when_asked(stack: Stack, step: Step, tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text(stack.openbao.root_token.reveal())
    unasked, asked = (
        step("doctor", "verify", HOME=str(tmp_path)),
        step("doctor", "verify", "--operator", HOME=str(tmp_path)),
    )
    assert under(unasked.stdout, "role").startswith("– role ")
    assert under(asked.stdout, "role").startswith("✓ role        auth/jwt/role/app-verify fits this job\n")


def test_outside_of_a_job(step: Step, stack: Stack) -> None:
    laptop = dict.fromkeys(("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"), "")
    done = step("doctor", "verify", **laptop)
    assert under(done.stdout, "identity") == (
        "✗ identity    There is no CI here that could say who this step is\n"
        "  cause: No variable of a CI that stepcreds knows is set, nor is --id-token-file or STEPCREDS_ID_TOKEN.\n"
        "  fix: On another CI, write its ID token to a file:\n"
        "      stepcreds doctor --id-token-file FILE\n"
        "    On your own machine there is no job to examine. With the Vault token that you logged in with, what a "
        "credential can do:\n"
        "      stepcreds scope --as-operator PROFILE\n"
        f"  see: {DOCS}#no-identity\n"
    )
    assert under(done.stdout, "login") == "– login       not looked at: identity comes first\n"
    assert (done.stderr, done.returncode) == ("", 1)


@pytest.fixture
def dead_port() -> int:
    with Relay(0) as relay:
        return relay.port


def test_a_database_that_cannot_be_reached(stack: Stack, step: Step, config_file: Path, dead_port: int) -> None:
    here = f"127.0.0.1:{stack.postgresql.port}"
    config_file.write_text(config_file.read_text().replace(here, f"127.0.0.1:{dead_port}"))
    done = step("doctor", "verify")
    network = under(done.stdout, "network")
    assert network == (
        f"✗ network     127.0.0.1:{dead_port} refused the connection\n"
        "  cause: Nothing listens there: the server is down, or host or port is wrong.\n"
        "  fix: Look at `database` of the profile, and at the network. From this machine:\n"
        f"      nc -vz 127.0.0.1 {dead_port}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#database\n"
    )
    assert under(done.stdout, "issue") == "– issue       not looked at: network comes first\n"
    assert done.stdout.endswith("\n1 broken: see above.\n")
    assert done.returncode == 1


def test_a_database_without_the_tls_that_the_profile_asks_for(
    step: Step, config_file: Path, normal: Callable[[str], str]
) -> None:
    config_file.write_text(config_file.read_text().replace("sslmode=disable", "sslmode=require"))
    done = step("doctor", "verify")
    output = normal(done.stdout)
    network = under(output, "network")
    assert network.startswith("✗ network     DATABASE ")
    assert "TLS" in network
    assert under(output, "issue") == "– issue       not looked at: network comes first\n"
    assert done.returncode == 1


def test_vault_that_does_not_answer(step: Step, config_file: Path, stack: Stack, dead_port: int) -> None:
    there = f"http://127.0.0.1:{dead_port}"
    config_file.write_text(config_file.read_text().replace(f"address: {stack.address}", f"address: {there}"))
    done = step("doctor", "verify")
    vault = under(done.stdout, "vault")
    assert re.match(
        rf"✗ vault       No answer from Vault at {there}: connection refused \(tried \d+ times in \d+ s\)\n"
        r"  cause: The address is wrong, the server is down, or this machine may not reach it\.\n"
        r"  fix: Look at vault\.address in stepcreds\.yml \(or VAULT_ADDR\), the network and the proxy variables\. "
        rf"From this machine:\n      curl -sS {there}/v1/sys/health\n"
        r"  see: https://github\.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting\.md#vault-unreachable\n$",
        vault,
    )
    assert under(done.stdout, "role") == "– role        not looked at: vault comes first\n"
    assert under(done.stdout, "login") == "– login       not looked at: vault comes first\n"
    assert done.returncode == 1


def test_a_sealed_vault_among_others(step: Step, config_file: Path, stack: Stack) -> None:
    import hvac

    with OpenBao() as bao:
        client = hvac.Client(url=bao.address, token=bao.root_token.reveal())
        client.sys.seal()
        client.adapter.close()
        text = config_file.read_text()
        config_file.write_text(text.replace(f"address: {stack.address}", f"address: {bao.address}"))
        alone = step("doctor", "verify")
        config_file.write_text(text.replace(f"address: {stack.address}", f"address: [{bao.address}, {stack.address}]"))
        among = step("doctor", "verify")
    assert under(alone.stdout, "vault") == (
        f"✗ vault       Vault at {bao.address} is sealed\n"
        "  cause: The server was started and not unsealed, or somebody sealed it.\n"
        "  fix: An operator must do it:\n      bao operator unseal\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-sealed\n"
    )
    assert alone.returncode == 1
    assert under(among.stdout, "vault") == (
        f"! vault       {stack.address}: version 2.7.2, without TLS; Vault at {bao.address} is sealed\n"
        f"  cause: Vault at {bao.address} is sealed. A step goes on to the next address; when that fails too, nothing "
        "can be revoked.\n"
        "  fix: An operator must do it:\n      bao operator unseal\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-sealed\n"
    )
    assert (among.stdout[-23:], among.returncode) == ("\n1 warning: see above.\n", 1)


def test_a_member_of_the_list_that_does_not_answer(step: Step, config_file: Path, stack: Stack, dead_port: int) -> None:
    there = f"http://127.0.0.1:{dead_port}"
    text = config_file.read_text()
    config_file.write_text(text.replace(f"address: {stack.address}", f"address: [{there}, {stack.address}]"))
    done = step("doctor", "verify", VAULT_CLIENT_TIMEOUT="2s")
    vault = re.sub(r"tried \d+ times in \d+ s", "tried N times in N s", under(done.stdout, "vault"))
    silent = f"No answer from Vault at {there}: connection refused (tried N times in N s)"
    assert vault == (
        f"! vault       {stack.address}: version 2.7.2, without TLS; {silent}\n"
        f"  cause: {silent}. A step goes on to the next address; when that fails too, nothing can be revoked.\n"
        "  fix: Look at vault.address in stepcreds.yml (or VAULT_ADDR), the network and the proxy variables. From this "
        f"machine:\n      curl -sS {there}/v1/sys/health\n"
        f"  see: {DOCS}#vault-unreachable\n"
    )
    assert (done.stdout[-23:], done.returncode) == ("\n1 warning: see above.\n", 1)


# Interrupted.


class Gate(Relay):
    """Hands every connection on but the second, which gets no answer: that of the link "database"."""

    def __init__(self, port: int) -> None:
        self.held = threading.Event()
        super().__init__(port)

    def _connected(self, near: socket.socket) -> None:
        if self.connections == 2:
            self.held.set()
        else:
            super()._connected(near)


@contextmanager
def started(stack: Stack, config_file: Path, gate: Gate) -> Iterator[subprocess.Popen[str]]:
    """A doctor that has issued a credential and waits for the database."""
    here = f"127.0.0.1:{stack.postgresql.port}"
    config_file.write_text(config_file.read_text().replace(here, f"127.0.0.1:{gate.port}"))
    with subprocess.Popen(
        [sys.executable, "-m", "stepcreds", "doctor", "verify"],
        cwd=config_file.parent,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("✓ lifetime "):
                break
        assert gate.held.wait(60)
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_issued_is_ended_when_doctor_is_interrupted(
    stack: Stack, config_file: Path, number: signal.Signals
) -> None:
    with Gate(stack.postgresql.port) as gate, started(stack, config_file, gate) as process:
        process.send_signal(number)
        output, problems = process.communicate(timeout=60)
    assert output == REVOKED + "\n1 broken: see above.\n"
    assert problems == (
        f"stepcreds: error: Ended by {number.name} before every link was looked at\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#cancelled\n"
        f"::error title=stepcreds%3A Ended by {number.name} before every link was looked at::"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#cancelled\n"
    )
    assert process.returncode == 1


def test_what_was_issued_is_ended_when_doctor_is_killed(stack: Stack, config_file: Path) -> None:
    with Gate(stack.postgresql.port) as gate, started(stack, config_file, gate) as process:
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        _, problems = process.communicate(timeout=60)
    assert "verify: proven dead (lease lookup and refused logins)\n" in problems
    assert process.returncode == 1
