"""`stepcreds scope` as people and pipelines meet it, on real servers: what it says, what it exits with, what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mariadb_server import Account, MariaDB, account, mariadb  # noqa: F401 - fixtures
from step_runs import Oddities, Running, audited, kinds, of_kind, reconfigure, until

from annotations import unannotated
from conftest import Step
from relay import Relay
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.setup import postgresql
from stepcreds.setup.postgresql.names import identifier, literal

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

CANARY = "c4n4ry:p@ss/w%rd?#é"
SEE = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"
SCHEMA = json.loads((Path(__file__).parents[2] / "src/stepcreds/survey/schema.json").read_text())

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def normal(stack: Stack) -> Callable[[str], str]:
    """What differs from run to run, under names."""

    def normalised(text: str) -> str:
        text = text.replace(f"127.0.0.1:{stack.postgresql.port}", "HOST")
        for found, name in (
            (r"v-[0-9a-f]{12}-app-[\w-]{1,8}-\w{12}", "USER"),
            (r"\d+ ms\b", "N ms"),
            (r"(?<= 6 tables of app: )app\.[^:]*? and \d more", "SOME and N more"),
            (r"\b[0-9a-f]{64}\b", "DIGEST"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        ):
            text = re.sub(found, name, text)
        return text

    return normalised


@pytest.fixture
def odd(stack: Stack, config_file: Path) -> Iterator[Oddities]:
    with Oddities(stack, config_file) as oddities:
        yield oddities


@pytest.fixture
def loose(odd: Oddities) -> str:
    """A profile that says read-only, and whose users are made as those that change the schema."""
    odd.profile(
        "loose",
        access="read-only",
        database_role={
            "creation_statements": postgresql.ddl_creation(provision.OWNER, provision.DATABASE),
            "revocation_statements": postgresql.revocation(provision.OWNER),
        },
    )
    return "loose"


def parsed(run: subprocess.CompletedProcess[str]) -> Any:
    """The JSON of a run, which is as the schema says."""
    value = json.loads(run.stdout)
    Draft202012Validator(SCHEMA).validate(value)
    return value


def names(findings: list[dict[str, Any]], standing: str = "excess") -> set[str]:
    return {finding["name"] for finding in findings if finding["standing"] == standing}


# One profile.


def test_a_credential_within_its_profile(step: Step, normal: Callable[[str], str]) -> None:
    run = step("scope", "verify")
    before, findings, after = re.split(r"\n\n(?=  \w)|(?<=PUBLIC)\n\n", normal(run.stdout), maxsplit=2)
    assert before == (
        "stepcreds scope: verify: WITHIN read-only in app, PostgreSQL 18.6 at HOST/shop, user USER, N ms\n"
        "The worst this credential can do: read 6 tables of app, via member of app_ro."
    )
    # In which words is the engine's own, and tested with it.
    assert [re.split("  +", line)[1:3] for line in findings.splitlines()] == [
        ["read", "PG.TABLE.READ app"],
        ["read", "PG.FUTURE.READ app tables by app_owner"],
        ["info", "PG.LARGEOBJECT.CREATE"],
    ]
    assert findings.splitlines()[0] == (
        "  read   PG.TABLE.READ app  it can read 6 tables of app: SOME and N more, via member of app_ro"
    )
    assert after == (
        "Its Vault token (policies: app-verify):\n"
        "  nothing beside its job\n"
        "\n"
        "Not examined:\n"
        "  - pg_hba.conf: who may log in from where, and without a password\n"
        "  - what functions, triggers and extensions do when they are called\n"
        "  - Vault: paths of the token's policies that nobody thought of asking about\n"
        "  - Vault: which other JWT roles this job can take, and policies as they are written: give VAULT_TOKEN a token "
        "that may read policies and JWT roles, or --operator (docs/scope.md has the policy)\n"
        "\n"
        "Digest: DIGEST\n"
        "The credential is proven dead (lease lookup and refused logins).\n"
    )
    assert (run.stderr, run.returncode) == ("", 0)


def test_a_credential_that_can_do_more(step: Step, loose: str, normal: Callable[[str], str]) -> None:
    run = step("scope", loose)
    verdict, worst, _, *findings = normal(run.stdout).splitlines()
    assert verdict == (
        "stepcreds scope: loose: EXCESS: declared read-only in app, effective ddl, PostgreSQL 18.6 at HOST/shop, user "
        "USER, N ms"
    )
    assert worst == (
        "The worst this credential can do: drop the schema app with all that is in it, and open it to others, via SET "
        "ROLE app_owner."
    )
    at = findings.index("  ddl    PG.TABLE.OWN app  EXCESS")
    assert findings[at + 1 : at + 3] == [
        "         it can alter, drop and open to others 6 tables of app: SOME and N more, via SET ROLE app_owner",
        "         because: ddl, and the profile declares read-only",
    ]
    assert findings[at + 3].startswith("         fix: ")
    assert findings[-1] == "The credential is proven dead (lease lookup and refused logins)."
    assert (run.stderr, run.returncode) == ("", 1)


def test_what_is_allowed_is_no_excess(step: Step, config_file: Path, loose: str) -> None:
    excess = names(parsed(step("scope", loose, "--json"))["findings"])
    allow = [{"what": name, "reason": "moving it", "expires": "2999-12-31"} for name in excess]
    reconfigure(config_file, lambda document: document["profiles"][loose].update(allow=allow))
    run = step("scope", loose)
    assert run.stdout.startswith("stepcreds scope: loose: WITHIN read-only in app, ")
    assert "  ddl    PG.TABLE.OWN app  ALLOWED\n" in run.stdout
    assert "         because: allowed until 2999-12-31: moving it\n" in run.stdout
    assert run.returncode == 0


def test_what_is_allowed_for_nothing_or_not_for_long_is_said(step: Step, config_file: Path, loose: str) -> None:
    excess = sorted(names(parsed(step("scope", loose, "--json"))["findings"]))
    allow = [{"what": name, "reason": "moving it", "expires": "2999-12-31"} for name in ("PG.TABLE.OWM app", *excess)]
    allow[1]["expires"] = "2026-01-31"
    reconfigure(config_file, lambda document: document["profiles"][loose].update(allow=allow))
    run = step("scope", loose)
    mistyped = 'allow "PG.TABLE.OWM app" matches nothing that it can do: remove it'
    assert (
        "\n"
        "To accept one of them for a while, under profiles.loose.allow:\n"
        f'  - {{what: "{excess[0]}", reason: "…", expires: YYYY-MM-DD}}\n'
        "\n"
        f"{mistyped}\n"
        "\n"
        "Not examined:\n"
    ) in run.stdout
    assert (
        f"         because: ddl, and the profile declares read-only; the allowance for {excess[0]} expired on 2026-01-31\n"
    ) in run.stdout
    assert run.returncode == 1
    assert parsed(step("scope", loose, "--json"))["remarks"] == [mistyped]
    assert f"\nloose: {mistyped}\n" in step("scope", "--all").stdout


def test_an_operators_token_that_vault_does_not_know(step: Step) -> None:
    run = step("scope", "verify", VAULT_TOKEN="s.nobody")
    said = [line for line in run.stdout.splitlines() if "only an operator sees" in line or "your token" in line]
    assert said == [
        "  - Vault: what only an operator sees: Vault does not know the token that you gave (any longer): it has expired "
        "or was revoked. Log in again: vault login (or bao login)"
    ]
    assert run.returncode == 0


def test_why_nobody_looked_is_json_as_well(step: Step, config_file: Path) -> None:
    run = step("scope", "nobody", "--json")
    assert parsed(run) == {
        "version": 1,
        "error": {
            "what": f"There is no profile nobody in {config_file}",
            "cause": "",
            "fix": "The profiles there are: migrate, verify.",
            "docs": "configuration",
        },
    }
    assert unannotated(run.stderr).startswith("stepcreds: error: There is no profile nobody in ")
    assert run.returncode == 2
    config_file.write_text(config_file.read_text().replace("version: 1", "version: 2"))
    broken = step("scope", "--all", "--json")
    (problem,) = parsed(broken)["problems"]
    assert (problem["key"], broken.returncode) == ("version", 2)
    unset = step("scope", "--as-user", "NOT_SET", "--json")
    assert (parsed(unset)["error"]["what"], unset.returncode) == ("The variable NOT_SET is not set", 2)


def test_no_identity_is_json_as_well(step: Step) -> None:
    run = step("scope", "verify", "--json", ACTIONS_ID_TOKEN_REQUEST_URL="", ACTIONS_ID_TOKEN_REQUEST_TOKEN="")
    told = parsed(run)
    assert sorted(told) == ["error", "version"]
    assert unannotated(run.stderr).startswith(f"stepcreds: error: {told['error']['what']}\n")
    assert run.returncode == 1


def test_as_json(step: Step, loose: str) -> None:
    run = step("scope", loose, "--json")
    told = parsed(run)
    assert (told["verdict"], told["level"], told["profile"]) == ("excess", "ddl", "loose")
    assert told["worst"].startswith("drop the schema app ")
    (owns,) = [finding for finding in told["findings"] if finding["name"] == "PG.TABLE.OWN app"]
    assert {
        key: owns[key] for key in ("code", "subject", "level", "standing", "count", "via", "database", "schema")
    } == {
        "code": "PG.TABLE.OWN",
        "subject": "app",
        "level": "ddl",
        "standing": "excess",
        "count": 6,
        "via": "SET ROLE app_owner",
        "database": "shop",
        "schema": "app",
    }
    assert told["ended"] == {
        "proven": True,
        "verdict": "proven dead",
        "method": "lease lookup and refused logins",
        "lock": "locked",
        "revocation": "revoked",
        "detail": "",
    }
    assert (told["error"], told["round_trips"] > 0, run.returncode) == (None, True, 1)


def test_it_is_on_record_as_any_other(step: Step, config_file: Path, loose: str) -> None:
    told = parsed(step("scope", loose, "--json"))
    assert kinds(config_file) == ["chain.opened", "credential.requested", "credential.issued", "credential.closed"]
    (requested,), (closed,) = of_kind(config_file, "credential.requested"), of_kind(config_file, "credential.closed")
    assert (requested["delivery"], closed["verdict"]) == ("scope", "proven dead")
    privileges = closed["privileges"]
    assert (privileges["granted"]["level"], privileges["granted"]["digest"]) == ("ddl", told["digest"])
    assert set(privileges["excess"]) == names(told["findings"])
    assert closed["step"]["command_sha256"] is None


def test_a_profile_that_says_measure_off_is_looked_at_all_the_same(step: Step, config_file: Path) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["verify"].update(measure="off"))
    assert parsed(step("scope", "verify", "--json"))["verdict"] == "within"


@pytest.fixture
def known_password(stack: Stack, odd: Oddities) -> Iterator[str]:
    """What every user is issued with meanwhile."""
    odd.write("sys/policies/password/scope", {"policy": 'length = 24\nrule "charset" { charset = "Q" }'})
    config = f"database/config/{provision.DATABASE}"
    with stack.client() as root:
        root.write_data(config, data={"password_policy": "scope"})
        issued = root.read("database/creds/app-verify")
        root.write_data("sys/leases/revoke", data={"lease_id": issued["lease_id"], "sync": True})
        assert issued["data"]["password"] == "Q" * 24
        yield "Q" * 24
        root.write_data(config, data={"password_policy": ""})


def test_no_secret_is_shown(stack: Stack, step: Step, config_file: Path, known_password: str) -> None:
    root = stack.openbao.root_token.reveal()
    runs = [step("scope", "verify", VAULT_TOKEN=root), step("scope", "--all", "--json", VAULT_TOKEN=root)]
    assert [run.returncode for run in runs] == [0, 0]
    shown = "".join(run.stdout + run.stderr for run in runs)
    shown += "".join(path.read_text() for path in (config_file.parent / ".stepcreds").iterdir())
    assert known_password[:8] not in shown
    assert root not in shown
    assert stack.issuer.request_token.reveal() not in shown
    assert "eyJ" not in shown  # how every JWT begins
    assert re.search(r"\bs\.[A-Za-z0-9]{20}", shown) is None
    assert re.search(r"Lk-[0-9a-f]{10}", shown) is None  # how what the lock sets begins


def test_a_certificate_that_is_none_is_met_before_anything_is_issued(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    text = config_file.read_text()
    config_file.write_text(text.replace("sslmode=disable", "sslmode=verify-full&sslrootcert=ca.pem"))
    before = len(stack.audit())
    run = step("scope", "verify")
    assert run.stdout.startswith("stepcreds scope: verify: UNMEASURABLE: ")
    assert "ca.pem" in run.stdout.splitlines()[0]
    assert (audited(stack, before), run.stderr, run.returncode) == ([], "", 1)


class Closing(Relay):
    """Hangs up on the first connection, which is that of the look, and hands on the others."""

    def _connected(self, near: Any) -> None:
        if self.connections > 1:
            super()._connected(near)
        else:
            near.shutdown(socket.SHUT_RDWR)


def test_what_cannot_be_measured_is_ended_all_the_same(stack: Stack, step: Step, config_file: Path) -> None:
    with Closing(stack.postgresql.port) as relay:
        here, there = f"127.0.0.1:{stack.postgresql.port}", f"127.0.0.1:{relay.port}"
        config_file.write_text(config_file.read_text().replace(here, there))
        run = step("scope", "verify")
    first, *others = run.stdout.splitlines()
    assert first.startswith(f"stepcreds scope: verify: UNMEASURABLE: {there} ")
    assert f"  see: {SEE}#not-measured" in others
    assert "measure: off" not in run.stdout  # it is what nobody wants who asks for a measurement
    assert others[-1] == "The credential is proven dead (lease lookup and refused logins)."
    assert (run.stderr, run.returncode) == ("", 1)


def test_nothing_is_issued_where_nothing_can_be_measured(stack: Stack, step: Step, odd: Oddities) -> None:
    odd.secret("queue", "rabbitmq/creds/app-queue", env={"TOKEN": "{token}"})
    before = len(stack.audit())
    run = step("scope", "queue")
    assert run.stdout.splitlines()[0] == (
        "stepcreds scope: queue: UNMEASURABLE: there is no database to ask, and nothing was issued"
    )
    assert (audited(stack, before), run.returncode) == ([], 1)


# What changed.


def test_what_changed(stack: Stack, step: Step, tmp_path: Path, normal: Callable[[str], str]) -> None:
    earlier = tmp_path / "scope.json"
    earlier.write_text(step("scope", "verify", "--json").stdout)
    same = step("scope", "verify", "--compare", str(earlier))
    assert normal(same.stdout) == (
        "stepcreds scope: verify: WITHIN read-only in app, PostgreSQL 18.6 at HOST/shop, user USER, N ms\n"
        f"Compared with {earlier} of TIME:\n"
        "  nothing changed\n"
        "\n"
        "Digest: DIGEST\n"
        "The credential is proven dead (lease lookup and refused logins).\n"
    )
    assert (same.stderr, same.returncode) == ("", 0)
    stack.sql("GRANT INSERT ON app.orders TO app_ro")
    try:
        more = step("scope", "verify", "--compare", str(earlier))
        told = parsed(step("scope", "verify", "--compare", str(earlier), "--json"))
        earlier.write_text(step("scope", "verify", "--json").stdout)
    finally:
        stack.sql("REVOKE INSERT ON app.orders FROM app_ro")
    assert (
        "\n+ write  PG.TABLE.WRITE app  EXCESS\n         it can INSERT into 1 table of app: app.orders" in more.stdout
    )
    assert more.returncode == 1
    assert [finding["name"] for finding in told["changes"]["new"]] == ["PG.TABLE.WRITE app"]
    less = step("scope", "verify", "--compare", str(earlier))
    assert "\n- write  PG.TABLE.WRITE app  it can no longer INSERT into 1 table of app\n" in less.stdout
    assert less.returncode == 0


def test_a_report_of_another_profile_is_refused_before_anything_is_issued(
    stack: Stack, step: Step, tmp_path: Path
) -> None:
    (tmp_path / "scope.json").write_text(step("scope", "verify", "--json").stdout)
    before = len(stack.audit())
    run = step("scope", "migrate", "--compare", "scope.json")
    assert unannotated(run.stderr) == (
        "stepcreds: error: scope.json cannot be compared with: it is about verify, and not about migrate\n"
        "  cause: --compare reads what an earlier `stepcreds scope --json`, of the same profile or with --all, printed.\n"
        "  fix: Make one now, and compare with it next time: stepcreds scope PROFILE --json > scope.json\n"
        f"  see: {SEE}#scope-compare\n"
    )
    assert (run.stdout, run.returncode, audited(stack, before)) == ("", 2, [])


# All of them.


def test_every_profile_in_a_table(step: Step, config_file: Path, loose: str, normal: Callable[[str], str]) -> None:
    reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(role="nobody"))
    run = step("scope", "--all")
    table, _, errors = normal(run.stdout).partition("stepcreds: error: ")
    rows = [re.split("  +", line) for line in table.splitlines()]
    assert [row[:4] for row in rows] == [
        ["PROFILE", "DECLARED", "MEASURED", "VERDICT"],
        ["migrate", "ddl in app", "-", "unmeasurable"],
        ["verify", "read-only in app", "read", "within"],
        ["loose", "read-only in app", "ddl", "excess"],
    ]
    assert [row[5] for row in rows] == [
        "WORST",
        "-",
        "read 6 tables of app, via member of app_ro",
        "drop the schema app with all that is in it, and open it to others, via SET ROLE app_owner",
    ]
    assert errors.startswith('Vault refused the login of role nobody at auth/jwt: role "nobody" could not be found\n')
    assert (run.stderr, run.returncode) == ("", 1)


def test_every_profile_as_json_and_what_changed_of_them(step: Step, tmp_path: Path, odd: Oddities) -> None:
    run = step("scope", "--all", "--json")
    told = parsed(run)
    assert [(each["profile"], each["verdict"], each["ended"]["proven"]) for each in told] == [
        ("migrate", "within", True),
        ("verify", "within", True),
    ]
    assert run.returncode == 0
    (tmp_path / "scope.json").write_text(run.stdout)
    odd.profile("fresh", access="read-only")
    again = step("scope", "--all", "--compare", "scope.json")
    assert "\nmigrate: nothing changed\nverify: nothing changed\n" in again.stdout
    assert "\nscope.json has no measurement of fresh: all of it is new.\n+ read   PG.TABLE.READ app " in again.stdout
    assert again.returncode == 1


# Vault's side.

WIDE = """
path "database/creds/*" { capabilities = ["read"] }
path "secret/data/prod/+/db" { capabilities = ["read"] }
"""


def wide(text: str) -> str:
    return text + WIDE


def test_a_token_that_can_issue_other_credentials_is_excess(stack: Stack, step: Step, odd: Oddities) -> None:
    odd.profile("wide", access="read-only", policy=wide)
    odd.write("sys/policies/acl/app-admin", {"policy": 'path "database/creds/admin" { capabilities = ["read"] }'})
    other = {
        "role_type": "jwt",
        "bound_audiences": ["https://other.example"],
        "user_claim": "repository",
        "bound_claims": {"repository_id": stack.issuer.claims["repository_id"]},
        "token_policies": ["app-admin"],
        "token_no_default_policy": True,
    }
    odd.write("auth/jwt/role/app-admin", other)
    odd.write("auth/jwt/role/app-foreign", {**other, "bound_claims": {"repository_id": "666"}})
    operator = stack.openbao.root_token.reveal()
    run = step("scope", "wide", VAULT_TOKEN=operator)
    verdict, worst, *_ = run.stdout.splitlines()
    assert verdict.startswith(
        "stepcreds scope: wide: EXCESS: declared read-only in app, effective read, and admin with its Vault token, "
    )
    assert worst == (
        "The worst this credential can do: issue other credentials at database/creds/*, with its Vault token, via "
        "policy app-wide."
    )
    assert "Its Vault token (policies: app-wide):\n  admin  VAULT.CREDS database/creds/*  EXCESS\n" in run.stdout
    assert (
        "         it can issue other credentials at database/creds/*: database/creds/app-migrate, "
        "database/creds/app-verify, via policy app-wide\n"
        "         because: of Vault the profile needs database/creds/app-wide and nothing else\n"
        '         fix: Take the path "database/creds/*" out of the policy app-wide; docs/vault.md has the least that a '
        "step needs.\n"
    ) in run.stdout
    assert (
        "         it can log in as app-admin as well (policies: app-admin), and then issue other credentials at "
        "database/creds/admin, via the claims of this job fit auth/jwt/role/app-admin, with the audience "
        "https://other.example\n"
    ) in run.stdout
    assert "app-foreign" not in run.stdout
    assert "Vault:" not in run.stdout  # nothing was left unexamined there
    assert (run.stderr, run.returncode) == ("", 1)
    token = parsed(step("scope", "wide", "--json", VAULT_TOKEN=operator))["token"]
    assert (token["policies"], token["examined"], token["not_examined"]) == (["app-wide"], True, [])
    assert names(token["findings"]) == {
        "VAULT.CREDS database/creds/*",
        "VAULT.SECRET secret/data/prod/+/db",
        "VAULT.ROLE auth/jwt/role/app-admin",
    }
    assert names(token["findings"], "within") == {
        "VAULT.ROLE auth/jwt/role/app-migrate",
        "VAULT.ROLE auth/jwt/role/app-verify",
    }


def test_a_token_with_the_default_policy_says_itself_what_it_can_do(step: Step, odd: Oddities) -> None:
    odd.profile("wide", access="read-only", policy=wide, jwt_role={"token_no_default_policy": False})
    token = parsed(step("scope", "wide", "--json"))["token"]
    assert (token["policies"], token["examined"]) == (["app-wide", "default"], True)
    # Vault's own list leaves out paths with '+', and says so.
    assert names(token["findings"]) == {"VAULT.CREDS database/creds/*"}
    assert token["not_examined"][0] == "paths with '+' in the token's policies: Vault's own list leaves them out"


def test_a_token_tells_without_anybodys_help_that_it_can_issue_more(step: Step, odd: Oddities) -> None:
    odd.profile("wide", access="read-only", policy=wide)
    run = step("scope", "wide", "--json")
    token = parsed(run)["token"]
    assert (token["policies"], token["examined"], run.returncode) == (["app-wide"], True, 1)
    assert names(token["findings"]) == {
        "VAULT.CREDS database/creds/*",
        "VAULT.CREDS database/creds/app-migrate",
        "VAULT.CREDS database/creds/app-verify",
    }
    assert "paths of the token's policies that nobody thought of asking about" in token["not_examined"]


def test_an_operator_who_may_read_nothing_says_what_is_missing(stack: Stack, step: Step) -> None:
    with stack.client() as root:
        made = root.write_data("auth/token/create", data={"policies": ["default"], "ttl": "5m"})
    run = step("scope", "verify", "--json", VAULT_TOKEN=made["auth"]["client_token"])
    token = parsed(run)["token"]
    assert (token["findings"], token["examined"], run.returncode) == ([], True, 0)
    assert [line.partition(": your token may not use ")[2] for line in token["not_examined"]] == [
        "",  # what the token itself was not told
        "sys/mounts",
        "database/roles",
        "auth/token/lookup-accessor",
        "sys/policies/acl/app-verify",
        "sys/capabilities-accessor",
        "sys/auth",
        "auth/jwt/config",
        "auth/jwt/role",
    ]
    with stack.client() as root:
        root.write_data("auth/token/revoke", data={"token": made["auth"]["client_token"]})


def test_the_operators_policy_of_the_documentation_is_enough(stack: Stack, step: Step, odd: Oddities) -> None:
    text = (Path(__file__).parents[2] / "docs/scope.md").read_text()
    (policy,) = re.findall(r"```hcl\n(.*?)```", text, re.DOTALL)
    odd.write("sys/policies/acl/reviewer", {"policy": policy})
    with stack.client() as root:
        made = root.write_data("auth/token/create", data={"policies": ["reviewer"], "ttl": "5m"})["auth"]
        token = parsed(step("scope", "verify", "--json", VAULT_TOKEN=made["client_token"]))["token"]
        root.write_data("auth/token/revoke", data={"token": made["client_token"]})
    assert (token["not_examined"], token["examined"]) == ([], True)
    assert names(token["findings"], "within") == {"VAULT.ROLE auth/jwt/role/app-migrate"}


def test_on_a_persons_own_machine(stack: Stack, step: Step) -> None:
    run = step("scope", "verify", "--as-operator", "--json", VAULT_TOKEN=stack.openbao.root_token.reveal())
    told = parsed(run)
    assert (told["verdict"], told["ended"]["proven"], run.returncode) == ("within", True, 0)
    assert told["token"]["not_examined"] == [
        "which other JWT roles a job can take: there are no claims of a job to compare"
    ]


# A credential that exists already.


@pytest.fixture
def database(stack: Stack) -> Iterator[Callable[..., str]]:
    """`database("CREATE …")` is the URL of a user with the canary for a password, in a database of its own."""
    quoted = literal(CANARY)
    with closing(stack.postgresql.connect()) as connection:
        connection.run("CREATE DATABASE hostile")
        connection.run(f"CREATE ROLE pipeline LOGIN PASSWORD {quoted}")

    def made(*statements: str) -> str:
        with closing(stack.postgresql.connect(database="hostile")) as connection:
            for statement in statements:
                connection.run(statement)
        password = "c4n4ry%3Ap%40ss%2Fw%25rd%3F%23%C3%A9"
        return f"postgresql://pipeline:{password}@127.0.0.1:{stack.postgresql.port}/hostile?sslmode=disable"

    yield made
    with closing(stack.postgresql.connect()) as connection:
        connection.run("DROP DATABASE hostile WITH (FORCE)")
        connection.run("DROP ROLE pipeline")


@pytest.fixture
def elsewhere(stack: Stack, tmp_path: Path) -> Step:
    """A run where there is no configuration, no CI and no Vault."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    plain = {name: stack.environment()[name] for name in ("PATH", "HOME", "LANG")}

    def run(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepcreds", *arguments],
            cwd=folder,
            env={**plain, **{name: value for name, value in variables.items() if value is not None}},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


TABLE = (
    "CREATE TABLE orders (id int)",
    "REVOKE ALL ON DATABASE hostile FROM PUBLIC",
    "GRANT CONNECT ON DATABASE hostile TO pipeline",
    "GRANT INSERT ON orders TO pipeline",
)


def test_what_a_pipeline_holds_today(
    elsewhere: Step, database: Callable[..., str], normal: Callable[[str], str]
) -> None:
    url = database(*TABLE)
    run = elsewhere("scope", "--as-user", "DATABASE_URL", DATABASE_URL=url)
    assert normal(run.stdout).startswith(
        "stepcreds scope: DATABASE_URL: EXCESS: declared read-only, effective write, PostgreSQL 18.6 at HOST/hostile, "
        "user pipeline, N ms\n"
        "The worst this credential can do: INSERT into 1 table of public.\n"
    )
    assert run.stdout.endswith("The credential is as it was: nothing was revoked.\n")
    assert (run.stderr, run.returncode) == ("", 1)
    # It still works, and is what it was.
    wider = elsewhere(
        "scope", "--as-user", "DATABASE_URL", "--access", "read-write", "--schemas", "public,app", DATABASE_URL=url
    )
    assert wider.stdout.startswith("stepcreds scope: DATABASE_URL: WITHIN read-write in public, app, ")
    narrower = parsed(elsewhere("scope", "--as-user", "U", "--access", "ddl", "--schemas", "app", "--json", U=url))
    assert (narrower["verdict"], narrower["profile"], narrower["ended"], narrower["token"]) == (
        "excess",
        "U",
        None,
        None,
    )
    shown = wider.stdout + run.stdout + json.dumps(narrower)
    assert "c4n4ry" not in shown


def test_the_other_databases_of_the_server(elsewhere: Step, stack: Stack, database: Callable[..., str]) -> None:
    url = database(*TABLE)
    with closing(stack.postgresql.connect()) as connection:
        connection.run("CREATE DATABASE beside")
        connection.run("CREATE DATABASE shut CONNECTION LIMIT 0")
    try:
        with closing(stack.postgresql.connect(database="beside")) as connection:
            connection.run("CREATE TABLE payments (id int)")
            connection.run("GRANT DELETE ON payments TO PUBLIC")
        here = parsed(elsewhere("scope", "--as-user", "U", "--access", "read-write", "--json", U=url))
        there = parsed(
            elsewhere("scope", "--as-user", "U", "--access", "read-write", "--all-databases", "--json", U=url)
        )
    finally:
        with closing(stack.postgresql.connect()) as connection:
            connection.run("DROP DATABASE beside WITH (FORCE)")
            connection.run("DROP DATABASE shut")
    where = f"127.0.0.1:{stack.postgresql.port}"
    assert here["not_examined"][0] == (
        "2 other databases that let it in: beside, shut (stepcreds scope --all-databases looks there)"
    )
    assert here["verdict"] == "within"
    assert there["verdict"] == "excess"
    (deletes,) = [each for each in there["findings"] if each["standing"] == "excess"]
    assert (deletes["code"], deletes["database"], deletes["because"]) == (
        "PG.TABLE.WRITE",
        "beside",
        "you do not declare the database beside",
    )
    assert [text for text in there["not_examined"] if "database" in text] == [
        f'the database shut: {where} said: too many connections for database "shut"'
    ]
    beyond = [each for each in there["findings"] if each["code"].startswith(("PG.ELSEWHERE", "PG.DATABASE.CONNECT"))]
    assert [(each["name"], each["objects"]) for each in beyond] == [("PG.DATABASE.CONNECT", ["shut"])]


def test_nothing_speaks_of_vault_or_a_profile_where_there_is_none(
    elsewhere: Step, database: Callable[..., str]
) -> None:
    url = database(
        *TABLE,
        "CREATE ROLE pool",
        "GRANT pool TO pipeline WITH ADMIN OPTION",
        "ALTER ROLE pipeline CREATEDB",
        "CREATE SCHEMA other",
        "GRANT USAGE, CREATE ON SCHEMA other TO pipeline",
    )
    try:
        run = elsewhere("scope", "--as-user", "U", U=url)
        narrow = elsewhere("scope", "--as-user", "U", "--access", "ddl", "--schemas", "nowhere", U=url)
    finally:
        database("ALTER ROLE pipeline NOCREATEDB", "DROP SCHEMA other", "DROP ROLE pool")
    shown = run.stdout + narrow.stdout
    assert re.findall("Vault|profile", shown) == []
    said = dict(re.findall(r"  (PG\S+)[^\n]*  EXCESS\n(?: {9}[^f].*\n)+ {9}fix: (.*)\n", run.stdout))
    assert said["PG.ROLE.CREATEDB"] == 'Take it from "pipeline".'
    assert said["PG.ROLE.ADMIN_OPTION"] == 'REVOKE ADMIN OPTION FOR "pool" FROM "pipeline";'
    assert said["PG.SCHEMA.CREATE"] == 'REVOKE CREATE ON SCHEMA "other" FROM "pipeline";'
    assert "         because: ddl, and you declare read-only\n" in run.stdout
    assert "         because: you do not declare the schema other\n" in narrow.stdout


def test_a_database_that_nobody_reaches_is_no_profiles(elsewhere: Step) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as shut:
        port = shut.getsockname()[1]
    run = elsewhere("scope", "--as-user", "U", U=f"postgresql://a:hunter2@127.0.0.1:{port}/shop?sslmode=disable")
    assert re.findall("Vault|profile|hunter2", run.stdout) == []
    assert (
        f"stepcreds scope: U: UNMEASURABLE: 127.0.0.1:{port} refused the connection\n"
        "  cause: Nothing listens there: the server is down, or host or port is wrong.\n"
        "  fix: Look at the URL in U, and at the network. From this machine:\n"
        f"      nc -vz 127.0.0.1 {port}\n"
    ) in run.stdout
    assert (run.stderr, run.returncode) == ("", 1)


def test_what_a_pipeline_holds_at_mariadb(elsewhere: Step, mariadb: MariaDB, account: Account) -> None:
    mariadb.administer(
        "CREATE DATABASE IF NOT EXISTS ledger_", f"GRANT SELECT, DROP ON ledger_.* TO {account.name}@'%'"
    )
    url = (
        f"mysql+pymysql://{account.name}:{account.password.reveal()}@127.0.0.1:{mariadb.port}/ledger_?ssl-mode=DISABLED"
    )
    run = elsewhere("scope", "--as-user", "U", "--databases", "ledger_", U=url)
    assert run.stdout.startswith("stepcreds scope: U: EXCESS: declared read-only in ledger_, effective ddl, MariaDB ")
    assert "The worst this credential can do: " in run.stdout
    assert account.password.reveal() not in run.stdout
    assert (run.stderr, run.returncode) == ("", 1)
    told = parsed(elsewhere("scope", "--as-user", "U", "--access", "ddl", "--databases", "ledger_", "--json", U=url))
    assert told["verdict"] == "within"


HOSTILE = 'x\n::error::pwned\x1b[2J##[error]"; DROP'


def test_names_that_mean_to_steer_whoever_reads_them(elsewhere: Step, database: Callable[..., str]) -> None:
    name = identifier(HOSTILE.replace(";", ","))
    url = database(
        *TABLE,
        f"CREATE SCHEMA {name}",
        f"GRANT ALL ON SCHEMA {name} TO pipeline",
        f"CREATE TABLE {name}.{name} (id int)",
        f"GRANT ALL ON {name}.{name} TO pipeline",
    )
    run = elsewhere("scope", "--as-user", "U", U=url)
    assert run.returncode == 1
    assert "pwned" in run.stdout
    told = elsewhere("scope", "--as-user", "U", "--json", U=url)
    for shown in (run.stdout, told.stdout):
        assert "\x1b" not in shown
        assert re.search(r"(?m)^\s*::", shown) is None
        assert re.search(r"##\[(?!\\)", shown.replace("#\\#", "")) is None
    assert HOSTILE.replace(";", ",") in {finding["schema"] for finding in parsed(told)["findings"]}


def test_a_wrong_password_is_not_repeated(elsewhere: Step, stack: Stack) -> None:
    where = f"127.0.0.1:{stack.postgresql.port}"
    run = elsewhere("scope", "--as-user", "U", U=f"postgresql://postgres:hunter2@{where}/shop?sslmode=disable")
    assert run.stdout == (
        f'stepcreds scope: U: UNMEASURABLE: {where} said: password authentication failed for user "postgres"\n'
        "  fix: look at the URL in U: user, password, host, port and database\n"
        f"  see: {SEE}#not-measured\n"
    )
    assert (run.stderr, run.returncode) == ("", 1)


NO_URL = (
    "stepcreds: error: --as-user takes the name of an environment variable, and not a URL or a password\n"
    "  cause: What stands on a command line is seen by every process of the machine, and kept by the shell.\n"
    "  fix: Put the URL into a variable, and give its name: stepcreds scope --as-user DATABASE_URL\n"
    "    If it was a password that stood there, change it.\n"
    f"  see: {SEE}#as-user\n"
)


@pytest.mark.parametrize(
    ("arguments", "value", "message"),
    [
        (("--as-user", "postgresql://a:hunter2@b/c"), None, NO_URL),
        (("--as-user", "hunter2-"), None, NO_URL),
        (("--as-user", ""), None, NO_URL),
        (
            ("postgresql://a:hunter2@b/c",),
            None,
            "stepcreds: error: PROFILE is the name of a profile, and not a URL\n"
            "  cause: What stands on a command line is seen by every process of the machine, and kept by the shell.\n"
            "  fix: Put the URL into a variable, and give its name: stepcreds scope --as-user DATABASE_URL\n"
            "    If there was a password in it, change it.\n"
            f"  see: {SEE}#as-user\n",
        ),
        (
            ("--as-user", "U"),
            None,
            "stepcreds: error: The variable U is not set\n"
            "  cause: --as-user reads the URL of the credential from it.\n"
            "  fix: export U=postgresql://user:password@db.example.com:5432/app\n"
            f"  see: {SEE}#as-user\n",
        ),
        (
            ("--as-user", "U"),
            "postgresql://db/app",
            "stepcreds: error: The variable U does not hold the URL of a database: it is not the URL of a database "
            "with one user and one password\n"
            "  fix: postgresql://user:password@db.example.com:5432/app. In the user and the password write %40 for "
            "'@', %3A for ':', %2F for '/', %3F for '?', %23 for '#' and %25 for '%'.\n"
            f"  see: {SEE}#as-user\n",
        ),
        (
            ("--as-user", "U"),
            "postgres://a:hun@ter2@db/app",
            "stepcreds: error: The variable U does not hold the URL of a database: it is not the URL of a database "
            "with one user and one password\n"
            "  fix: postgresql://user:password@db.example.com:5432/app. In the user and the password write %40 for "
            "'@', %3A for ':', %2F for '/', %3F for '?', %23 for '#' and %25 for '%'.\n"
            f"  see: {SEE}#as-user\n",
        ),
    ],
)
def test_what_is_no_credential(elsewhere: Step, arguments: tuple[str, ...], value: str | None, message: str) -> None:
    run = elsewhere("scope", *arguments, U=value)
    assert (run.stderr, run.stdout, run.returncode) == (message, "", 2)
    assert "hunter2" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say what to look at: PROFILE, --all or --as-user"),
        (("verify", "--all"), "PROFILE and --all exclude each other"),
        (("verify", "--as-user", "U"), "PROFILE and --as-user exclude each other"),
        (("--all", "--as-user", "U"), "--all and --as-user exclude each other"),
        (
            ("verify", "--access", "ddl"),
            "--access, --schemas and --databases go with --as-user: a profile says them itself",
        ),
        (
            ("--all", "--schemas", "a"),
            "--access, --schemas and --databases go with --as-user: a profile says them itself",
        ),
        (
            ("--as-user", "U", "--operator"),
            "--operator and --as-operator are about Vault, which --as-user does not ask",
        ),
    ],
)
def test_flags_that_do_not_go_together(step: Step, arguments: tuple[str, ...], message: str) -> None:
    run = step("scope", *arguments)
    assert run.stderr.splitlines()[-1] == f"Error: {message}"
    assert (run.stdout, run.returncode) == ("", 2)


