"""Profiles and grants for the tests of what a command is given; pure values, no server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepcreds import scope
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.deliver import Parent
from stepcreds.measurement import NotMeasured
from stepcreds.model import Grant, Lease
from stepcreds.secret import Secret

CANARY = "c4n4ry/7Qd2+é"
ISSUER = "https://token.actions.githubusercontent.com"
IDENTITY = ("STEPCREDS_ID_TOKEN", "VAULT_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_*", "ACTIONS_RUNTIME_*")


def database(text: str = "postgresql", **changes: Any) -> DatabaseURL:
    """A database of the engine and scheme `text`."""
    ports = {"mysql": 3306, "mariadb": 3306, "redis": 6379, "mongodb": 27017}
    fields: dict[str, Any] = {
        "engine": text,
        "scheme": text,
        "host": "db.internal",
        "port": ports.get(text, 5432),
        "database": "app",
        "sslmode": "verify-full",
        "sslrootcert": Path("/ci/db-ca.pem"),
    }
    return DatabaseURL(**{**fields, **changes})


def profile(name: str = "migrate", **changes: Any) -> Profile:
    fields: dict[str, Any] = {
        "name": name,
        "role": name,
        "creds": f"database/creds/{name}",
        "database": database(),
        "access": "ddl",
    }
    return Profile(**{**fields, **changes})


def grant(of: Profile | None = None, fields: Mapping[str, str] | None = None) -> Grant:
    """What `of` was given; without `fields` a user and a password."""
    of = of or profile()
    given = {"username": f"v-{of.name}", "password": f"{CANARY}-{of.name}"} if fields is None else fields
    lease = Lease("a/lease", 120, True, {name: Secret(value) for name, value in given.items()}, "id", 0.0)
    return scope.grant(of, lease, NotMeasured("nobody looked"))


def parent(environment: Mapping[str, str] | None = None, **changes: Any) -> Parent:
    fields: dict[str, Any] = {
        "environment": {"PATH": "/usr/bin"} if environment is None else environment,
        "inherit": "all",
        "identity_variables": IDENTITY,
        "token": Secret(id_token()),
        "issuer": ISSUER,
    }
    return Parent(**{**fields, **changes})


def id_token(iss: str = ISSUER, aud: str = "https://vault.example.com") -> str:
    """A token as a CI gives one, but for its signature."""
    import base64
    import json

    parts = [{"alg": "RS256"}, {"iss": iss, "aud": aud}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
