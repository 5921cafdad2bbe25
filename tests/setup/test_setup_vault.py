"""Policies and roles for Vault: their text, and what a real OpenBao lets a step do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnsupportedError
from stepcreds.setup import vault

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


@pytest.mark.parametrize("creds", ["", 'database/creds/a" {}', "database/creds/*", "database/+/a", "database/a\nb"])
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
