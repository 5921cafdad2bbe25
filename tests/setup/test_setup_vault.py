"""Policies and roles for Vault: their text, and what a real OpenBao lets a step do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from setup_configs import CIS, DATABASE, config, given, plan, profile, settings

from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnsupportedError, UsageError
from stepcreds.secret import Secret
from stepcreds.setup import vault
from stepcreds.setup.answers.given import Given
from stepcreds.setup.answers.questions import complete
from stepcreds.setup.vault import USERNAME_TEMPLATE

POLICY = Path(__file__).with_name("policy.hcl")


def status(client: Any, method: str, path: str, **body: object) -> int:
    """The answer's status: asked without hvac's exceptions."""
    answer = client.adapter.session.request(
        method, f"{client.url}/v1/{path}", headers={"X-Vault-Token": client.token}, json=body or None, timeout=60
    )
    return int(answer.status_code)


def test_the_policy_is_complete_and_names_this_profile_alone(stack: Stack) -> None:
    assert vault.policy(stack.profiles["migrate"]) == POLICY.read_text()


@pytest.mark.usefixtures("alone")
def test_a_step_may_live_its_life_and_nothing_else(stack: Stack) -> None:
    own, other = "database/creds/app-migrate", "database/creds/app-verify"
    with stack.login("app-migrate") as step, stack.login("app-migrate") as killed, stack.client() as root:
        assert status(step, "PUT", "sys/leases/revoke", lease_id=f"{own}/stepcreds-probe", sync=True) == 204
        lease = step.read(own)["lease_id"]
        accessor = root.auth.token.lookup(killed.token)["data"]["accessor"]
        foreign = root.read(other)["lease_id"]
        allowed = {
            "shorten": status(step, "PUT", "sys/leases/renew", lease_id=lease, increment=60),
            "look up": status(step, "PUT", "sys/leases/lookup", lease_id=lease),
            "renew the token": status(step, "PUT", "auth/token/renew-self"),
            "end a killed step's token": status(step, "PUT", "auth/token/revoke-accessor", accessor=accessor),
        }
        assert set(allowed.values()) <= {200, 204}, allowed
        refused = {
            "another role's credential": status(step, "GET", other),
            "another role's lease": status(step, "PUT", "sys/leases/revoke", lease_id=foreign, sync=True),
            "lookup of it": status(step, "PUT", "sys/leases/lookup", lease_id=foreign),
            "renewal of it": status(step, "PUT", "sys/leases/renew", lease_id=foreign),
            "the path form": status(step, "PUT", f"sys/leases/revoke/{foreign}"),
            "a prefix": status(step, "PUT", f"sys/leases/revoke-prefix/{own}"),
            "a list": status(step, "LIST", f"sys/leases/lookup/{own}"),
            "its policy": status(step, "GET", "sys/policies/acl/app-migrate"),
            "a child token": status(step, "POST", "auth/token/create", ttl="1h"),
            "a secret": status(step, "GET", "secret/data/any"),
        }
        assert set(refused.values()) == {403}, refused
        assert status(step, "PUT", "sys/leases/revoke", lease_id=lease, sync=True) == 204
        assert status(step, "PUT", "sys/leases/lookup", lease_id=lease) == 400
        assert status(step, "PUT", "auth/token/revoke-self") == 204
        assert status(root, "PUT", "sys/leases/revoke", lease_id=foreign, sync=True) == 204


@pytest.mark.usefixtures("alone")
def test_a_later_login_may_revoke_what_a_killed_step_left(stack: Stack) -> None:
    with stack.login("app-migrate", run_id="1") as killed:
        lease = killed.read("database/creds/app-migrate")["lease_id"]
    with stack.login("app-migrate", run_id="2") as backstop:
        assert status(backstop, "PUT", "sys/leases/revoke", lease_id=lease, sync=True) == 204


@pytest.mark.parametrize(
    "creds",
    [
        *("", 'database/creds/a" {}', "database/creds/*", "database/+/a", "database/a\nb"),
        *("database/creds/{{identity.entity.name}}", "database/creds/${a"),
    ],
)
def test_a_path_that_would_mean_more_in_a_policy_is_refused(stack: Stack, creds: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        vault.policy(stack.profiles["migrate"]._replace(creds=creds))
    assert str(refused.value) == f"{creds!a} cannot stand in a policy."


def test_the_jwt_role_binds_audience_and_claims_and_fixes_the_repository(stack: Stack) -> None:
    body = vault.jwt_role(
        stack.profiles["migrate"],
        audience="https://vault",
        bound_claims={"repository_id": "1"},
        policies=["app-migrate"],
    )
    assert body == {
        "role_type": "jwt",
        "bound_audiences": ["https://vault"],
        "bound_claims": {"repository_id": "1"},
        "bound_claims_type": "string",
        "user_claim": "repository",
        "claim_mappings": {},
        "token_type": "service",
        "token_policies": ["app-migrate"],
        "token_no_default_policy": True,
        "token_ttl": 210,
        "token_max_ttl": 1890,
    }


def test_the_database_role_always_sends_its_revocation_statements(stack: Stack) -> None:
    body = vault.database_role(stack.profiles["verify"], connection="shop", creation=["A"], revocation=[])
    assert body == {
        "db_name": "shop",
        "creation_statements": ["A"],
        "revocation_statements": [],
        "default_ttl": 120,
        "max_ttl": 600,
    }


@pytest.mark.usefixtures("alone")
def test_a_role_that_two_profiles_share_has_one_policy_for_both_and_the_ledgers_key(stack: Stack) -> None:
    """As OpenBao reads it: two paths, the leases of both, one signature, and no more of the key."""
    migrate, verify = stack.profiles["migrate"], stack.profiles["verify"]
    text = vault.policy(migrate, verify, ledger_key="transit-two/keys/ledger")
    with stack.client() as root:
        root.write_data("sys/mounts/transit-two", data={"type": "transit"})
        try:
            for name in ("ledger", "other"):
                root.write_data(f"transit-two/keys/{name}", data={"type": "ed25519"})
            root.write_data("sys/policies/acl/shared", data={"policy": text})
            token = root.auth.token.create(policies=["shared"], no_default_policy=True)["auth"]["client_token"]
            with stack.client(Secret(token)) as step:
                leases = [step.read(each.creds)["lease_id"] for each in (migrate, verify)]
                signed = {
                    "its key": status(step, "PUT", "transit-two/sign/ledger", input="YQ=="),
                    "another key": status(step, "PUT", "transit-two/sign/other", input="YQ=="),
                    "to read its key": status(step, "GET", "transit-two/keys/ledger"),
                    "to export its key": status(step, "GET", "transit-two/export/signing-key/ledger"),
                }
                ended = [status(step, "PUT", "sys/leases/revoke", lease_id=lease, sync=True) for lease in leases]
            assert (list(signed.values()), ended) == ([200, 403, 403, 403], [204, 204])
            root.auth.token.revoke(token)
        finally:
            root.delete("sys/policies/acl/shared")
            root.delete("sys/mounts/transit-two")


def test_without_leases_a_policy_names_none(stack: Stack) -> None:
    unleased = stack.profiles["verify"]._replace(creds="kv/data/app", revocation="none")
    assert "sys/leases" not in vault.policy(unleased)


def test_a_plan_is_in_the_order_in_which_it_can_be_written(tmp_path: Path) -> None:
    profiles = {"migrate": profile("migrate", access="ddl"), "verify": profile("verify")}
    made = plan(
        config(tmp_path, profiles, ledger={"key": "sign/ing/keys/app"}),
        given(migrate={"environment": "production"}, verify={"outputs": True}),
    )
    assert [(setting.kind, setting.path) for setting in made.settings] == [
        ("auth_mount", "sys/auth/jwt"),
        ("auth_config", "auth/jwt/config"),
        ("mount", "sys/mounts/sign/ing"),
        ("transit_key", "sign/ing/keys/app"),
        ("policy", "sys/policies/acl/app-migrate"),
        ("jwt_role", "auth/jwt/role/app-migrate"),
        ("policy", "sys/policies/acl/app-verify"),
        ("jwt_role", "auth/jwt/role/app-verify"),
        ("jwt_role", "auth/jwt/role/app-verify-outputs"),
        ("mount", "sys/mounts/database"),
        ("connection", "database/config/app"),
        ("database_role", "database/roles/app-migrate"),
        ("database_role", "database/roles/app-verify"),
        ("header", "sys/config/auditing/request-headers/X-Stepcreds-Step"),
        ("lease_audit", "sys/mounts/sys/tune"),
    ]
    bodies = settings(made)
    assert bodies["auth/jwt/config"].body == {
        "oidc_discovery_url": "https://token.actions.githubusercontent.com",
        "bound_issuer": "https://token.actions.githubusercontent.com",
    }
    outputs, usual = (bodies[f"auth/jwt/role/app-verify{end}"].body for end in ("-outputs", ""))
    assert outputs == {**usual, "token_ttl": 1890}
    assert bodies["auth/jwt/role/app-migrate"].body["bound_claims"] == {
        "repository_id": "71717171",
        "environment": "production",
    }
    assert bodies["database/config/app"].body == {
        "plugin_name": "postgresql-database-plugin",
        "verify_connection": True,
        "allowed_roles": ["app-migrate", "app-verify"],
        "username": "stepcreds_vault",
        "password": "<password>",
        "username_template": USERNAME_TEMPLATE,
        "connection_url": "postgresql://{{username}}:{{password}}@db.example.com:5432/app?sslmode=verify-full",
        "password_authentication": "scram-sha-256",
    }
    assert bodies["database/config/app"].secret == ("password",)
    assert [database.manager for database in made.databases] == ["stepcreds_vault"]
    assert made.notes == (
        "verify: every job of the repository may log in; --environment, --branch or --ref would make it fewer.",
        "verify: a profile that is handed out as outputs may say role: app-verify-outputs",
    )


def test_vault_reaches_the_database_where_the_answers_say(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    url = f"postgresql://[::1]:5433/a%2Fb%20%7B%7Busername%7D%7D?sslmode=verify-ca&sslrootcert={ca}"
    answers = given({"vault_reaches": {"[::1]": "10.0.0.1:6432"}, "vault_ca": {"[::1]:5433": "/etc/ssl/my ca.pem"}})
    made = plan(config(tmp_path, {"verify": profile("verify", database=url)}), answers)
    (connection,) = (setting for setting in made.settings if setting.kind == "connection")
    assert connection.body["connection_url"] == (
        "postgresql://{{username}}:{{password}}@10.0.0.1:6432/a%2Fb%20%7B%7Busername%7D%7D"
        "?sslmode=verify-ca&sslrootcert=/etc/ssl/my%20ca.pem"
    )


def test_each_connection_has_a_user_of_its_own(tmp_path: Path) -> None:
    """One changes its password without telling the others."""
    profiles = {
        "one": profile("one"),
        "two": profile("two", database=DATABASE.replace("/app", "/billing")),
        "three": profile("three", creds="other/mount/creds/three"),
        "four": profile("four", database=DATABASE.replace("/app", f"/{'long' * 12}")),
        "five": profile("five", database=DATABASE.replace("db.", "elsewhere.")),
    }
    made = plan(config(tmp_path, profiles), given(five={"group": "elsewhere_ro"}))
    connections = {each.path: each.body["username"] for each in made.settings if each.kind == "connection"}
    assert connections == {
        "database/config/app": "stepcreds_vault",
        "database/config/billing": "stepcreds_vault_billing",
        "other/mount/config/app": "stepcreds_vault_app",
        f"database/config/{'long' * 10}-4f4fd4aa": "stepcreds_vault_563fa564",
        "database/config/app-elsewhere.example.com": "stepcreds_vault",
    }
    assert [each.manager for each in made.databases] == list(connections.values())


def test_the_role_for_outputs_is_that_of_the_profile_that_is_handed_out(tmp_path: Path) -> None:
    profiles = {"a": profile("x"), "handed_out": profile("x", role="app-x-outputs", max_ttl="10m")}
    bodies = settings(plan(config(tmp_path, profiles), given(a={"outputs": True})))
    roles = {path: body.body["token_ttl"] for path, body in bodies.items() if body.kind == "jwt_role"}
    assert roles == {"auth/jwt/role/app-x": 210, "auth/jwt/role/app-x-outputs": 690}
    assert bodies["auth/jwt/role/app-x-outputs"].body["token_policies"] == ["app-x-outputs"]


def test_a_long_schema_makes_no_name_that_postgresql_would_cut(tmp_path: Path) -> None:
    schemas = ["ü" * 31, "ü" * 30 + "a"]
    profiles = {"a": profile("a", schemas=[schemas[0]]), "b": profile("b", schemas=[schemas[1]])}
    bodies = settings(plan(config(tmp_path, profiles)))
    groups = [str(bodies[f"database/roles/app-{name}"].body["creation_statements"][1]) for name in "ab"]  # type: ignore[index]
    assert groups == [
        f'GRANT "app_{"ü" * 25}_40a3b056" TO "{{{{name}}}}"',
        f'GRANT "app_{"ü" * 25}_2591bbcd" TO "{{{{name}}}}"',
    ]


def test_a_role_is_called_after_its_database_and_schemas(tmp_path: Path) -> None:
    """A server has one set of roles, so another database's must not have the same name."""
    of = {"shop": DATABASE.replace("/app", "/shop"), "odd": DATABASE.replace("/app", "/sh%3Bop")}
    profiles = {
        "same": profile("same"),
        "other": profile("other", database=of["shop"]),
        "two": profile("two", database=of["shop"], schemas=["app", "hr"]),
        "all": profile("all", database=of["shop"], schemas=[]),
        "writer": profile("writer", database=of["shop"], access="read-write"),
        "one-table": profile("one-table", database=of["shop"], tables=["app.t"]),
        "ddl": profile("ddl", database=of["shop"], access="ddl", schemas=["app", "hr"]),
        "taken": profile("taken", schemas=[]),
        "odd": profile("odd", database=of["odd"]),
    }
    answers = complete(config(tmp_path, profiles), given({"no_environment": True}))
    assert {name: answer.role for name, answer in answers.profiles.items()} == {
        "same": "app_ro",
        "other": "shop_app_ro",
        "two": "shop_app_hr_ro",
        "all": "shop_ro",
        "writer": "shop_app_rw",
        "one-table": "shop_app_one-table_ro",
        "ddl": "shop_app_owner",
        "taken": "app_taken_ro",
        "odd": "0efb6c10_app_ro",
    }


