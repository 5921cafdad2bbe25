"""One way in which a credential has more power than its profile declares: how it came by it, and how it is used.

In every text `{user}` stands for the credential's role, quoted, `{case}` for the name of the case, and `{port}`,
`{password}` and `{folder}` for the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from postgresql_majors import DENIED, PASSWORD, Lab, Session

from stepcreds.measurement import Level

Attack = str | tuple[str, ...] | Callable[[Lab, Session], Any]
NOTHING: Mapping[str, Any] = {}


class Case(NamedTuple):
    """Before `grant`, the attack is refused and nothing is found; after it, the attack works and is found."""

    name: str
    level: Level  # at least
    code: str  # of the finding; several, any of which will do: "PG.A|PG.B"
    about: str  # what the finding names: part of its subject, objects, words or path
    objects: str | tuple[str, ...]  # as superuser: what is there to be attacked
    grant: str | tuple[str, ...]  # as superuser: the one thing too much
    attack: Attack  # as the credential
    watch: str = ""  # a superuser's query whose answer the attack changes; or
    reads: Any = None  # what the attack's last statement answers, and must not answer without the grant
    before: str = ""  # as superuser, between grant and attack: what others do meanwhile
    refused: str = DENIED  # SQLSTATE of the attack without the grant; "" where it runs, without effect
    undo: str | tuple[str, ...] = ()  # as superuser: what would be seen by the cases that follow
    since: int = 14
    until: int = 18
    declared: Mapping[str, Any] = NOTHING  # of the profile, in place of read-only and the schema `app`
    harmless: bool = True  # whether nothing at all is excess before the grant


class Clean(NamedTuple):
    """A credential that can do what its profile declares, and nothing else."""

    name: str
    setup: str | tuple[str, ...]  # as superuser
    can: str = (
        "SELECT count(*) FROM app.orders"  # as the credential: it works, so that it is no credential without power
    )
    creation: list[str] | None = None  # in place of a member of the read-only group
    undo: str | tuple[str, ...] = ()
    since: int = 14
    until: int = 18
    declared: Mapping[str, Any] = NOTHING


def statements(text: str | tuple[str, ...], lab: Lab, case: str) -> list[str]:
    """`text`, filled in."""
    values = {
        "user": f'"{role(case)}"',
        "case": case,
        "port": str(lab.server.port),
        "password": PASSWORD.reveal(),
        "folder": str(lab.server.folder),
    }
    filled = []
    for statement in (text,) if isinstance(text, str) else text:
        for key, value in values.items():
            statement = statement.replace(f"{{{key}}}", value)  # noqa: PLW2901 - step by step
        if statement:
            filled.append(statement)
    return filled


def role(case: str) -> str:
    """The name of the login role, much as Vault makes one."""
    return f"v-{case}-4fKq2"


def table(rest: str = "") -> str:
    """SQL: app.{case}, of the shop's owner, with one row that the read-only group may read."""
    return (
        "CREATE TABLE app.{case} (id int PRIMARY KEY, note text); ALTER TABLE app.{case} OWNER TO app_owner;"
        " INSERT INTO app.{case} VALUES (1, 'as it was'); GRANT SELECT ON app.{case} TO app_ro; " + rest
    )


ROWS = "SELECT id, note FROM app.{case} ORDER BY id"  # what there is in it
