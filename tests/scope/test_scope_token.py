"""What else a Vault token can do: patterns as OpenBao itself matches them, and what is made of the paths of a policy."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from stepcreds.config.model import Allowance, Profile
from stepcreds.devstack.stack import Stack
from stepcreds.measurement import Finding
from stepcreds.scope.path_patterns import overlaps
from stepcreds.scope.token import Rule, judge, other_role
from stepcreds.scope.token_families import CODES, Place
from stepcreds.scope.token_paths import probes
from stepcreds.setup.vault import policy
from stepcreds.vault.policy_text import PolicyTextError, read_policy

VERIFY = Profile("verify", "app-verify", "database/creds/app-verify", None, "read-only", ("app",))
MIGRATE = VERIFY._replace(name="migrate", role="app-migrate", creds="database/creds/app-migrate", access="ddl")
PLACE = Place(VERIFY, {"migrate": MIGRATE, "verify": VERIFY}, "2026-11-22", engines=("database",))


def rule(path: str, *capabilities: str, via: str = "policy wide", asked: bool = False) -> Rule:
    return Rule(path, frozenset(capabilities or ("read",)), "" if asked else via, asked)


def found(*rules: Rule, place: Place = PLACE) -> list[tuple[str, str, str]]:
    return [(each.name, each.level, each.standing) for each in judge(rules, place)]


# Patterns.

PATTERNS = (
    *("a/b", "a/b/", "a/*", "a/b*", "a/+", "a/+/c", "+/b", "+/+/*", "*", "a/+/c*", "+/b/*", "ab*"),
    *("sys/policies/acl/*", "database/creds/app-*", "+"),
)
# None with a slash at its end: a request to list may have one or not, and OpenBao takes both for the same.
PATHS = ("a", "a/b", "a/bc", "a/b/c", "a/x/c", "a/x/cd", "ab", "abc/d", "x/b", "x/b/c", "sys/policies/acl/p")


@pytest.fixture(scope="module")
def names(stack: Stack) -> Iterator[dict[str, str]]:
    """A token for each pattern, whose policy allows to read that."""
    tokens = {}
    with stack.client() as root:
        for pattern in PATTERNS:
            name = f"pattern-{secrets.token_hex(4)}"
            root.write_data(
                f"sys/policies/acl/{name}", data={"policy": f'path "{pattern}" {{ capabilities = ["read"] }}'}
            )
            body = {"policies": [name], "no_default_policy": True, "ttl": "5m"}
            tokens[pattern] = root.write_data("auth/token/create", data=body)["auth"]["client_token"]
        yield tokens
        for token in tokens.values():
            (name,) = root.write_data("auth/token/lookup", data={"token": token})["data"]["policies"]
            root.write_data("auth/token/revoke", data={"token": token})
            root.delete(f"sys/policies/acl/{name}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_fits_the_paths_that_openbao_says_it_fits(stack: Stack, names: dict[str, str], pattern: str) -> None:
    with stack.client() as root:
        told = root.write_data("sys/capabilities", data={"token": names[pattern], "paths": list(PATHS)})["data"]
    assert {path: overlaps(pattern, path) for path in PATHS} == {path: told[path] == ["read"] for path in PATHS}


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("database/*", "database/creds/*", True),
        ("database/creds/app-*", "database/creds/*", True),
        ("database/cr*", "database/creds/*", True),
        ("database/creds/*", "database/roles/*", False),
        ("+/creds/*", "database/creds/*", True),
        ("+/creds/x", "database/creds/*", True),
        ("database/+/x", "database/creds/*", True),
        ("database/creds/*", "database/+/x", True),
        ("database/creds", "database/creds/*", False),
        ("*", "sys/policies/acl/*", True),
        ("s*", "sys/policies/acl/*", True),
        ("t*", "sys/policies/acl/*", False),
        ("database/creds/a*", "database/creds/b*", False),
    ],
)
def test_whether_two_patterns_meet(one: str, other: str, meet: bool) -> None:
    assert (overlaps(one, other), overlaps(other, one)) == (meet, meet)


# Policies as they are written.


def test_the_policy_of_a_step_gives_nothing_else() -> None:
    rules = [Rule(path, capabilities, "policy app-verify") for path, capabilities in read_policy(policy(VERIFY))]
    assert len(rules) == 8
    assert judge(rules, PLACE) == ()


def test_the_default_policy_gives_nothing_else(stack: Stack) -> None:
    with stack.client() as root:
        text = root.read("sys/policies/acl/default")["data"]["policy"]
    rules = [Rule(path, capabilities, "policy default") for path, capabilities in read_policy(text)]
    assert len(rules) > 10
    assert judge(rules, PLACE) == ()


def test_policies_are_read_as_openbao_reads_them() -> None:
    text = """
    # path "commented/out" { capabilities = ["sudo"] }
    // path "this/too" { }
    /* path "and/this" { capabilities = ["sudo"] } */
    path "a/{b}" { # braces in a string are none
      capabilities = ["read", # why
        "list",]
      allowed_parameters = {
        "capabilities" = ["sudo"]
        "*" = []
      }
    }
    path "old/way" { policy = "write" }
    path   "with \\"quotes\\"" { capabilities=["deny"] min_wrapping_ttl = "1s" }
    "path" "x" { capabilities = [] }
    """
    assert read_policy(text) == [
        ("a/{b}", frozenset({"read", "list"})),
        ("old/way", frozenset({"create", "read", "update", "delete", "list"})),
        ('with "quotes"', frozenset({"deny"})),
        ("x", frozenset()),
    ]
    assert read_policy('{"path": {"a": {"capabilities": ["read"]}, "b": [{"policy": "sudo"}]}}') == [
        ("a", frozenset({"read"})),
        ("b", frozenset({"create", "read", "update", "delete", "list", "sudo"})),
    ]
    assert read_policy("") == []


@pytest.mark.parametrize("text", ['path "a" {', "path 'a' { }", '{"path": 5, ', '{"path": {"a": 5}}', '{"path": "a"}'])
def test_a_text_that_is_no_policy_is_none(text: str) -> None:
    with pytest.raises(PolicyTextError):
        read_policy(text)


# What is made of them.


@pytest.mark.parametrize(
    ("path", "capabilities", "name", "level"),
    [
        ("database/creds/*", ("read",), "VAULT.CREDS database/creds/*", "admin"),
        ("database/creds/app-*", ("read",), "VAULT.CREDS database/creds/app-*", "admin"),
        ("database/creds/app-migrate", ("read",), "VAULT.CREDS database/creds/app-migrate", "ddl"),
        ("database/creds/admin", ("read",), "VAULT.CREDS database/creds/admin", "admin"),
        ("database/static-creds/root", ("read",), "VAULT.CREDS database/static-creds/root", "admin"),
        ("team/db/creds/x", ("read",), "VAULT.CREDS team/db/creds/x", "admin"),
        ("aws/sts/deploy", ("update",), "VAULT.CREDS aws/sts/deploy", "admin"),
        ("database/roles/app-verify", ("update",), "VAULT.ENGINE database/roles/app-verify", "admin"),
        ("database/roles/app-verify", ("read",), "VAULT.ENGINE database/roles/app-verify", "info"),
        ("database/rotate-root/shop", ("update",), "VAULT.ENGINE database/rotate-root/shop", "admin"),
        ("database/config/shop", ("delete",), "VAULT.ENGINE database/config/shop", "admin"),
        ("sys/policies/acl/*", ("create", "update"), "VAULT.POLICY sys/policies/acl/*", "admin"),
        ("sys/policies/acl/app-verify", ("patch",), "VAULT.POLICY sys/policies/acl/app-verify", "admin"),
        ("sys/policies/acl/*", ("read", "list"), "VAULT.POLICY sys/policies/acl/*", "info"),
        ("sys/policies/*", ("update",), "VAULT.POLICY sys/policies/*", "admin"),
        ("auth/jwt/role/app-verify", ("update",), "VAULT.AUTH auth/jwt/role/app-verify", "admin"),
        ("auth/+/role/*", ("create",), "VAULT.AUTH auth/+/role/*", "admin"),
        ("auth/jwt/role/*", ("list",), "VAULT.AUTH auth/jwt/role/*", "info"),
        ("sys/auth/x", ("update", "sudo"), "VAULT.AUTH sys/auth/x", "admin"),
        ("auth/token/create", ("update",), "VAULT.TOKEN auth/token/create", "write"),
        ("auth/token/create-orphan", ("update",), "VAULT.TOKEN auth/token/create-orphan", "admin"),
        ("auth/token/accessors", ("list", "sudo"), "VAULT.TOKEN auth/token/accessors", "write"),
        ("auth/token/renew-accessor", ("update",), "VAULT.TOKEN auth/token/renew-accessor", "write"),
        ("auth/token/lookup-accessor", ("update",), "VAULT.TOKEN auth/token/lookup-accessor", "info"),
        ("auth/token/*", ("update",), "VAULT.TOKEN auth/token/*", "admin"),
        ("sys/capabilities-accessor", ("update",), "VAULT.TOKEN sys/capabilities-accessor", "info"),
        ("sys/mounts/x", ("update",), "VAULT.MOUNT sys/mounts/x", "admin"),
        ("identity/group/id/*", ("update",), "VAULT.IDENTITY identity/group/id/*", "admin"),
        ("sys/raw/*", ("read",), "VAULT.SYSTEM sys/raw/*", "admin"),
        ("sys/seal", ("update", "sudo"), "VAULT.SYSTEM sys/seal", "admin"),
        ("sys/license/status", ("read",), "VAULT.SYSTEM sys/license/status", "info"),
        ("sys/something/new", ("update",), "VAULT.SYSTEM sys/something/new", "admin"),
        (
            "sys/leases/revoke-prefix/database/*",
            ("update",),
            "VAULT.LEASE sys/leases/revoke-prefix/database/*",
            "write",
        ),
        ("sys/leases/revoke/*", ("update",), "VAULT.LEASE sys/leases/revoke/*", "write"),
        ("sys/leases/lookup/database/*", ("list",), "VAULT.LEASE sys/leases/lookup/database/*", "info"),
        ("secret/data/prod", ("read",), "VAULT.SECRET secret/data/prod", "read"),
        ("secret/data/prod", ("create", "read"), "VAULT.SECRET secret/data/prod", "write"),
        ("team-kv/data/+/db", ("read",), "VAULT.SECRET team-kv/data/+/db", "read"),
        ("secret/metadata/*", ("list",), "VAULT.SECRET secret/metadata/*", "info"),
        ("transit/decrypt/app", ("update",), "VAULT.TRANSIT transit/decrypt/app", "write"),
        ("transit/export/encryption-key/app", ("read",), "VAULT.TRANSIT transit/export/encryption-key/app", "read"),
        ("pki/issue/web", ("update",), "VAULT.PATH pki/issue/web", "write"),
        ("pki/ca", ("read",), "VAULT.PATH pki/ca", "read"),
        ("*", ("create", "read", "update", "delete", "list", "sudo"), "VAULT.ROOT", "admin"),
        ("database/creds/*", ("root",), "VAULT.ROOT", "admin"),
    ],
)
def test_what_a_path_gives(path: str, capabilities: tuple[str, ...], name: str, level: str) -> None:
    standing = "within" if level == "info" else "excess"
    assert found(rule(path, *capabilities)) == [(name, level, standing)]
    assert name.split(" ", maxsplit=1)[0] in CODES


@pytest.mark.parametrize(
    ("path", "capabilities"),
    [
        ("database/creds/app-verify", ("read", "update")),
        ("database/creds/*", ("deny",)),
        ("secret/data/x", ("deny", "read")),
        ("secret/data/x", ()),
        ("sys/wrapping/*", ("update",)),
        ("cubbyhole/*", ("create", "read", "update", "delete", "list")),
        ("auth/jwt/login", ("create",)),
        ("sys/leases/revoke/database/creds/app-verify/*", ("update",)),
        ("transit/sign/stepcreds-ledger", ("update",)),
    ],
)
def test_what_is_no_power_at_all(path: str, capabilities: tuple[str, ...]) -> None:
    place = PLACE._replace(key="transit/keys/stepcreds-ledger", transits=("transit",))
    assert judge([Rule(path, frozenset(capabilities), "policy wide")], place) == ()


SIGNING = PLACE._replace(key="transit/keys/stepcreds-{repository_id}", repository_id="71717171", transits=("transit",))
OWN = "{{identity.entity.aliases.auth_jwt_4f5f7665.metadata.repository_id}}"


@pytest.mark.parametrize("name", [f"stepcreds-{OWN}", "stepcreds-71717171"])
def test_the_key_of_the_jobs_own_repository_is_what_the_ledger_is_signed_with(name: str) -> None:
    assert found(rule(f"transit/sign/{name}", "update"), rule(f"transit/keys/{name}"), place=SIGNING) == []


@pytest.mark.parametrize(
    ("path", "capability", "level"),
    [
        ("transit/sign/stepcreds-4711", "update", "write"),
        ("transit/sign/stepcreds-*", "update", "write"),
        ("transit/sign/stepcreds-{{identity.entity.metadata.repository_id}}", "update", "write"),
        ("transit/sign/stepcreds-{{identity.entity.aliases.auth_jwt_4f5f7665.name}}", "update", "write"),
        # To make a key before its repository has one is to choose who can take it out.
        (f"transit/keys/stepcreds-{OWN}", "update", "write"),
        ("transit/export/signing-key/stepcreds-71717171", "read", "read"),
    ],
)
def test_another_repositorys_key_is_excess(path: str, capability: str, level: str) -> None:
    assert found(rule(path, capability), place=SIGNING) == [(f"VAULT.TRANSIT {path}", level, "excess")]


def test_nobody_knows_whose_key_is_whose_without_a_job() -> None:
    of_nobody = SIGNING._replace(repository_id="")
    assert found(rule(f"transit/sign/stepcreds-{OWN}", "update"), place=of_nobody) == []
    assert found(rule("transit/sign/stepcreds-", "update"), place=of_nobody) == [
        ("VAULT.TRANSIT transit/sign/stepcreds-", "write", "excess")
    ]


def test_a_wide_path_gives_each_of_the_powers_below_it() -> None:
    assert found(rule("sys/*", "read", "update")) == [
        ("VAULT.POLICY sys/*", "admin", "excess"),
        ("VAULT.AUTH sys/*", "admin", "excess"),
        ("VAULT.MOUNT sys/*", "admin", "excess"),
        ("VAULT.SYSTEM sys/*", "admin", "excess"),
        ("VAULT.LEASE sys/*", "write", "excess"),
        ("VAULT.TOKEN sys/*", "info", "within"),
    ]


def test_the_whole_of_a_finding() -> None:
    place = PLACE._replace(known=("database/creds/admin", "database/creds/app-verify", "database/creds/denied"))
    rules = [rule("database/creds/*"), rule("database/creds/denied", "deny"), rule("database/creds/*", via="policy b")]
    assert judge(rules, place) == (
        Finding(
            "VAULT.CREDS",
            "admin",
            "issue other credentials at database/creds/*",
            "database/creds/*",
            ("database/creds/admin", "database/creds/app-migrate"),
            2,
            via="policy wide, policy b",
            fix='Take the path "database/creds/*" out of the policy wide; docs/vault.md has the least that a step needs.',
            standing="excess",
            because="of Vault the profile needs database/creds/app-verify and nothing else",
        ),
    )


def test_what_was_asked_counts_where_no_policy_says_it() -> None:
    written = rule("database/creds/*")
    asked = [
        rule("database/creds/app-migrate", asked=True),
        rule("database/creds/*", asked=True),
        rule("sys/policies/acl/*", "update", asked=True),
        rule("sys/auth/*", "deny", asked=True),
    ]
    assert found(written, *asked) == [
        ("VAULT.CREDS database/creds/*", "admin", "excess"),
        ("VAULT.POLICY sys/policies/acl/*", "admin", "excess"),
    ]
    assert found(*asked) == [
        ("VAULT.CREDS database/creds/*", "admin", "excess"),
        ("VAULT.POLICY sys/policies/acl/*", "admin", "excess"),
        ("VAULT.CREDS database/creds/app-migrate", "ddl", "excess"),
    ]


def test_an_allowance_is_for_one_path() -> None:
    allowing = VERIFY._replace(allow=(Allowance("VAULT.SECRET secret/data/app", "its own key", "2027-01-31"),))
    place = PLACE._replace(profile=allowing)
    one, other = judge([rule("secret/data/app"), rule("secret/data/*")], place)
    assert (one.name, one.standing) == ("VAULT.SECRET secret/data/*", "excess")
    assert (other.standing, other.because) == ("allowed", "allowed until 2027-01-31: its own key")


def test_what_is_worth_asking() -> None:
    asked = probes(PLACE._replace(known=("database/creds/admin", "database/creds/app-verify"), stores=("team",)))
    assert {"database/creds/*", "database/creds/admin", "database/creds/app-migrate", "team/*", "sys/raw"} <= set(asked)
    assert "database/creds/app-verify" not in asked
    assert len(asked) == len(set(asked))
    assert [path for path in asked if "+" in path] == []


def test_another_role_is_as_bad_as_what_it_gives() -> None:
    gives = judge([rule("database/creds/admin"), rule("secret/data/x")], PLACE.of_another())
    finding = other_role(
        "auth/jwt/role/app-admin", ["app-admin", "default"], gives, PLACE, note=", with the audience x"
    )
    assert (finding.name, finding.level) == ("VAULT.ROLE auth/jwt/role/app-admin", "admin")
    assert finding.what == (
        "log in as app-admin as well (policies: app-admin, default), and then issue other credentials at "
        "database/creds/admin"
    )
    assert finding.via == "the claims of this job fit auth/jwt/role/app-admin, with the audience x"
    # Where a profile has it, that profile answers for it.
    own = other_role("auth/jwt/role/app-migrate", ["app-migrate"], gives, PLACE, note="")
    assert own.level == "info"
    harmless = other_role("auth/jwt/role/nobody", [], (), PLACE, note="")
    assert (harmless.level, harmless.what) == ("info", "log in as nobody as well (policies: none)")
