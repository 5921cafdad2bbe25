"""What a plan's statements do not ask about MariaDB and MySQL: whether Vault's user has more than it needs."""

# ruff: noqa: S608 - names are quoted

from __future__ import annotations

from collections.abc import Iterable

from stepcreds.setup.live.examination import Inspection
from stepcreds.setup.mysql.names import literal, user

_NEEDED = "'USAGE', 'CREATE USER', 'CONNECTION ADMIN'"
_POWER = "CREATE USER alone can set anybody's password; with more, whoever can write Vault's roles needs not even that."


def inspections(manager: str) -> Iterable[Inspection]:
    """About Vault's user."""
    grantee = literal(f"'{manager}'@'%'")
    yield Inspection(
        "mysql.manager.power",
        f"SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {grantee}"
        f" AND PRIVILEGE_TYPE NOT IN ({_NEEDED}) ORDER BY 1",
        f"Vault's user {manager} has rights on the whole server that it does not need:",
        _POWER,
        f"REVOKE … ON *.* FROM {user(manager)}, for each",
    )
    yield Inspection(
        "mysql.manager.system",
        f"SELECT CONCAT(PRIVILEGE_TYPE, ' ON ', TABLE_SCHEMA, '.*') FROM information_schema.SCHEMA_PRIVILEGES"
        f" WHERE GRANTEE = {grantee} AND TABLE_SCHEMA IN ('mysql', 'sys', 'performance_schema') ORDER BY 1",
        f"Vault's user {manager} has rights on the server's own tables:",
        "There are the password hashes of all users, and what they may do.",
        f"REVOKE … FROM {user(manager)}, for each",
    )
