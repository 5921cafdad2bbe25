"""How the database role behind a profile is called where nobody says: by its schemas and what it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from stepcreds.config.model import Profile
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.setup.connections import has_connection, server
from stepcreds.setup.postgresql.names import LONGEST_NAME, NOT_FOR_THE_ENGINE

_SUFFIX = {"read-only": "ro", "read-write": "rw", "ddl": "owner"}


def role_names(profiles: Sequence[Profile], given: Mapping[str, str]) -> dict[str, str]:
    """The role of each profile with a PostgreSQL: `given` (by profile), or a name made of its schemas; "" for others.

    `shop_app_ro` and `shop_app_rw` are groups, made for nothing else, `shop_app_owner` owns the tables, of the schema
    app in the database shop; of the schema app in the database app they are `app_ro`, …: a server has one set of roles
    for all its databases, so the name has the database in it. With `tables` or `columns`, and where a profile that
    declares something else has the name already, a group is the profile's own.

    Raises `UsageError` where one group would have to be two.
    """
    names: dict[str, str] = {}
    taken: dict[tuple[str, str], tuple[Profile, object]] = {}
    for profile in profiles:
        if profile.database is None or profile.database.engine != "postgresql" or not has_connection(profile):
            names[profile.name] = ""  # MySQL and MariaDB give rights to each user: a role would not be active in it
            continue
        where, kind = server(profile.database), _kind(profile)
        name = given.get(profile.name) or _short(_name(profile))
        holder = taken.get((where, name))
        if holder is not None and holder[1] != kind and profile.name not in given and not _owns(profile):
            name = _short(_name(profile, own=True))
            holder = taken.get((where, name))
        if holder is not None and holder[1] != kind:
            raise UsageError(
                f"The profiles {holder[0].name} and {profile.name} would share the database role {one_line(name, 80)}",
                cause="What one of them may do, the other could do as well: they differ in access, database, schemas, "
                "tables or columns.",
                fix=f"Give one of them another: --group {profile.name}=NAME (--owner for ddl).",
                docs="setup-answers",
            )
        taken[where, name] = (profile, kind)
        names[profile.name] = name
    return names


def _owns(profile: Profile) -> bool:
    return profile.access == "ddl"


def _kind(profile: Profile) -> object:
    """What a role is; profiles of one kind share it. Owners of several schemas and databases are everyday."""
    if profile.database is None or _owns(profile):
        return "owner"
    limits = (profile.schemas, profile.databases, profile.tables, profile.columns)
    return (profile.access, profile.database.database, *limits)


def _name(profile: Profile, *, own: bool = False) -> str:
    assert profile.database is not None  # noqa: S101 - the caller has looked
    schemas = profile.schemas[:1] if _owns(profile) else profile.schemas
    names = [*dict.fromkeys([_safe(profile.database.database), *schemas])]
    if own or ((profile.tables or profile.columns) and not _owns(profile)):
        names.append(profile.name)
    return "_".join([*names, _SUFFIX[profile.access or "read-only"]])


def _safe(database: str) -> str:
    """`database` for a part of a name; a database may be called what no role in a statement of Vault's engine may."""
    return _digest(database) if any(part in database for part in NOT_FOR_THE_ENGINE) else database or "database"


def _short(name: str) -> str:
    """PostgreSQL cuts a name after 63 bytes, and it may then be another role's."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}_{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