def test_a_connection_has_the_name_that_was_answered(tmp_path: Path) -> None:
    made = plan(config(tmp_path, {"a": profile("a"), "b": profile("b")}), given(b={"connection": "shop-ci"}))
    bodies = settings(made)
    assert bodies["database/config/shop-ci"].body["allowed_roles"] == ["app-a", "app-b"]
    assert {bodies[f"database/roles/app-{name}"].body["db_name"] for name in "ab"} == {"shop-ci"}


def test_an_engine_without_a_database_gets_its_policy_and_its_jwt_role(tmp_path: Path) -> None:
    made = plan(
        config(tmp_path, {"deploy": {"role": "deploy", "creds": "aws/creds/deploy", "env": {"KEY": "{access_key}"}}})
    )
    assert [setting.kind for setting in made.settings] == [
        "auth_mount",
        "auth_config",
        "policy",
        "jwt_role",
        "header",
        "lease_audit",
    ]
    assert made.databases == ()
    assert made.notes == (
        "deploy: what issues at aws/creds/deploy is not made here; its policy and its JWT role are.",
        "deploy: every job of the repository may log in; --environment, --branch or --ref would make it fewer.",
    )


def test_in_a_namespace_the_header_is_left_to_the_root(tmp_path: Path) -> None:
    vault_settings = {"address": "https://vault.example.com:8200", "namespace": "platform"}
    made = plan(config(tmp_path, {"verify": profile("verify")}, vault=vault_settings))
    assert "header" not in [setting.kind for setting in made.settings]
    assert made.notes[1:] == (
        "The header X-Stepcreds-Step is audited for the whole server, and set up in the root namespace.",
    )


