"""Configures an empty PostgreSQL and OpenBao for the shop, by the plan and the steps of `setup apply`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Protocol

from stepcreds.clock import Clock
from stepcreds.config.login_url import LoginURL
from stepcreds.config.model import Config, Profile
from stepcreds.errors import StepcredsError
from stepcreds.secret import Secret
from stepcreds.setup import vault
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.building import build
from stepcreds.setup.connections import server
from stepcreds.setup.live.administrator import Administrator
from stepcreds.setup.live.apply import steps
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.rotation import rotations
from stepcreds.setup.live.survey import survey

DATABASE = "shop"
SCHEMA = "app"
OWNER = "app_owner"
GROUP = "app_ro"
MANAGER = "vault_mgr"
MOUNT = "jwt"


class Connection(Protocol):
    """The part of `pg8000.native.Connection` that is used."""

    def run(self, sql: str) -> Any: ...


def create_database(connection: Connection) -> None:
    """As superuser, in any other database."""
    connection.run(f"CREATE DATABASE {DATABASE}")


def load(connection: Connection, script: str) -> None:
    """As superuser: run one of the .sql files beside this module."""
    connection.run(resources.files(__package__).joinpath(script).read_text())


def answers(profiles: Mapping[str, Profile], issuer: str, bound_claims: Mapping[str, object]) -> Answers:
    """What somebody would have answered: the owner of the shop's tables behind DDL, a group of readers."""
    databases = [profile.database for profile in profiles.values() if profile.database is not None]
    return Answers(
        ci="github",
        issuer=issuer,
        user_claim="repository",
        claim_mappings=vault.GITHUB_CLAIM_MAPPINGS,
        profiles={
            name: ProfileAnswers(bound_claims, OWNER if profile.access == "ddl" else GROUP)
            for name, profile in profiles.items()
        },
        manager=MANAGER,
        ca_at_vault={server(url): str(url.sslrootcert) for url in databases if url.sslrootcert is not None},
    )


def provision(config: Config, given: Answers, administrator: LoginURL, token: Secret, clock: Clock) -> None:
    """All that `stepcreds setup apply` does, with a root token. Raises `StepcredsError`."""
    plan = build(config, given)
    who = Administrator(administrator, "")
    with Live(config.vault, token, clock) as live:
        found = survey(plan, live, [who] * len(plan.databases), clock)
        for step in steps(found, rotations(found, asked=False), live, clock):
            try:
                step.run()
            except StepcredsError as error:
                error.what = f"{step.what}: {error.what}"
                raise
