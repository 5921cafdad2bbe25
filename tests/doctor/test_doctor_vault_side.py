"""What `stepcreds doctor` warns of at OpenBao: roles, policies and statements that make a failure worse; each link whole."""

# ruff: noqa: RUF001 - the en dash is one of the marks that doctor prints

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from doctor_runs import DOCS, GLOB, ISSUE, Step, lax_role, told, under
from step_runs import Oddities, audited, of_kind, reconfigure, verdicts

from faulty_vault import Fault, FaultyVault
from stepcreds.devstack.stack import Stack
from stepcreds.doctor.link import BrokenError, Link
from stepcreds.doctor.role import judge
from stepcreds.setup import postgresql

pytestmark = pytest.mark.usefixtures("alone")

LAX_ROLE = 'path "auth/token/revoke-accessor" { capabilities = ["update"] }\npath "sys/leases/revoke" { capabilities = ["update"] }\n'


def write(role: str, settings: str) -> str:
    return f"""printf %s '{{"role_type": "jwt", {settings}}}' | bao write auth/jwt/role/{role} -"""


# Lifetimes.


def test_a_lease_and_a_token_that_end_before_max_ttl(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        tokens = {"token_ttl": 60, "token_max_ttl": 300}
        odd.profile("short", access="read-only", jwt_role=tokens, database_role={"max_ttl": 200})
        done = step("doctor", "short", VAULT_TOKEN=stack.openbao.root_token.reveal())
    change = write(
        "app-short", '"token_ttl": 210, "token_max_ttl": 690, "token_explicit_max_ttl": 0, "token_period": 0'
    )
    wants = "and the lease dies with it. A step wants 2m (ttl) to begin with, 10m (max_ttl) at most, and 90 s to revoke and prove."
    assert re.sub(r"\b(3m20s|5m|4m59s|3m19s)\b", "T", under(done.stdout, "lifetime")) == (
        "! lifetime    renewed as far as Vault lets them, the lease lasts T, the token T; at first the token lasts 1m\n"
        "  cause: The lease can be renewed until T after it was issued. max_ttl of the profile is 10m: a command that "
        "takes longer than the lease loses its credential in the middle.\n"
        f"    The token can be renewed until the login is past by T, {wants}\n"
        f"    At first the token lasts 1m, {wants}\n"
        "    Your token reads:\n"
        "      database/roles/app-short: default_ttl 2m, max_ttl T\n"
        "      sys/mounts/database/tune: max_lease_ttl 768h\n"
        "      auth/jwt/role/app-short: token_ttl 1m, token_max_ttl T, token_period 0s, token_explicit_max_ttl 0s\n"
        "      sys/auth/jwt/tune: max_lease_ttl 768h\n"
        "  fix: Let the lease last:\n"
        "      bao write database/roles/app-short max_ttl=600s\n"
        "      bao read sys/mounts/database/tune   (its max_lease_ttl is a limit too)\n"
        "    Or lower profiles.short.max_ttl.\n"
        "    Let the token last:\n"
        f"      {change}\n"
        "      bao read sys/auth/jwt/tune   (its max_lease_ttl is a limit too)\n"
        f"    {GLOB}\n"
        f"  see: {DOCS}#lifetime\n"
    )
    assert (done.stdout[-23:], done.returncode) == ("\n1 warning: see above.\n", 1)


def test_a_token_whose_period_is_shorter_than_the_ttl(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("periodic", access="read-only", jwt_role={"token_period": 60})
        done = step("doctor", "periodic", "--json")
        odd.profile("lasting", access="read-only", jwt_role={"token_period": 300})
        assert told(step("doctor", "lasting", "--json"), "lifetime")["status"] == "ok"
    link = told(done, "lifetime")
    assert (link["status"], link["found"]) == (
        "warning",
        "renewed as far as Vault lets them, the lease lasts 10m, the token 1m at a time; at first the token lasts 1m",
    )
    assert link["cause"] == (
        "The token is periodic, and each renewal keeps it for 1m, and the lease dies with it. A step wants 2m (ttl) to "
        "begin with, 10m (max_ttl) at most, and 90 s to revoke and prove."
    )
    counts = json.loads(done.stdout)
    assert [counts[name] for name in ("findings", "broken", "warnings")] == [1, 0, 1]
    assert done.returncode == 1


def test_a_lease_that_is_issued_for_too_long(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        long = {"default_ttl": 3600, "max_ttl": 7200}
        odd.profile("long", access="read-only", jwt_role={"token_ttl": 1800, "token_max_ttl": 3600}, database_role=long)
        done = step("doctor", "long")
    assert under(done.stdout, "lifetime").replace("1h59m59s", "2h").replace("59m59s", "1h") == (
        "! lifetime    renewed as far as Vault lets them, the lease lasts 10m, the token 11m30s; at first the token "
        "lasts 30m\n"
        "  cause: As it is issued the lease lasts 1h, and its token 30m; stepcreds shortens it to 2m (ttl) a moment "
        "later. A step that is killed in between leaves a credential that lives for as long as the shorter of the "
        "two.\n"
        "  fix: Issue it no longer than it is to live:\n"
        "      bao write database/roles/app-long default_ttl=120s\n"
        f"  see: {DOCS}#lifetime\n"
    )
    assert done.returncode == 1


def epoch(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def times_of_issue(config_file: Path) -> list[float]:
    """Seconds from the issue to the end, by each credential's record."""
    issued = of_kind(config_file, "credential.issued")
    return [epoch(record["expire_time"]) - epoch(record["issue_time"]) for record in issued]


def test_a_lease_that_could_not_be_shortened_again_is_ended_at_once(
    stack: Stack, step: Step, config_file: Path
) -> None:
    """Of any length on record: whoever finds it there after a SIGKILL knows until when it may live."""
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        vault.fail("renew", Fault("pass"), times=2)  # of the link policy; and to max_ttl
        vault.fail("renew", Fault(status=400, body=b'{"errors":["not today"]}'), times=None)
        done = step("doctor", "verify")
        after = vault.stages[-vault.stages[::-1].index("renew") :]
    assert re.sub(r"127\.0\.0\.1:\d+", "VAULT", under(done.stdout, "lifetime")) == (
        "✗ lifetime    The lease could not be shortened again to 2m: Vault at http://VAULT answered 400 to POST "
        "sys/leases/renew: not today\n"
        "  cause: It had been renewed to 10m, to see whether Vault allows that. The credential is ended at once.\n"
        f"  see: {DOCS}#vault-answers\n"
    )
    assert under(done.stdout, "database") == "– database    not looked at: lifetime comes first\n"
    assert under(done.stdout, "scope") == "– scope       not looked at: lifetime comes first\n"
    assert under(done.stdout, "proof").startswith("✓ proof ")
    assert after[:2] == ["revoke", "lookup"]
    (seconds,) = times_of_issue(config_file)
    assert 200 < seconds <= 210  # of its token: ttl and 90 s
    assert verdicts(config_file) == ["proven dead"]


def test_the_other_half_knows_until_when_a_lease_may_live_that_is_longer_for_a_moment(
    stack: Stack, config_file: Path
) -> None:
    with FaultyVault(stack.address) as vault:
        reconfigure(config_file, lambda document: document["vault"].update(address=vault.address))
        vault.fail("renew", Fault("pass"), times=2)  # of the link policy; and to max_ttl
        held = vault.fail("renew", Fault("hang"))
        for stage in ("revoke", "queue"):
            vault.fail(stage, Fault(status=403), times=None)
        with subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "doctor", "verify"],
            cwd=config_file.parent,
            env=stack.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert held.arrived.wait(60)
            (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(worker), signal.SIGKILL)
            process.wait(120)
    (lease,) = (record["lease_id"] for record in of_kind(config_file, "credential.issued"))
    with stack.client() as root:
        root.write_data("sys/leases/revoke", data={"lease_id": lease, "sync": True})
    (verdict,) = verdicts(config_file)
    (issued,) = of_kind(config_file, "credential.issued")
    assert epoch(verdict.removeprefix("expires at ")) - epoch(issued["issue_time"]) >= 600


# Revocation.


def command(link: str) -> dict[str, object]:
    """What the command of a fix writes."""
    (line,) = (line.strip() for line in link.splitlines() if line.strip().startswith("printf %s "))
    words = shlex.split(line)
    assert words[3:6] == ["|", "bao", "write"]
    body: dict[str, object] = json.loads(words[2])
    return body


STAYS = (
    "Vault's revocation leaves open sessions at work. A step ends them itself, when it locks the user out; after a "
    "SIGKILL of both halves, or where the database cannot be reached then, what is connected stays connected."
)
INSTEAD = "Revoke with statements that end sessions, and take what the user owns along:"


def test_default_statements_leave_sessions_open_and_the_fix_ends_them(
    stack: Stack, step: Step, config_file: Path
) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("lax", access="read-only", database_role={"revocation_statements": []})
        blind = step("doctor", "lax")
        seeing = step("doctor", "lax", VAULT_TOKEN=stack.openbao.root_token.reveal())
        found = under(blind.stdout, "sessions")
        with stack.client() as root:
            root.write_data("database/roles/app-lax", data=command(found))
        mended = step("doctor", "lax", VAULT_TOKEN=stack.openbao.root_token.reveal())
    assert found.partition("      printf")[0] == (
        f"! sessions    a session that was open outlived the revocation\n  cause: {STAYS}\n  fix: {INSTEAD}\n"
    )
    assert found.endswith(f" | bao write database/roles/app-lax -\n  see: {DOCS}#statements\n")
    assert command(found) == {"revocation_statements": postgresql.revocation()}
    assert blind.stdout.endswith("(lease lookup and refused logins)\n\n1 warning: see above.\n")
    assert blind.returncode == 1
    read = under(seeing.stdout, "statements")
    assert read.partition("      printf")[0] == (
        "! statements  database/roles/app-lax revokes with the engine's default statements\n"
        f"  cause: {STAYS}\n"
        "    The revocation fails where the user owns something or was granted something (a table, ALTER DEFAULT "
        "PRIVILEGES, lo_create): the role stays, and after six attempts Vault gives the lease up.\n"
        f"  fix: {INSTEAD}\n"
    )
    assert command(read) == {"revocation_statements": postgresql.revocation()}
    assert under(seeing.stdout, "sessions") == (
        f"! sessions    a session that was open outlived the revocation\n  cause: {STAYS}\n"
        f"  fix: The command of `statements`, above.\n  see: {DOCS}#statements\n"
    )
    assert seeing.stdout.endswith("\n2 warnings: see above.\n")
    assert (mended.stdout[-19:], mended.returncode) == ("\nEvery link holds.\n", 0)


def test_who_owns_what_a_migration_makes_is_seen_in_its_session(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("lax", database_role={"revocation_statements": []})
        blind = step("doctor", "lax")
    assert command(under(blind.stdout, "sessions")) == {"revocation_statements": postgresql.revocation("app_owner")}


def test_statements_that_drop_what_a_migration_made(stack: Stack, step: Step, config_file: Path) -> None:
    creation = [
        "CREATE ROLE \"{{name}}\" LOGIN INHERIT IN ROLE app_owner PASSWORD '{{password}}'",
        'GRANT "{{name}}" TO CURRENT_USER',
    ]
    ends = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'",
        'DROP OWNED BY "{{name}}"',
        'DROP ROLE "{{name}}"',
    )
    with Oddities(stack, config_file) as odd:
        lists = {"creation_statements": creation, "revocation_statements": list(ends)}
        odd.profile("lax", database_role=lists, measure="off")
        done = step("doctor", "lax", VAULT_TOKEN=stack.openbao.root_token.reveal())
    assert under(done.stdout, "statements") == (
        "! statements  database/roles/app-lax revokes with statements of its own\n"
        "  cause: What the command makes belongs to the issued user itself (its creation has no SET role), and the "
        "revocation runs DROP OWNED without REASSIGN OWNED: it drops the tables that a migration made.\n"
        "    The user is made without VALID UNTIL: should Vault fail to revoke it, its password works for ever.\n"
        "  fix: Let `stepcreds setup` write both lists for this profile:\n"
        "      stepcreds setup --format shell\n"
        "    Add to CREATE ROLE in the role's creation_statements:\n"
        "      VALID UNTIL '{{expiration}}'\n"
        f"  see: {DOCS}#statements\n"
    )
    assert done.returncode == 1


# Policies.


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_a_policy_that_allows_one_kind_of_revocation(stack: Stack, step: Step, config_file: Path, allowed: str) -> None:
    def narrowed(policy: str) -> str:
        assert policy.count('"sync"     = []') + policy.count('"sync" = []') == 1
        return policy.replace('"sync" = []', f'"sync" = [{allowed}]').replace(
            '"sync"     = []', f'"sync" = [{allowed}]'
        )

    with Oddities(stack, config_file) as odd:
        odd.profile("lax", access="read-only", policy=narrowed)
        done = step("doctor", "lax", "--json")
    broken = {"true": ("policy", "policy-missing"), "false": ("revocation", "policy-revoke")}[allowed]
    links = {each["link"]: each for each in json.loads(done.stdout)["links"] if each["status"] == "failed"}
    if allowed == "true":
        assert links["policy"]["found"] == "The policies of role app-lax do not allow sys/leases/revoke with sync=false"
    else:
        # A revocation of a lease that does not exist, and that Vault would only queue, was refused as well.
        assert links["revocation"]["found"].startswith("This token may not revoke what database/creds/app-lax issues")
    assert broken in [(name, link["docs"]) for name, link in links.items()]
    assert done.returncode == 1


def test_a_token_that_may_not_ask_what_it_may_do(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile(
            "blind", access="read-only", policy=lambda text: text.replace("sys/capabilities-self", "sys/nothing")
        )
        done = step("doctor", "blind")
    assert under(done.stdout, "policy") == (
        "! policy      look up, renew, give back\n"
        "  cause: The token may not ask what it may do (sys/capabilities-self), so `stepcreds scope` cannot tell "
        "whether that is more than this profile needs.\n"
        "  fix: Add to a policy of the role:\n"
        '      path "sys/capabilities-self" {\n'
        '        capabilities = ["update"]\n'
        "      }\n"
        f"  see: {DOCS}#policy-missing\n"
    )
    assert done.returncode == 1


# Tokens and whom a role lets in.


def test_a_token_whose_uses_are_counted_is_given_back_and_not_used(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("counted", access="read-only", jwt_role={"token_num_uses": 50})
        done = step("doctor", "counted")
        before = len(stack.audit())
        refused = step("exec", "counted", "--", "true")
    assert under(done.stdout, "login") == (
        "✗ login       The role app-counted at auth/jwt gives tokens that may be used only so many times\n"
        "  cause: How many calls a step needs is not known before: each renewal is some. A token that has come to its "
        "last use can revoke nothing.\n"
        "  fix: Let them be used as often as is needed:\n"
        "      bao write auth/jwt/role/app-counted role_type=jwt token_num_uses=0\n"
        f"    {GLOB}\n"
        f"  see: {DOCS}#counted-token\n"
    )
    assert (done.returncode, refused.returncode) == (1, 125)
    assert audited(stack, before)[:2] == [("update", "auth/jwt/login"), ("update", "auth/token/revoke-self")]


def test_a_user_claim_that_does_not_fix_the_repository_without_an_operator(
    stack: Stack, step: Step, config_file: Path
) -> None:
    with Oddities(stack, config_file) as odd:
        settings = {"user_claim": "repository_owner", "token_no_default_policy": False}
        odd.profile("shared", access="read-only", jwt_role=settings)
        done = step("doctor", "shared")
        odd.profile("own", access="read-only", jwt_role={"token_no_default_policy": False})
        assert told(step("doctor", "own", "--json"), "login")["status"] == "ok"
    assert re.sub(r"policies: .*", "policies: …", under(done.stdout, "login")) == (
        "! login       app-shared at auth/jwt: a service token for 3m30s, policies: …\n"
        "  cause: To Vault this job is jwt-acme, which is its claim repository_owner: the role's user_claim does not "
        "fix the repository, jobs of other repositories are the same entity, and policies cannot tell them apart.\n"
        "  fix: A user_claim that fixes it:\n"
        f"""      {write("app-shared", '"user_claim": "repository"')}\n"""
        f"    {GLOB}\n"
        f"  see: {DOCS}#role-too-wide\n"
    )
    assert done.returncode == 1


def test_a_role_for_every_repository_of_an_owner(stack: Stack, step: Step, config_file: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("wide", access="read-only", jwt_role={"bound_claims": {"repository_owner": "acme"}})
        done = step("doctor", "wide", VAULT_TOKEN=stack.openbao.root_token.reveal())
    role = re.sub("  +", "  ", under(done.stdout, "role"))
    assert role.splitlines()[0] == "! role  auth/jwt/role/app-wide fits this job"
    assert role.splitlines()[6:] == [
        "  bound_claims repository_owner  acme  acme  ok",
        "  cause: Jobs of other repositories may log in with the role: what it binds (repository_owner acme) does not "
        "fix the repository.",
        "  fix: Bind it to this repository:",
        """  printf %s '{"role_type": "jwt", "bound_claims": {"repository_id": "71717171", "environment": "production"""
        """", "ref": "refs/heads/main"}, "bound_claims_type": "string"}' | bao write auth/jwt/role/app-wide -""",
        f"  see: {DOCS}#role-too-wide",
    ]
    assert done.returncode == 1


def test_a_role_that_binds_nothing_but_an_audience(stack: Stack, step: Step, config_file: Path) -> None:
    with lax_role(stack, ISSUE + LAX_ROLE, bound_claims={}) as name:
        config_file.write_text(config_file.read_text().replace("role: app-verify", f"role: {name}"))
        done = step("doctor", "verify", VAULT_TOKEN=stack.openbao.root_token.reveal())
    role = re.sub("  +", "  ", under(done.stdout, "role"))
    assert role.splitlines()[0] == f"✗ role  auth/jwt/role/{name} does not fit: bound_claims"
    assert role.splitlines()[6:] == [
        "  cause: The role binds no claim: every job whose tokens the issuer signs may log in, of any repository. An "
        "audience keeps nobody out, because a job asks for whichever it likes.",
        "  fix: If this job is meant to have the role (each setting that is named is replaced as a whole):",
        """  printf %s '{"role_type": "jwt", "bound_claims": {"repository_id": "71717171", "environment": "production"""
        f"""", "ref": "refs/heads/main"}}, "bound_claims_type": "string"}}' | bao write auth/jwt/role/{name} -""",
        f"  see: {DOCS}#role-differs",
    ]
    assert done.returncode == 1


CLAIMS = {
    "aud": "v",
    "sub": "repo:acme/shop:environment:production",
    "repository": "acme/shop",
    "repository_id": "71717171",
    "repository_owner": "acme",
    "environment": "production",
}


@pytest.mark.parametrize(
    ("bound", "keeps_others_out"),
    [
        ({"repository": "acme/shop"}, True),
        ({"repository": "acme/*"}, False),
        ({"repository": "acme/sh*"}, True),
        ({"repository": "*/shop"}, True),
        ({"repository": ["acme/shop", "acme/*"]}, False),
        ({"sub": "repo:acme/shop:*"}, True),
        ({"sub": "repo:acme/*:environment:production"}, False),
        ({"sub": "*"}, False),
        ({"repository_id": "71717171"}, True),
        ({"repository_id": "7171*"}, False),
        ({"environment": "production"}, False),
        ({"environment": "production", "repository": "acme/shop"}, True),
    ],
)
def test_which_patterns_keep_other_repositories_out(bound: dict[str, object], keeps_others_out: bool) -> None:
    role = {
        "role_type": "jwt",
        "bound_audiences": ["v"],
        "bound_claims": bound,
        "bound_claims_type": "glob",
        "user_claim": "repository",
    }
    link = judge(role, None, name="app", mount="jwt", audience="v", claims=CLAIMS)
    assert link.status == ("ok" if keeps_others_out else "warning")


def test_a_bound_subject_keeps_others_out_and_counted_uses_do_not_fit() -> None:
    role = {"role_type": "jwt", "bound_audiences": ["v"], "bound_subject": CLAIMS["sub"], "user_claim": "repository"}

    def looked(**more: object) -> Link:
        return judge({**role, **more}, None, name="app", mount="jwt", audience="v", claims=CLAIMS)

    assert looked().status == "ok"
    with pytest.raises(BrokenError) as caught:
        looked(token_num_uses=3)
    assert caught.value.error.cause == "The role's tokens may be used 3 times; then they can revoke nothing."
    assert '"token_num_uses": 0' in caught.value.error.fix