def test_a_subject_of_github_has_two_forms(tmp_path: Path) -> None:
    made = plan(config(tmp_path, {"a": profile("a")}), given({"claim": {"sub": "repo:acme/shop:ref:refs/heads/main"}}))
    assert made.notes == (
        "a: repositories made, renamed or moved since 15 July 2026 have another sub, repo:OWNER@ID/NAME@ID:…; other "
        "claims are the same for all.",
    )


def test_profiles_that_share_a_role_or_a_path_get_the_longer_time(tmp_path: Path) -> None:
    profiles = {"short": profile("a", ttl="1m"), "long": profile("a", ttl="3m", max_ttl="2h")}
    bodies = settings(plan(config(tmp_path, profiles)))
    role, database = bodies["auth/jwt/role/app-a"].body, bodies["database/roles/app-a"].body
    assert (role["token_ttl"], role["token_max_ttl"]) == (270, 7290)
    assert (database["default_ttl"], database["max_ttl"]) == (180, 7200)
    text = str(bodies["sys/policies/acl/app-a"].body["policy"])
    assert text.count('path "database/creds/app-a"') == 1


@pytest.mark.parametrize(
    ("profiles", "answers", "what"),
    [
        (
            {"a": profile("x"), "b": profile("y", role="app-x")},
            given(b={"branch": "main"}),
            "The profiles a and b share the role app-x and are bound to different jobs",
        ),
        (
            {"a": profile("x"), "b": profile("x", schemas=["app", "audit"])},
            given(),
            "The profiles a and b share database/creds/app-x and ask for different users",
        ),
        (
            {"a": profile("x"), "b": profile("x", database=f"{DATABASE}?sslmode=require", creds="database/creds/y")},
            given(),
            "The profiles a and b reach one database in two ways",
        ),
        (
            {"a": profile("x"), "b": profile("y", database=DATABASE.replace("/app", "/other"))},
            given({"connection": "one"}),
            "--connection one would be for two databases",
        ),
        (
            {"a": profile("x"), "b": profile("y", access="read-write")},
            given({"no_environment": True}, a={"group": "same"}, b={"group": "same"}),
            "The profiles a and b would share the database role same",
        ),
    ],
)
def test_profiles_that_contradict_each_other_are_refused(
    tmp_path: Path, profiles: dict[str, Any], answers: Any, what: str
) -> None:
    with pytest.raises(UsageError) as refused:
        plan(config(tmp_path, profiles), answers)
    assert str(refused.value) == what


