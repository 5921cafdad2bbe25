"""How doctor compares a role with a token: the same as Vault does, shown on a real OpenBao where it can be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.devstack.stack import Stack
from stepcreds.doctor.link import BrokenError
from stepcreds.doctor.role import fixes_repository, judge
from stepcreds.errors import VaultError
from stepcreds.vault.client import Vault
from stepcreds.vault.jwt_role import Row, compare

AUDIENCE = "https://vault.example"
ROLE = {
    "role_type": "jwt",
    "user_claim": "repository",
    "bound_audiences": [AUDIENCE],
    "token_type": "service",
    "token_ttl": 60,
}

# What a role binds, and what a token says beside the stack's own claims.
CASES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "the value": ({"bound_claims": {"ref": "refs/heads/main"}}, {}),
    "another value": ({"bound_claims": {"ref": "refs/heads/main"}}, {"ref": "refs/heads/x"}),
    "one of several": ({"bound_claims": {"ref": ["a", "refs/heads/main"]}}, {}),
    "none of several": ({"bound_claims": {"ref": ["a", "b"]}}, {}),
    "a list in the token": ({"bound_claims": {"groups": "dev"}}, {"groups": ["ops", "dev"]}),
    "no value of a list in the token": ({"bound_claims": {"groups": "dev"}}, {"groups": ["ops"]}),
    "a claim that is not there": ({"bound_claims": {"team": "x"}}, {}),
    "a claim within a claim": ({"bound_claims": {"/team/name": "x"}}, {"team": {"name": "x"}}),
    "another claim within a claim": ({"bound_claims": {"/team/name": "x"}}, {"team": {"name": "y"}}),
    "a number": ({"bound_claims": {"number": 5}}, {"number": 5}),
    "another number": ({"bound_claims": {"number": 5}}, {"number": 6}),
    "a number as text": ({"bound_claims": {"number": "5"}}, {"number": 5}),
    "a text as number": ({"bound_claims": {"number": 5}}, {"number": "5"}),
    "a truth": ({"bound_claims": {"flag": True}}, {"flag": True}),
    "a truth as text": ({"bound_claims": {"flag": "true"}}, {"flag": True}),
    "a star without glob": ({"bound_claims": {"ref": "refs/*"}}, {}),
    "a star": ({"bound_claims": {"ref": "refs/*"}, "bound_claims_type": "glob"}, {}),
    "a star in the middle": ({"bound_claims": {"ref": "refs/*/main"}, "bound_claims_type": "glob"}, {}),
    "a star that does not fit": ({"bound_claims": {"ref": "*/x"}, "bound_claims_type": "glob"}, {}),
    "two stars": ({"bound_claims": {"ref": "*heads*"}, "bound_claims_type": "glob"}, {}),
    "other signs are no glob": ({"bound_claims": {"ref": "refs/heads/mai?"}, "bound_claims_type": "glob"}, {}),
    "a star over several lines": ({"bound_claims": {"note": "a*c"}, "bound_claims_type": "glob"}, {"note": "a\nb\nc"}),
    "a number under glob": ({"bound_claims": {"number": "5"}, "bound_claims_type": "glob"}, {"number": 5}),
    "the subject": ({"bound_subject": "repo:acme/shop:environment:production"}, {}),
    "another subject": ({"bound_subject": "repo:acme/other"}, {}),
    "one of several audiences": ({"bound_audiences": ["https://other.example", AUDIENCE]}, {}),
    "no such audience": ({"bound_audiences": ["https://other.example"]}, {}),
    "no bound audience": ({"bound_audiences": [], "bound_claims": {"repository": "acme/shop"}}, {}),
    "a user claim that is not there": ({"user_claim": "team", "bound_claims": {"repository": "acme/shop"}}, {}),
    "a user claim that is a number": ({"user_claim": "number"}, {"number": 5}),
}


@pytest.fixture(scope="module")
def mount(stack: Stack) -> Iterator[str]:
    with stack.client() as root:
        root.write_data("sys/auth/doctor", data={"type": "jwt"})
        url = stack.issuer.url
        root.write_data("auth/doctor/config", data={"oidc_discovery_url": url, "bound_issuer": url})
        yield "doctor"
        root.delete("sys/auth/doctor")


@pytest.mark.parametrize("name", CASES)
def test_doctor_and_vault_agree(stack: Stack, mount: str, name: str) -> None:
    settings, claims = CASES[name]
    with stack.client() as root:
        root.delete(f"auth/{mount}/role/app")
        root.write_data(f"auth/{mount}/role/app", data={**ROLE, **settings})
        role = root.read(f"auth/{mount}/role/app")["data"]
    there = VaultSettings((stack.address,), None, None, None, None, False, mount, AUDIENCE)
    vault = Vault(there, SystemClock())
    try:
        vault.login("app", stack.issuer.token(AUDIENCE, **claims))
        vault.revoke_self()
        accepted = True
    except VaultError as error:
        assert error.status == 400
        accepted = False
    finally:
        vault.close()
    token = {"aud": AUDIENCE, "iss": stack.issuer.url, **stack.issuer.claims, **claims}
    rows = compare(role, token, stack.issuer.url)
    assert all(row.verdict == "ok" for row in rows) is accepted


def test_the_lines_of_a_comparison() -> None:
    role = {
        "role_type": "oidc",
        "bound_subject": "repo:acme/shop",
        "bound_audiences": [],
        "bound_claims": {"ref": ["refs/heads/main", "refs/heads/\x1b[31m"], "team": "x", "flag": True},
        "user_claim": "repository",
        "token_bound_cidrs": ["10.0.0.0/8"],
    }
    claims = {"iss": "https://a", "sub": "repo:acme/shop", "aud": ["v", "w"], "ref": "refs/heads/x", "flag": True}
    assert compare(role, claims, "https://b") == (
        Row("role_type", "oidc", "jwt", "differs"),
        Row("bound_issuer", "https://b", "https://a", "differs"),
        Row("bound_subject", "repo:acme/shop", "repo:acme/shop", "ok"),
        Row("bound_audiences", "(none)", "v | w", "differs"),
        Row("user_claim", "repository", "(none)", "missing"),
        Row("bound_claims flag", "true", "true", "ok"),
        Row("bound_claims ref", "refs/heads/main | refs/heads/\\x1b[31m", "refs/heads/x", "differs"),
        Row("bound_claims team", "x", "(none)", "missing"),
        Row("token_bound_cidrs", "10.0.0.0/8", "this runner's address", "not compared"),
    )


@pytest.mark.parametrize(
    ("user_claim", "claims", "fixes"),
    [
        ("repository", {}, True),
        ("repository_id", {}, True),
        ("project_path", {}, True),
        ("sub", {"sub": "project_path:acme/shop:ref_type:branch:ref:main"}, True),
        ("sub", {"sub": "repo:acme/shop:ref:refs/heads/main", "repository": "acme/shop"}, True),
        ("sub", {"sub": "repo:acme@42/shop@7:ref:refs/heads/main", "repository": "acme/shop"}, True),
        ("sub", {"sub": "environment:production", "repository": "acme/shop"}, False),
        ("repository_owner", {}, False),
        ("namespace_path", {}, False),
        ("actor", {}, False),
        ("aud", {}, False),
        ("", {}, False),
    ],
)
def test_which_user_claims_fix_the_repository(user_claim: str, claims: dict[str, object], fixes: bool) -> None:
    assert fixes_repository({"user_claim": user_claim}, claims) is fixes


def test_a_glob_stays_a_glob_in_the_command_to_paste() -> None:
    role = {
        **ROLE,
        "bound_claims": {"repository": "acme/*", "ref": "refs/heads/main", "team": "x"},
        "bound_claims_type": "glob",
        "bound_subject": "repo:acme/shop:x",
    }
    claims = {"aud": AUDIENCE, "sub": "repo:acme/shop:y", "repository": "acme/shop", "ref": "refs/heads/it's"}
    with pytest.raises(BrokenError) as caught:
        judge(role, "https://issuer", name="app", mount="ci jwt", audience=AUDIENCE, claims=claims)
    assert caught.value.found == ("auth/ci jwt/role/app does not fit: bound_claims, bound_issuer, bound_subject")
    assert caught.value.error.fix == (
        "If this job is meant to have the role (each setting that is named is replaced as a whole):\n"
        """  printf %s '{"role_type": "jwt", "bound_claims": {"repository": "acme/*", "ref": "refs/heads/it'"'"'s"}, """
        """"bound_subject": "repo:acme/shop:y", "bound_claims_type": "glob"}' | """
        "bao write 'auth/ci jwt/role/app' -\n"
        "The issuer belongs to the mount:\n"
        "  bao read 'auth/ci jwt/config'"
    )
