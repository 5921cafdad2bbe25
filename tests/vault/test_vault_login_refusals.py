"""Each way in which a real OpenBao refuses a login, and the whole of what stepcreds then says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from servers import settings

from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.errors import VaultError
from stepcreds.secret import Secret
from stepcreds.vault.advice import explain_login
from stepcreds.vault.client import Vault

AUDIENCE = "https://vault.example"
MOUNT = "refusals"
NOW = int(SystemClock().now())
TABLE = (
    "\nThis job's token says (unverified):\n"
    "  environment    production\n  iss            ISSUER\n  repository_id  71717171"
)
GLOB = "\nIf the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string."
LOOK = "What the role wants now:\n  bao read auth/refusals/role/app\n"
CONFIG = (
    "What the mount expects now:\n  bao read auth/refusals/config\nTo accept this job's issuer:\n"
    "  bao write auth/refusals/config oidc_discovery_url=ISSUER bound_issuer=ISSUER"
)
CLOCKS = "Compare the clocks of Vault's servers and of this runner (date -u), and let NTP keep both."
BIND = (
    '{"role_type": "jwt", "bound_claims": {"repository_id": "71717171", "environment": "production"}, '
    '"bound_claims_type": "string"}'
)


@dataclass(frozen=True)
class Case:
    said: str
    cause: str
    fix: str
    docs: str
    role: dict[str, Any] = field(default_factory=dict)  # beside what every role here has
    claims: dict[str, Any] = field(default_factory=dict)
    mount: str = MOUNT
    status: int = 400


CASES = {
    "issuer": Case(
        "error validating token: invalid issuer (iss) claim",
        "The mount auth/refusals accepts another issuer than this token's.",
        CONFIG,
        "login-issuer",
        claims={"iss": "https://other.example"},
    ),
    "subject": Case(
        "error validating token: invalid subject (sub) claim",
        "The role's bound_subject is another than this job's.",
        f"{LOOK}Bind claims that say one thing each rather than the subject, whose form differs with the repository's "
        "age and the job's environment:\n"
        """  printf %s '{"role_type": "jwt", "bound_subject": "", "bound_claims": {"repository_id": "71717171", """
        """"environment": "production"}, "bound_claims_type": "string"}'"""
        " | bao write auth/refusals/role/app -",
        "login-subject",
        role={"bound_subject": "repo:acme/other"},
    ),
    "expired": Case(
        "error validating token: invalid expiration time (exp) claim: token is expired",
        "By the clock of Vault's servers the token has expired: fetched too early, or a clock is wrong.",
        f"Fetch the token in the step that uses it. {CLOCKS}",
        "login-time",
        claims={"iat": NOW - 4000, "nbf": NOW - 4000, "exp": NOW - 3600},
    ),
    "not yet valid": Case(
        "error validating token: invalid not before (nbf) claim: token not yet valid",
        "By the clock of Vault's servers the token is not valid yet: a clock is wrong.",
        CLOCKS,
        "login-time",
        claims={"nbf": NOW + 3600, "exp": NOW + 7200},
    ),
    "issued in the future": Case(
        "error validating token: invalid issued at (iat) claim: token issued in the future",
        "By the clock of Vault's servers the token is not valid yet: a clock is wrong.",
        CLOCKS,
        "login-time",
        claims={"iat": NOW + 3600, "nbf": NOW, "exp": NOW + 7200},
    ),
    "no user claim": Case(
        'claim "team" not found in token',
        "The role's user_claim (or groups_claim) is team, and this job's token has none.",
        f"""{LOOK}A user_claim that is in this token and fixes the repository:\n  """
        """printf %s '{"role_type": "jwt", "user_claim": "repository_id"}' | bao write auth/refusals/role/app -"""
        + GLOB,
        "login-user-claim",
        role={"user_claim": "team"},
    ),
    "a user claim that is a number": Case(
        'claim "team" could not be converted to string',
        "The role takes a name from a claim that is not a text.",
        f"""{LOOK}A user_claim that is in this token and fixes the repository:\n  """
        """printf %s '{"role_type": "jwt", "user_claim": "repository_id"}' | bao write auth/refusals/role/app -"""
        + GLOB,
        "login-user-claim",
        role={"user_claim": "team"},
        claims={"team": 7},
    ),
    "no groups": Case(
        'failed to fetch groups: "team" claim not found in token',
        "The role's user_claim (or groups_claim) is team, and this job's token has none.",
        f"""{LOOK}A user_claim that is in this token and fixes the repository:\n  """
        """printf %s '{"role_type": "jwt", "user_claim": "repository_id"}' | bao write auth/refusals/role/app -"""
        + GLOB,
        "login-user-claim",
        role={"groups_claim": "team"},
    ),
    "no bound audiences": Case(
        "audience claim found in JWT but no audiences bound to the role",
        "The token has an audience, and the role does not say which audiences it accepts.",
        f"{LOOK}Either ask for an audience that is there (vault.auth.audience in stepcreds.yml), or put this job's in "
        "(this replaces bound_audiences as a whole):\n"
        """  printf %s '{"role_type": "jwt", "bound_audiences": ["https://vault.example"]}' | """
        "bao write auth/refusals/role/app -" + GLOB,
        "login-audience",
        role={"bound_audiences": [], "bound_claims": {"environment": "production"}},
    ),
    "a claim in a claim": Case(
        'error validating claims: claim "/team/name" is missing',
        "The role wants a claim /team/name, and this job's token has none.",
        f"{LOOK}Run the job where the role expects it; or, if this job is meant to have the role, bind the role to it "
        f"(this replaces bound_claims as a whole):\n  printf %s '{BIND}' | bao write auth/refusals/role/app -\n"
        "Vault names one claim and other claims may differ too. With a VAULT_TOKEN that may read the role, "
        "`stepcreds doctor` shows every difference.",
        "login-claim",
        role={"bound_claims": {"/team/name": "x"}},
    ),
    "a bound claim of a kind that cannot be compared": Case(
        "error validating claims: bound claim is not a string, bool, int or list: map[a:1]",
        "A bound claim, or the claim that it is compared with, is of a kind that Vault cannot compare.",
        f"{LOOK}Run the job where the role expects it; or, if this job is meant to have the role, bind the role to it "
        f"(this replaces bound_claims as a whole):\n  printf %s '{BIND}' | bao write auth/refusals/role/app -\n"
        "Vault names one claim and other claims may differ too. With a VAULT_TOKEN that may read the role, "
        "`stepcreds doctor` shows every difference.",
        "login-claim",
        role={"bound_claims": {"environment": {"a": 1}}},
    ),
    "a role for people": Case(
        "role with oidc role_type is not allowed",
        "The role app is for people who log in with a browser.",
        "Make a role of its own for the pipeline, with role_type=jwt.",
        "login-role",
        role={"role_type": "oidc", "allowed_redirect_uris": ["https://vault.example/callback"]},
    ),
    "an address that is not bound": Case(
        "permission denied",
        "Vault says no more than this. Either nothing is mounted at auth/refusals (in this namespace), or it is not a "
        "JWT mount, or the role's token_bound_cidrs do not hold this runner's address.",
        "What is mounted:\n  bao auth list\nThe addresses that the role accepts:\n"
        "  bao read -field=token_bound_cidrs auth/refusals/role/app",
        "login-denied",
        role={"token_bound_cidrs": ["10.0.0.0/8"]},
        status=403,
    ),
    "a mount that nobody set up": Case(
        "could not load configuration",
        "The mount auth/refusals-empty exists, and nobody has set it up.",
        CONFIG.replace("refusals", "refusals-empty"),
        "login-mount",
        mount="refusals-empty",
    ),
    "a mount of another kind": Case(
        "missing role_id (tried 1 times in 0 s)",
        "No JWT auth method is mounted at auth/refusals-approle (in this namespace).",
        "What is mounted:\n  bao auth list\nCorrect vault.auth.mount and vault.namespace in stepcreds.yml.",
        "login-mount",
        mount="refusals-approle",
        status=500,
    ),
}