@pytest.mark.parametrize("name", ["", "-a", "a-", "a/b", 'a"b', "a b", "ü", "{{a}}", "a\nb"])
def test_what_vault_does_not_take_as_a_role_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        vault.role_name(name, "profiles.a.role")
    assert str(refused.value) == f"profiles.a.role: {name!a} cannot be the name of a role at Vault."


def test_names_are_in_lower_case_as_vault_keeps_them(tmp_path: Path) -> None:
    bodies = settings(plan(config(tmp_path, {"a": profile("x", role="App-X", creds="database/creds/App-X")})))
    assert {"auth/jwt/role/app-x", "sys/policies/acl/app-x", "database/roles/app-x"} < set(bodies)
    assert bodies["database/config/app"].body["allowed_roles"] == ["app-x"]


def test_a_path_of_another_form_is_no_role_of_the_engine(tmp_path: Path) -> None:
    made = plan(config(tmp_path, {"a": profile("x", creds="custom/issue/x")}))
    assert [setting.kind for setting in made.settings] == [
        "auth_mount",
        "auth_config",
        "policy",
        "jwt_role",
        "header",
        "lease_audit",
    ]


def test_the_password_is_nowhere_in_a_plan(tmp_path: Path) -> None:
    made = plan(config(tmp_path, {"a": profile("x")}))
    assert [s.body[name] for s in made.settings for name in s.secret] == ["<password>"]


