"""Why a credential can do something, in words, and the statement that ends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple


class Way(NamedTuple):
    """How one capability came to the credential."""

    # own: granted to itself, or it is its owner. member: granted to `role`. held: by what `role` owns or is.
    kind: Literal["own", "public", "member", "held", "admin"]
    text: str = ""  # as a finding's `via` says it
    role: str = ""
    member: str = ""  # for held and admin: who was granted `role`; "" the credential itself


OWN = Way("own")
PUBLIC = Way("public", "PUBLIC")
DATABASE_OWNER = "pg_database_owner"  # nobody is granted it


class Ways(frozenset[Way]):
    """All the ways in which one capability came to the credential; there is always one."""

    @property
    def text(self) -> str:
        """A finding's `via`."""
        return "; ".join(sorted({way.text for way in self if way.text}))


def quoted(*names: str) -> str:
    """A qualified name as a statement has it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def revoke(privileges: str, on: str, ways: Iterable[Way]) -> str:
    """What ends `privileges` on the object `on` ("TABLE app.orders"): statements, or a sentence."""
    return " ".join(dict.fromkeys(_revoke(privileges, on, way) for way in sorted(set(ways))))


def _revoke(privileges: str, on: str, way: Way) -> str:
    if way.kind == "public":
        return f"REVOKE {privileges} ON {on} FROM PUBLIC;"
    if way.kind == "member":
        return f"REVOKE {privileges} ON {on} FROM {quoted(way.role)};"
    if way.kind == "own":
        return f"Take the grant of {privileges} ON {on} out of the creation statements of Vault's role."
    return _leave(way)


def leave(ways: Iterable[Way]) -> str:
    """What ends memberships, an attribute or an ownership."""
    return " ".join(dict.fromkeys(_leave(way) for way in sorted(set(ways))))


def _leave(way: Way) -> str:
    if way.kind == "own":
        return "Take it out of the creation statements of Vault's role."
    if way.role == DATABASE_OWNER:
        return "Make another role the owner of the database."
    grant = f"{'ADMIN OPTION FOR ' if way.kind == 'admin' else ''}{quoted(way.role)}"
    if way.member:
        return f"REVOKE {grant} FROM {quoted(way.member)};"
    what = "ADMIN OPTION on" if way.kind == "admin" else "the membership in"
    return f"Take {what} {way.role} out of the creation statements of Vault's role."
