"""What rights on the server's own database `mysql` come to: everybody's password hashes, and everybody's rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.mysql.power import Place, dotted
from stepcreds.scope.mysql.privileges import EVERYTHING
from stepcreds.scope.mysql.words import on, verbs

# Tables of `mysql` that hold secrets: hashes of passwords, passwords in clear, everybody's statements.
SECRETS: Final = ("global_priv", "user", "servers", "general_log", "slow_log", "password_history")
_CHANGES: Final = {"INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", *EVERYTHING}


def secrets(names: Sequence[str], where: str, fix: str) -> Iterator[Finding]:
    """What rights on the whole of `mysql` come to."""
    if "SELECT" in names or any(name in EVERYTHING for name in names):
        what = f"read the hashes of everybody's password (mysql.global_priv), as it can SELECT in {where}"
        yield Finding("MY.SECRET.READ", "admin", what, "mysql", database="mysql", fix=fix)
    if _CHANGES.intersection(names):
        what = f"change who has which rights (mysql.global_priv), as it can {verbs(names)} in {where}"
        yield Finding("MY.SECRET.WRITE", "admin", what, "mysql", database="mysql", fix=fix)


def secret_table(place: Place, names: Sequence[str]) -> Iterator[Finding]:
    where = dotted(place)
    base = Finding("", "admin", "", where, database="mysql", table=where, fix=on(names, place))
    if place.name in SECRETS and any(name in ("SELECT", *EVERYTHING) for name in names):
        yield base._replace(code="MY.SECRET.READ", what=f"read secrets of other users in {where}")
    if _CHANGES.intersection(names):
        yield base._replace(code="MY.SECRET.WRITE", what=f"change {where}, which the server takes its rights from")
