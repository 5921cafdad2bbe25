"""The three servers together: what tests, the demo and benchmarks are promised."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from hvac.exceptions import InvalidRequest
from pg8000.exceptions import DatabaseError

from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret


def test_the_shop_is_there_and_belongs_to_its_owner(stack: Stack) -> None:
    tables = stack.sql("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'app' ORDER BY 1")
    assert tables == [
        [name, "app_owner"]
        for name in ("customers", "order_items", "orders", "staging_orders", "staging_payments", "staging_returns")
    ]
    counts = "SELECT (SELECT count(*) FROM app.orders), (SELECT count(*) FROM app.staging_orders)"
    assert stack.sql(counts) == [[1000, 412]]


def test_openbao_alone_knows_the_management_user_who_can_do_little(stack: Stack) -> None:
    attributes = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles"
    assert stack.sql(f"{attributes} WHERE rolname = 'vault_mgr'") == [[False, True, False, False, False]]
    memberships = "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
    member = "WHERE m.member = 'vault_mgr'::regrole AND r.rolname NOT LIKE 'v-%' ORDER BY 1"
    assert stack.sql(f"{memberships} {member}") == [["app_owner"], ["app_ro"]]


@pytest.mark.parametrize(
    ("claim", "value"), [("repository_id", "666"), ("environment", None), ("environment", "staging")]
)
def test_a_token_of_another_repository_or_environment_does_not_log_in(
    stack: Stack, claim: str, value: str | None
) -> None:
    with pytest.raises(InvalidRequest, match=f'claim "{claim}"'), stack.login("app-migrate", **{claim: value}):
        raise AssertionError("logged in")


def test_login_gives_a_short_service_token_with_one_policy(stack: Stack) -> None:
    with stack.login("app-migrate") as vault, stack.client() as root:
        token = root.auth.token.lookup(vault.token)["data"]
    assert token["policies"] == ["app-migrate"]
    assert (token["type"], token["creation_ttl"], token["explicit_max_ttl"]) == ("service", 210, 0)


def test_the_audit_log_tells_who_read_which_credential(stack: Stack) -> None:
    with stack.login("app-verify", run_id="4711") as vault:
        lease = vault.read("database/creds/app-verify")["lease_id"]
        vault.adapter.put("/v1/sys/leases/revoke", json={"lease_id": lease, "sync": True})
    told = [
        entry
        for entry in stack.audit()
        if entry["type"] == "response"
        # Other tests' requests are there, too: an answer without content has no response, an error no secret.
        and ((entry.get("response") or {}).get("secret") or {}).get("lease_id") == lease
    ]
    assert [entry["auth"]["metadata"]["run_id"] for entry in told] == ["4711"]


def test_the_helpers_see_what_is_alive(stack: Stack) -> None:
    with stack.login("app-verify") as vault:
        issued = vault.read("database/creds/app-verify")
        user, password = issued["data"]["username"], Secret(issued["data"]["password"])
        with closing(stack.connect(user, password)):
            assert user in stack.issued_roles()
            assert stack.sessions(user) == 1
            assert issued["lease_id"] in stack.leases("database/creds/app-verify")
        vault.adapter.put("/v1/sys/leases/revoke", json={"lease_id": issued["lease_id"], "sync": True})
    assert user not in stack.issued_roles()
    assert issued["lease_id"] not in stack.leases("database/creds/app-verify")


def test_the_environment_is_a_github_jobs(stack: Stack) -> None:
    environment = stack.environment(MORE="1")
    assert environment["GITHUB_ACTIONS"] == "true"
    assert environment["GITHUB_REPOSITORY_ID"] == "71717171"
    assert environment["MORE"] == "1"
    assert not [name for name in environment if re.match("VAULT_|BAO_|PG", name)]


def test_the_configuration_names_no_secret(stack: Stack, tmp_path: Path) -> None:
    text = stack.write_config(tmp_path).read_text()
    assert "database/creds/app-migrate" in text
    secrets = (stack.openbao.root_token, stack.postgresql.password, stack.issuer.request_token)
    assert not [secret for secret in secrets if secret.reveal() in text]


def test_with_tls_credentials_work_over_tls_alone() -> None:
    with Stack(tls=True) as stack:
        assert f"sslmode=verify-full&sslrootcert={stack.postgresql.ca_cert}" in stack.config_text()
        with stack.login("app-migrate") as vault:
            issued = vault.read("database/creds/app-migrate")
            user, password = issued["data"]["username"], Secret(issued["data"]["password"])
            with closing(stack.connect(user, password)) as connection:
                assert connection.run("SELECT current_user") == [["app_owner"]]
                connection.run("SET ROLE NONE")
                assert connection.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [[True]]
            answer = vault.adapter.put("/v1/sys/leases/revoke", json={"lease_id": issued["lease_id"], "sync": True})
            assert answer.status_code == 204
        assert stack.issued_roles() == set()
        with pytest.raises(DatabaseError, match="28P01"):
            stack.connect(user, password)


def test_the_configuration_says_what_the_roles_were_made_from(stack: Stack, config_file: Path) -> None:
    config = load_config(config_file, {}, config_file.parent, SystemClock())
    assert config.profiles == stack.profiles
    assert (config.vault.addresses, config.vault.audience) == ((stack.address,), stack.address)
    assert config.ledger.path == config_file.parent / ".stepcreds"
