"""What a profile's user of MariaDB is granted: on whole databases, or on the tables and columns that it declares.

No TRIGGER, CREATE VIEW, CREATE ROUTINE and EVENT for anybody: what such a user defines breaks when the user goes
(error 1449). Whatever needs them is made by a user that stays.
"""

from __future__ import annotations

from typing import NamedTuple

from stepcreds.config.model import Access, Profile
from stepcreds.errors import UnsupportedError
from stepcreds.setup.mysql.names import identifier, parts, pattern

_READ = ("SELECT", "SHOW VIEW")
_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE", "SHOW VIEW")
_DDL = (*_WRITE, "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES")
# With the guard: no data is read, written or dropped, but by ALTER TABLE … DROP COLUMN, which nothing can forbid.
_GUARDED_DDL = ("CREATE", "ALTER", "INDEX", "REFERENCES")
_OF_COLUMNS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")


class Given(NamedTuple):
    """Some rights at one place."""

    rights: tuple[str, ...]  # "SELECT", "UPDATE (`email`)"
    place: str  # "`shop`.*"
    database: str  # the name
    table: str = ""
    column: str = ""


def rights(access: Access | None, *, guard: bool) -> tuple[str, ...]:
    """What `access` comes to, in the words of GRANT."""
    if access == "ddl":
        return _GUARDED_DDL if guard else _DDL
    return _WRITE if access == "read-write" else _READ


def grants(profile: Profile, *, guard: bool) -> tuple[Given, ...]:
    """What a user of `profile` is granted. Raises `UnsupportedError` for what cannot be granted so."""
    if profile.database is None or profile.access is None:
        raise UnsupportedError(
            f"The profile {profile.name!a} names no database, or no access to it.",
            cause="Users of MariaDB are issued for a database, and may read, write or change its tables.",
            docs="configuration",
        )
    databases = profile.databases or (profile.database.database,)
    if not all(databases):
        raise UnsupportedError(
            f"The profile {profile.name!a} names a server and no database on it.",
            cause="Rights on all databases are rights on the server's own, and on everybody's password hashes.",
            fix="Name the database at the end of the URL, or list several under databases.",
            docs="configuration",
        )
    some = rights(profile.access, guard=guard)
    if not (profile.tables or profile.columns):
        return tuple(Given(some, f"{pattern(database)}.*", database) for database in databases)
    given = (*_tables(profile, some), *_columns(profile, some))
    outside = [each.database for each in given if each.database not in databases]
    if outside:
        raise UnsupportedError(
            f"The profile {profile.name!a} names tables of the database {outside[0]!a}, which is not among its"
            " databases.",
            cause="What a step's user can do outside of the declared databases is more than its profile declares.",
            fix="Add the database to `databases`, or take the tables away.",
            docs="configuration",
        )
    return given


def _tables(profile: Profile, some: tuple[str, ...]) -> list[Given]:
    names = [parts(table, 2) for table in profile.tables]
    return [Given(some, f"{identifier(database)}.{identifier(table)}", database, table) for database, table in names]


def _columns(profile: Profile, some: tuple[str, ...]) -> list[Given]:
    granted = []
    for text in profile.columns:
        database, table, column = parts(text, 3)
        wanted = tuple(f"{right} ({identifier(column)})" for right in some if right in _OF_COLUMNS)
        granted.append(Given(wanted, f"{identifier(database)}.{identifier(table)}", database, table, column))
    return granted
