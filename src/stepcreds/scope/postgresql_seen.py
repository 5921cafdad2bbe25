"""The answers to all questions as one value, and how a capability in them is explained: why the credential has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Record = Mapping[str, Any]  # one row, as JSON says it
PUBLIC = 0  # as a grantee


class Seen(NamedTuple):
    """What one examination saw."""

    who: Record
    me: int
    reach: Mapping[int, Record]  # by oid, the roles that it can become: `why`, `source`
    admin: Sequence[int]  # oids of the roles it can give to itself
    roles: Mapping[int, Record]  # by oid, those and the ones whose privileges it has through them
    probe: Sequence[int]  # oids, in the order of the masks
    records: Mapping[str, Sequence[Record]]
    named: frozenset[str]

    @classmethod
    def of(
        cls,
        who: Record,
        reached: Sequence[Record],
        admin: Sequence[int],
        records: Mapping[str, Sequence[Record]],
        named: frozenset[str],
    ) -> Seen:
        """Raises `ValueError` where the session is not the user's that was asked for."""
        if not (who["expected"] and who["plain"]):
            raise ValueError("somebody else's session")
        reach = {int(each["oid"]): each for each in reached}
        me = next(oid for oid, each in reach.items() if each["why"] == "self")
        roles = {int(each["oid"]): each for each in records["roles"]}
        return cls(who, me, reach, admin, roles, [int(each) for each in records["probe"][0]["oids"]], records, named)

    @property
    def database(self) -> str:
        return str(self.who["database"])

    @property
    def almighty(self) -> bool:
        return any(each["super"] for each in self.roles.values())

    @property
    def other_databases(self) -> list[str]:
        """Names of those that it can log in to besides this one."""
        return sorted(
            each["name"]
            for each in self.records["databases"]
            if each["open"] and not each["current"] and each["masks"][0] & 1
        )

    def name(self, oid: int) -> str:
        """A role's name for people; never the credential's own."""
        return "its own role" if oid == self.me else str(self.roles[oid]["name"])

    def becomes(self, oid: int) -> str:
        """How it can become the role: "SET ROLE app_owner"."""
        each = self.reach[oid]
        if each["why"] == "self":
            return ""
        step = f"SET ROLE {self.name(oid)}" if each["why"] == "set" else f"ADMIN OPTION on {self.name(oid)}"
        before = self.becomes(int(each["source"]))
        return f"{before}, then {step}" if before else step

    def holds(self, oid: int) -> str:
        """How it has the privileges of the role: "member of app_ro", "SET ROLE app_owner"; "" for its own."""
        if oid == self.me:
            return ""
        if self.roles[oid]["inherited"]:
            return f"member of {self.name(oid)}"
        if oid in self.reach:
            return self.becomes(oid)
        for probe in self.probe:
            if oid in (self.roles[probe]["includes"] or ()):
                return self.becomes(probe)
        return f"member of {self.name(oid)}"

    def via(self, row: Record, bits: int, privileges: Iterable[str], predefined: str = "") -> str:
        """Why it has those bits of the row's masks: whose grant, or which role it has to become."""
        probe = self.first(row, bits)
        if probe is None:
            return ""
        if probe != self.me:
            return self.becomes(probe)
        owner = int(row["owner"]) if "owner" in row else -1
        wanted = set(privileges)
        grantees = {int(grantee) for privilege, grantee in row["grants"] or () if privilege in wanted}
        if self.me in (owner, *grantees):
            return ""
        if owner in self.roles and self.roles[owner]["inherited"]:
            return self.holds(owner)
        if PUBLIC in grantees:
            return "PUBLIC"
        inherited = sorted(self.name(each) for each in grantees if each in self.roles and self.roles[each]["inherited"])
        if inherited or predefined:
            return f"member of {inherited[0] if inherited else predefined}"
        return ""

    def first(self, row: Record, bits: int) -> int | None:
        """The first probe role that has one of the bits."""
        return next((oid for oid, mask in zip(self.probe, row["masks"], strict=True) if mask & bits), None)


def union(row: Record) -> int:
    """The bits that any of the probe roles has."""
    bits = 0
    for mask in row["masks"]:
        bits |= mask
    return bits


def quoted(*names: str) -> str:
    """A qualified name, quoted for a statement."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def take_away(privileges: str, on: str, via: str) -> str:
    """The statement that ends what `via` explains: `REVOKE … ON … FROM …`, or what to do instead."""
    if via == "PUBLIC":
        return f"REVOKE {privileges} ON {on} FROM PUBLIC;"
    kind, _, role = via.rpartition(" of ")
    if kind == "member":
        return f"REVOKE {privileges} ON {on} FROM {quoted(role)};"
    if via.startswith(("SET ROLE", "ADMIN OPTION")):
        return f"take its membership out of the creation statements of Vault's role: {via}"
    return f"take {privileges} ON {on} out of the creation statements of Vault's role"


def leave(via: str) -> str:
    """What ends a membership, or an ownership by one."""
    if not via or via == "PUBLIC":
        return "take it out of the creation statements of Vault's role"
    return f"take the membership out of the creation statements of Vault's role: {via}"