# What the token of such a job says; and of a job of another repository, on another branch, in another environment.
CLAIMS: dict[str, dict[str, object]] = {
    "github": {"repository": "acme/shop", "repository_id": "1", "environment": "prod"},
    "forgejo": {"repository": "acme/shop", "ref": "refs/heads/main", "ref_protected": "true"},
    "gitlab": {"project_id": "7", "ref_path": "refs/heads/main", "ref_protected": "true"},
    "buildkite": {"organization_slug": "acme", "pipeline_slug": "shop", "build_branch": "main", "build_number": 5},
    "circleci": {
        "oidc.circleci.com/project-id": "2d3c",
        "oidc.circleci.com/context-ids": ["6978", "other"],
        "oidc.circleci.com/ssh-rerun": False,
    },
    "azure": {"org_id": "0ca3", "prj_id": "271e", "rpo_ref": "refs/heads/main", "def_id": "1"},
    "bitbucket": {"repositoryUuid": "{9a8b}", "deploymentEnvironmentUuid": "{5e6f}"},
    "jenkins": {"sub": "https://j/job/a/", "build_number": 12},
    "kubernetes": {"kubernetes.io": {"namespace": "ci", "serviceaccount": {"uid": "1c2d"}}},
    "gcp": {"sub": "1122", "email": "deployer@acme.iam.gserviceaccount.com"},
    "other": {"sub": "job"},
}


@pytest.mark.parametrize("ci", CIS)
def test_a_real_vault_lets_such_a_job_in_and_no_other(stack: Stack, tmp_path: Path, ci: str) -> None:
    arguments, _ = CIS[ci]
    answers = {
        flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(*[iter(arguments)] * 2, strict=True)
    }
    made = plan(config(tmp_path, {"verify": profile("verify")}), Given({"ci": ci, **answers}, {}))
    body = dict(settings(made)["auth/jwt/role/app-verify"].body)
    path = f"auth/{provision.MOUNT}/role/of-a-ci"

    def login(claims: dict[str, object]) -> int:
        token = stack.issuer.token("https://vault.example.com:8200", **claims)
        return status(anybody, "POST", f"auth/{provision.MOUNT}/login", role="of-a-ci", jwt=token.reveal())

    with stack.client() as root, stack.client(Secret("none")) as anybody:
        root.write_data(path, data={**body, "token_policies": []})
        try:
            assert root.read(path)["data"]["bound_claims"] == body["bound_claims"]
            assert login(CLAIMS[ci]) == 200
            for name in CLAIMS[ci]:
                bound = name == "kubernetes.io" or name in body["bound_claims"]  # type: ignore[operator]
                assert login({**CLAIMS[ci], name: {"namespace": "ci"} if name == "kubernetes.io" else "x"}) == (
                    400 if bound else 200
                ), name
        finally:
            root.delete(path)
