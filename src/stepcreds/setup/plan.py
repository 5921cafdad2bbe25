"""Everything a stepcreds.yml needs on the other side, as values: written to Vault, run at databases; nothing is sent.


Made once from the configuration and a few answers; printed in several forms, applied, or held against what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stepcreds.config.model import DatabaseURL

Kind = Literal[
    "auth_mount",
    "auth_config",
    "policy",
    "jwt_role",
    "mount",
    "connection",
    "database_role",
    "transit_key",
    "header",
    "lease_audit",
]

# Where the management user's password belongs in a Statement with `secret`, inside '…'.
MANAGER_PASSWORD = "{{manager_password}}"  # noqa: S105 - a place, no password


class Setting(NamedTuple):
    """One object of Vault, written as a whole."""

    kind: Kind
    path: str  # without a leading slash: "auth/jwt/role/app-migrate"
    body: Mapping[str, object]  # what is written; a field that is left out would keep what it was
    why: str  # one sentence, for the comment above it
    # Fields that are never shown: their values are placeholders here, filled in from the answers when applied.
    secret: tuple[str, ...] = ()


class Statement(NamedTuple):
    """One SQL statement, run once by an administrator, and how to see whether it is needed."""

    sql: str
    done: str  # a query of one boolean: whether the database is so already; "" where it cannot be asked
    why: str  # one sentence, for the comment above it
    secret: bool = False  # it holds a password: never shown
    # A query of one text: why it would leave things as they are, whoever asks being who runs it; null where it would
    # not. "" for what always does its work or fails.
    unless: str = ""
    # A query of one text, asked before anything is run: why it would fail, a line, and how to mend that, in lines; null
    # where it would not. The statement itself refuses the same.
    refused: str = ""
    # SQL that mends it, which is shown and never run: what it changes is not stepcreds' to change.
    remedy: str = ""


class DatabasePlan(NamedTuple):
    """What one database needs before Vault can issue users for it."""

    url: DatabaseURL
    statements: tuple[Statement, ...]
    manager: str = ""  # the user that Vault logs in as; `Plan.settings` has the same name in the connection


class Plan(NamedTuple):
    """Everything, in the order in which it is applied: the databases first, because Vault logs in to them."""

    databases: tuple[DatabasePlan, ...]
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()  # in sentences, what is not made and has to be, and what is good to know
