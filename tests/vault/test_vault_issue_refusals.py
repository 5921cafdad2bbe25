"""Each way in which a real OpenBao with a real PostgreSQL fails to issue or to revoke, and what stepcreds then says."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from servers import settings

from stepcreds.clock import SystemClock
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.stack import Stack
from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.vault.client import Vault

CONNECTIONS = "  bao list troubles/config"


@dataclass(frozen=True)
class Case:
    creds: str
    said: str  # the end of the message
    cause: str
    fix: str
    docs: str
    status: int
    lost: bool = False


CASES = {
    "no such mount": Case(
        "nowhere/creds/app",
        'no handler for route "nowhere/creds/app". route entry not found.',
        "Nothing is mounted at this path (in this namespace).",
        "Look at the path, and at what is mounted:\n  bao secrets list\n  bao auth list",
        "vault-mount",
        404,
    ),
    "nothing at the path": Case(
        "secret/data/nothing",
        "answered 404 to GET secret/data/nothing",
        "There is nothing at secret/data/nothing.",
        "Correct `creds` of the profile. What is mounted:\n  bao secrets list",
        "issue-role",
        404,
    ),
    "no such role": Case(
        "troubles/creds/none",
        "unknown role: none",
        "The engine has no such role.",
        "Correct `creds` of the profile, or make the role. Those there are:\n  bao list troubles/roles",
        "issue-role",
        400,
    ),
    "a role that the connection does not allow": Case(
        "troubles/creds/forbidden",
        '"forbidden" is not an allowed role',
        "The database connection does not list this role.",
        f"Add the role to allowed_roles of the connection. The connections:\n{CONNECTIONS}",
        "issue-role",
        500,
        lost=True,
    ),
    "no such connection": Case(
        "troubles/creds/unconnected",
        'failed to find entry for connection with name: "none"',
        "The role names a database connection that does not exist.",
        f"Make the connection, or correct db_name of the role. Those there are:\n{CONNECTIONS}",
        "issue-role",
        500,
        lost=True,
    ),
    "a database that is away": Case(
        "troubles/creds/away",
        "dial tcp 127.0.0.1:1: connect: connection refused",
        "Vault's servers cannot reach the database.",
        "Look at connection_url of the database connection, and at the network between Vault and the database:\n"
        f"{CONNECTIONS}",
        "issue-database",
        500,
        lost=True,
    ),
    "a manager that may not log in": Case(
        "troubles/creds/stranger",
        'password authentication failed for user "troubles_manager" (SQLSTATE 28P01)',
        "The database does not let Vault's own user in.",
        f"Look at the username of the database connection, and set its password anew:\n{CONNECTIONS}",
        "issue-database",
        500,
        lost=True,
    ),
    "statements that the database refuses": Case(
        "troubles/creds/broken",
        'role "no_such_group" does not exist (SQLSTATE 42704)',
        "The database refused the role's creation statements.",
        "Look at creation_statements, and at what Vault's own user may do:\n  bao list troubles/roles",
        "issue-statements",
        500,
        lost=True,
    ),
    "statements that go too far": Case(
        "troubles/creds/greedy",
        "permission denied for schema app (SQLSTATE 42501)",
        "The database refused the role's creation statements.",
        "Look at creation_statements, and at what Vault's own user may do:\n  bao list troubles/roles",
        "issue-statements",
        500,
        lost=True,
    ),
}
_CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


@pytest.fixture(scope="module")
def troubles(stack: Stack) -> Iterator[None]:
    password = secrets.token_urlsafe(16)
    stack.sql(f"CREATE ROLE troubles_manager LOGIN CREATEROLE PASSWORD '{password}'")
    stack.sql("GRANT CONNECT ON DATABASE shop TO troubles_manager")
    here, away = f"127.0.0.1:{stack.postgresql.port}", "127.0.0.1:1"
    with stack.client() as root:
        root.write_data("sys/mounts/troubles", data={"type": "database"})
        for name, where, secret, allowed in (
            ("db", here, password, ["broken", "greedy", "owner"]),
            ("away", away, password, ["*"]),
            ("stranger", here, "wrong", ["*"]),
        ):
            connection = {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}/shop?sslmode=disable",
                "username": "troubles_manager",
                "password": secret,
                "allowed_roles": allowed,
                "verify_connection": False,
            }
            root.write_data(f"troubles/config/{name}", data=connection)
        for name, connection_name, statements in (
            ("forbidden", "db", [_CREATE]),
            ("unconnected", "none", [_CREATE]),
            ("away", "away", [_CREATE]),
            ("stranger", "stranger", [_CREATE]),
            ("broken", "db", [_CREATE, 'GRANT no_such_group TO "{{name}}"']),
            ("greedy", "db", [_CREATE, 'GRANT SELECT ON app.orders TO "{{name}}"']),
            ("owner", "db", [_CREATE]),
        ):
            role = {"db_name": connection_name, "creation_statements": statements, "default_ttl": 60, "max_ttl": 60}
            root.write_data(f"troubles/roles/{name}", data=role)
        yield
        root.delete("sys/mounts/troubles")
    stack.sql("DROP OWNED BY troubles_manager")
    stack.sql("DROP ROLE troubles_manager")


@pytest.fixture
def vault(stack: Stack) -> Iterator[Vault]:
    made = Vault(settings(stack.address), SystemClock(), patience=10)
    made.use(stack.openbao.root_token)
    yield made
    made.close()


@pytest.mark.usefixtures("troubles")
@pytest.mark.parametrize("name", CASES)
def test_a_refusal_to_issue_is_explained(vault: Vault, stack: Stack, name: str) -> None:
    case = CASES[name]
    with pytest.raises(VaultError) as caught:
        vault.issue(case.creds)
    error = caught.value
    assert error.what.startswith(f"Vault at {stack.address} answered {case.status} to GET {case.creds}")
    assert error.what.endswith(case.said)
    assert (error.cause, error.fix, error.docs) == (case.cause, case.fix, case.docs)
    assert (error.status, isinstance(error, LostAnswerError)) == (case.status, case.lost)


@pytest.mark.usefixtures("troubles")
def test_a_user_who_owns_something_cannot_be_revoked(vault: Vault, stack: Stack) -> None:
    lease = vault.issue("troubles/creds/owner")
    user = lease.fields["username"].reveal()
    stack.sql("CREATE TABLE app.keepsake (id int)")
    stack.sql(f'ALTER TABLE app.keepsake OWNER TO "{user}"')
    with pytest.raises(VaultError) as caught:
        vault.revoke_lease(lease.lease_id)
    error = caught.value
    assert "cannot be dropped because some objects depend on it" in error.what
    assert error.cause == (
        "The issued user owns objects, or has rights that the role's revocation statements do not take away."
    )
    assert error.fix == (
        "Give the database role revocation_statements with REASSIGN OWNED and DROP OWNED before DROP ROLE."
    )
    assert error.docs == "revoke-owned"
    assert vault.lookup_lease(lease.lease_id).alive
    stack.sql("DROP TABLE app.keepsake")
    vault.revoke_lease(lease.lease_id)
    assert not vault.lookup_lease(lease.lease_id).alive


def test_a_sealed_vault() -> None:
    with OpenBao() as bao:
        vault = Vault(settings(bao.address), SystemClock(), patience=20, pause=lambda attempt: 60.0)
        vault.use(bao.root_token)
        import hvac

        client = hvac.Client(url=bao.address, token=bao.root_token.reveal())
        client.sys.seal()
        client.adapter.close()
        for call in (vault.revoke_self, lambda: vault.issue("database/creds/app")):
            with pytest.raises(VaultError) as caught:
                call()
            error = caught.value
            assert not isinstance(error, LostAnswerError)
            assert error.what.startswith(f"Vault at {bao.address} answered 503 to ")
            assert error.what.endswith(": Vault is sealed")
            assert error.cause == "The server was started and not unsealed, or somebody sealed it."
            assert error.fix == "An operator must unseal it:\n  bao operator unseal"
            assert error.docs == "vault-sealed"
        vault.close()