@pytest.fixture(scope="module")
def mounts(stack: Stack) -> Iterator[None]:
    kinds = {"refusals": "jwt", "refusals-empty": "jwt", "refusals-approle": "approle"}
    with stack.client() as root:
        for mount, kind in kinds.items():
            root.write_data(f"sys/auth/{mount}", data={"type": kind})
        url = stack.issuer.url
        root.write_data(f"auth/{MOUNT}/config", data={"oidc_discovery_url": url, "bound_issuer": url})
        yield
        for mount in kinds:
            root.delete(f"sys/auth/{mount}")


def explained(stack: Stack, token: Secret, mount: str = MOUNT) -> VaultError:
    there = settings(stack.address, mount=mount)
    vault = Vault(there, SystemClock(), patience=20, pause=lambda attempt: 60.0)
    try:
        with pytest.raises(VaultError) as caught:
            vault.login("app", token)
    finally:
        vault.close()
    claims = {"iss": stack.issuer.url, "repository_id": "71717171", "environment": "production"}
    return explain_login(caught.value, role="app", mount=mount, audience=AUDIENCE, claims=claims)


def write_role(stack: Stack, **role: object) -> None:
    usual = {
        "role_type": "jwt",
        "user_claim": "repository",
        "bound_audiences": [AUDIENCE],
        "bound_claims": {},
        "token_policies": [],
    }
    with stack.client() as root:
        root.delete(f"auth/{MOUNT}/role/app")
        root.write_data(f"auth/{MOUNT}/role/app", data={**usual, **role})


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("name", CASES)
def test_a_refusal_is_explained(stack: Stack, name: str) -> None:
    case = CASES[name]
    write_role(stack, **case.role)
    error = explained(stack, stack.issuer.token(AUDIENCE, **case.claims), case.mount)
    issuer = stack.issuer.url
    said = case.said.replace(" (tried 1 times in 0 s)", "")
    assert error.what == f"Vault refused the login of role app at auth/{case.mount}: {said}"
    assert error.cause == (case.cause + TABLE).replace("ISSUER", issuer)
    assert error.fix == case.fix.replace("ISSUER", issuer)
    assert (error.docs, error.status) == (case.docs, case.status)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("token", "said"),
    [
        (
            jwt.encode({"aud": AUDIENCE}, "k" * 32, algorithm="HS256"),
            "error validating token: error verifying token signature: oidc: malformed jwt: unexpected signature "
            'algorithm "HS256"; expected ["RS256" "RS384" "RS512" "ES256" "ES384" "ES512" "PS256" "PS384" "PS512" '
            '"EdDSA"]',
        ),
        (
            "garbage",
            "error validating token: error verifying token signature: oidc: malformed jwt: go-jose/go-jose: "
            "compact JWS format must have three parts",
        ),
    ],
)
def test_a_token_that_the_issuer_did_not_sign(stack: Stack, token: str, said: str) -> None:
    write_role(stack)
    error = explained(stack, Secret(token))
    assert error.what.startswith("Vault refused the login of role app at auth/refusals: error validating token: ")
    assert error.cause == (
        "Vault could not verify the token's signature: auth/refusals is set up for another issuer, or Vault's servers "
        "cannot fetch the issuer's keys." + TABLE.replace("ISSUER", stack.issuer.url)
    )
    assert error.docs == "login-signature"
    assert error.errors == (said,)


