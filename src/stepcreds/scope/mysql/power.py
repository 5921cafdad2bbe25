"""The values between reading grants and telling what they come to: a power, where it holds, how the session has it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Place(NamedTuple):
    """What a privilege is for. `database` is a pattern where `kind` is database, and a name in all others."""

    kind: Literal["server", "database", "table", "routine"] = "server"
    database: str = ""
    name: str = ""  # of the table or routine
    routine: str = ""  # PROCEDURE, FUNCTION, PACKAGE or PACKAGE BODY

    def __str__(self) -> str:
        """As it stands in a statement."""
        if self.kind == "server":
            return "*.*"
        what = "*" if self.kind == "database" else quoted(self.name)
        return f"{self.routine} {quoted(self.database)}.{what}".lstrip()


class Power(NamedTuple):
    """One thing that a line gives; one line gives one or several."""

    kind: Literal["privilege", "role", "proxy", "unread"]
    name: str  # the privilege in capitals; the role, quoted; the user that can be acted for; the line's beginning
    place: Place = Place()
    columns: tuple[str, ...] = ()  # () all of them
    grantable: bool = False  # WITH GRANT OPTION, WITH ADMIN OPTION


class Line(NamedTuple):
    """One line of SHOW GRANTS."""

    powers: tuple[Power, ...]
    own: bool = True  # it gives them to the user itself, not to a role or PUBLIC
    default_role: str = ""  # quoted; the line gives nothing and names the role that is active from the login on
    revokes: bool = False  # MySQL's partial revoke: `powers` are taken away


def quoted(name: str) -> str:
    """`name` as an identifier."""
    return "`" + name.replace("`", "``") + "`"


class Held(NamedTuple):
    """One power, and how the session comes by it."""

    power: Power
    via: str = ""  # "PUBLIC", "SET ROLE r1", "default role r1"; "" its own
    role: str = ""  # the role of `via`, quoted


class Server(NamedTuple):
    """What has to be known of the server to tell what a grant reaches."""

    databases: tuple[str, ...]  # all that the session sees
    fold: bool  # it ignores case in the names of databases
    named: frozenset[str]  # the tables and columns that get a finding of their own


def dotted(place: Place) -> str:
    """A place for a sentence: "shop.orders", "shop.*"."""
    if place.kind == "server":
        return "*.*"
    return f"{place.database}.{'*' if place.kind == 'database' else place.name}"


def plain(role: str) -> str:
    """A quoted role or user for a sentence."""
    return role.replace("``", "\0").replace("`", "").replace("\0", "`")
