"""Configures an empty PostgreSQL and OpenBao for the shop, as a careful platform engineer would; it starts neither."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Protocol

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.secret import Secret
from stepcreds.setup import postgresql, vault
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.postgresql_roles import MANAGER_PASSWORD

DATABASE = "shop"
SCHEMA = "app"
OWNER = "app_owner"
GROUP = "app_ro"
MANAGER = "vault_mgr"
MOUNT = "jwt"


class Connection(Protocol):
    """The part of `pg8000.native.Connection` that is used."""

    def run(self, sql: str) -> Any: ...

    def execute_simple(self, sql: str) -> Any: ...


class Client(Protocol):
    """The part of `hvac.Client` that is used."""

    def write_data(self, path: str, *, data: dict[str, Any]) -> Any: ...


def create_database(connection: Connection) -> None:
    """As superuser, in any other database."""
    connection.run(f"CREATE DATABASE {postgresql.identifier(DATABASE)}")


def provision_database(connection: Connection, url: DatabaseURL, profiles: Sequence[Profile]) -> Secret:
    """As superuser in the new database: schema and data, and all that `setup` has an administrator do for `profiles`.

    Returns the password of the user that Vault logs in as.
    """
    password = Secret(secrets.token_urlsafe(24))
    load(connection, "shop.sql")
    load(connection, "staging.sql")
    for statement in postgresql.database_plan(url, profiles, answers(profiles)).statements:
        connection.execute_simple(statement.sql.replace(MANAGER_PASSWORD, password.reveal()))
    return password


def answers(profiles: Iterable[Profile]) -> Answers:
    """What somebody would have answered: the owner of the shop's tables behind DDL, a group of readers."""
    roles = {profile.name: OWNER if profile.access == "ddl" else GROUP for profile in profiles}
    given = {name: ProfileAnswers(bound_claims={}, role=role) for name, role in roles.items()}
    return Answers("github", "", "repository", vault.GITHUB_CLAIM_MAPPINGS, given, MANAGER)


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
        creation, revocation = postgresql.role_statements(profile, answers([profile]))
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


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