@pytest.mark.usefixtures("mounts")
def test_the_command_to_paste_does_what_it_says(stack: Stack) -> None:
    import shlex
    import subprocess

    from stepcreds.devstack import installed

    branch = 'refs/heads/it\'s; $(touch pwned) "x"'  # a name that git accepts
    write_role(stack, bound_claims={"ref": "refs/heads/main"})
    vault = Vault(settings(stack.address, mount=MOUNT), SystemClock(), patience=5)
    with pytest.raises(VaultError) as caught:
        vault.login("app", stack.issuer.token(AUDIENCE, ref=branch))
    claims = {"repository_id": "71717171", "ref": branch}
    error = explain_login(caught.value, role="app", mount=MOUNT, audience=AUDIENCE, claims=claims)
    assert error.cause.startswith(f"The role wants another ref than this job's, which is {branch}.\n")
    command = next(line.strip() for line in error.fix.splitlines() if "bao write" in line)
    bao = shlex.quote(str(installed.bao()))
    environment = {
        "BAO_ADDR": stack.address,
        "BAO_TOKEN": stack.openbao.root_token.reveal(),
        "HOME": str(stack.openbao.folder),
        "PATH": "/usr/bin:/bin",
    }
    shell = ["/bin/sh", "-c", command.replace("bao write", f"{bao} write")]
    subprocess.run(shell, env=environment, cwd=stack.openbao.folder, check=True, timeout=60)
    vault.login("app", stack.issuer.token(AUDIENCE, ref=branch))
    vault.revoke_self()
    vault.close()
    assert not (stack.openbao.folder / "pwned").exists()
