"""Configures an empty PostgreSQL and OpenBao for the shop, as a careful platform engineer would; it starts neither."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Protocol

from stepcreds.config.model import Profile
from stepcreds.secret import Secret
from stepcreds.setup import postgresql, vault

DATABASE = "shop"
SCHEMA = "app"
OWNER = "app_owner"
GROUP = "app_ro"
MANAGER = "vault_mgr"
MOUNT = "jwt"


class Connection(Protocol):
    """The part of `pg8000.native.Connection` that is used."""

    def run(self, sql: str) -> Any: ...


class Client(Protocol):
    """The part of `hvac.Client` that is used."""

    def write_data(self, path: str, *, data: dict[str, Any]) -> Any: ...


def create_database(connection: Connection) -> None:
    """As superuser, in any other database."""
    connection.run(f"CREATE DATABASE {postgresql.identifier(DATABASE)}")


def provision_database(connection: Connection) -> Secret:
    """As superuser in the new database: schema and data, the read-only group, the management user, and the hardening.

    Returns the management user's password.
    """
    password = Secret(secrets.token_urlsafe(24))
    version = int(connection.run("SHOW server_version_num")[0][0]) // 10_000
    load(connection, "shop.sql")
    load(connection, "staging.sql")
    _run(connection, postgresql.read_only_group(GROUP, database=DATABASE, schema=SCHEMA, owner=OWNER))
    _run(
        connection,
        postgresql.management_user(
            version, MANAGER, password.reveal(), database=DATABASE, groups=[GROUP], owners=[OWNER]
        ),
    )
    _run(connection, postgresql.hardening(DATABASE))
    return password


def load(connection: Connection, script: str) -> None:
    """As superuser: run one of the .sql files beside this module."""
    connection.run(resources.files(__package__).joinpath(script).read_text())


def provision_vault(
    client: Client,
    *,
    profiles: Iterable[Profile],
    issuer: str,
    audience: str,
    bound_claims: Mapping[str, object],
    database_url: str,  # host:port/database?parameters
    manager_password: Secret,
) -> None:
    """With a root token: the JWT mount, the database engine, and for each profile a policy and two roles."""
    client.write_data(f"sys/auth/{MOUNT}", data={"type": "jwt"})
    client.write_data(f"auth/{MOUNT}/config", data={"oidc_discovery_url": issuer, "bound_issuer": issuer})
    client.write_data("sys/mounts/database", data={"type": "database"})
    client.write_data(
        f"database/config/{DATABASE}",
        data={
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{database_url}",
            "username": MANAGER,
            "password": manager_password.reveal(),
            "password_authentication": "scram-sha-256",  # so no clear password reaches PostgreSQL's log
            "username_template": vault.USERNAME_TEMPLATE,
            "allowed_roles": [_last(profile.creds) for profile in profiles],
        },
    )
    # From here on OpenBao alone knows the management user's password.
    client.write_data(f"database/rotate-root/{DATABASE}", data={})
    for profile in profiles:
        creation, revocation = _statements(profile)
        role = vault.database_role(profile, connection=DATABASE, creation=creation, revocation=revocation)
        client.write_data(f"database/roles/{_last(profile.creds)}", data=role)
        client.write_data(f"sys/policies/acl/{profile.role}", data={"policy": vault.policy(profile)})
        client.write_data(
            f"auth/{MOUNT}/role/{profile.role}",
            data=vault.jwt_role(
                profile,
                audience=audience,
                bound_claims=bound_claims,
                policies=[profile.role],
                claim_mappings=vault.GITHUB_CLAIM_MAPPINGS,
            ),
        )


def _statements(profile: Profile) -> tuple[Sequence[str], Sequence[str]]:
    if profile.access == "ddl":
        return postgresql.ddl_creation(OWNER, DATABASE), postgresql.revocation(OWNER)
    return postgresql.read_only_creation(GROUP), postgresql.revocation()


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.run(statement)


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