def test_a_profile_that_is_not_there(step: Step, config_file: Path) -> None:
    run = step("scope", "verifi")
    assert unannotated(run.stderr) == (
        f"stepcreds: error: There is no profile verifi in {config_file}\n"
        "  fix: The profiles there are: migrate, verify.\n"
        f"  see: {SEE}#configuration\n"
    )
    assert run.returncode == 2


# Interrupted.


class Gate(Relay):
    """Gives no answer to the first connection, which is that of the look, and hands on the others."""

    def _connected(self, near: Any) -> None:
        if self.connections > 1:
            super()._connected(near)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_issued_is_ended_when_the_look_is_interrupted(
    stack: Stack, config_file: Path, number: signal.Signals
) -> None:
    with Gate(stack.postgresql.port) as gate:
        here = f"127.0.0.1:{stack.postgresql.port}"
        config_file.write_text(config_file.read_text().replace(here, f"127.0.0.1:{gate.port}"))
        with subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "scope", "verify"],
            cwd=config_file.parent,
            env=stack.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            until(lambda: gate.connections or process.poll() is not None, "a look at the database")
            process.send_signal(number)
            output, problems = process.communicate(timeout=60)
    assert output == ""
    assert unannotated(problems) == (
        f"stepcreds: error: Ended by {number.name} before the profile was looked at\n  see: {SEE}#cancelled\n"
    )
    assert process.returncode == 1
    assert [record["verdict"] for record in of_kind(config_file, "credential.closed")] == ["proven dead"]


def test_what_was_issued_is_ended_when_the_look_is_killed(stack: Stack, config_file: Path) -> None:
    with Gate(stack.postgresql.port) as gate:
        here = f"127.0.0.1:{stack.postgresql.port}"
        config_file.write_text(config_file.read_text().replace(here, f"127.0.0.1:{gate.port}"))
        with Running(stack, config_file, "scope", "verify") as running:
            until(lambda: gate.connections, "a look at the database")
            running.kill(running.worker)
            run = running.wait()
    assert "The process that ran this step was lost: the worker was killed by SIGKILL" in run.stderr
    assert (run.stdout, run.returncode) == ("", 1)
    assert [record["verdict"] for record in of_kind(config_file, "credential.closed")] == ["proven dead"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("scope", "verify"), ""),
        (("scope", "--all", "--json"), ""),
        (("scope", "--as-user", "U", "--json"), ""),
        (("scope", "nobody", "--json"), "stepcreds: error: There is no profile nobody in {file}"),
    ],
)
def test_whoever_stops_reading_sees_no_traceback(
    stack: Stack, config_file: Path, arguments: tuple[str, ...], problem: str
) -> None:
    near, far = os.pipe()
    os.close(near)
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", *arguments],
        cwd=config_file.parent,
        env=stack.environment(U=f"postgresql://nobody:x@127.0.0.1:{stack.postgresql.port}/shop?sslmode=disable"),
        stdin=subprocess.DEVNULL,
        stdout=far,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(far)
    first, *others = unannotated(run.stderr).split("\n")
    assert (first, run.returncode) == (problem.format(file=config_file), 2 if problem else 1)
    assert [line for line in others if "Traceback" in line or "ignored" in line] == []
    assert {record["verdict"] for record in of_kind(config_file, "credential.closed")} <= {"proven dead"}
