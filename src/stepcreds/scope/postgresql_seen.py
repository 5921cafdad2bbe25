"""The answers to all questions as one value, and the way in which a capability in them came to the credential."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from stepcreds.scope.postgresql_ways import OWN, PUBLIC, Way, Ways

Record = Mapping[str, Any]  # one row, as JSON says it
EVERYBODY = 0  # as a grantee's object id


class Seen(NamedTuple):
    """What one examination saw. Roles are told apart by object id."""

    who: Record
    me: int
    reach: Mapping[int, Record]  # the roles that it can become: `why`, `source`
    admin: Sequence[str]  # names of the roles that it can give to itself
    roles: Mapping[int, Record]  # the roles it can become, and those whose privileges it has through them
    probe: Sequence[int]  # those that were asked about, in the order of the masks; the session's own is the first
    records: Mapping[str, Sequence[Record]]
    named: frozenset[str]

    @classmethod
    def of(cls, who: Record, reach: Record, records: Mapping[str, Sequence[Record]], named: frozenset[str]) -> Seen:
        reached = {int(each["oid"]): each for each in reach["roles"]}
        me = next(oid for oid, each in reached.items() if each["why"] == "self")
        roles = {int(each["oid"]): each for each in records["roles"]}
        probe = [int(each) for each in records["probe"][0]["oids"]]
        return cls(who, me, reached, reach["admin"], roles, probe, records, named)

    @property
    def database(self) -> str:
        return str(self.who["database"])

    @property
    def almighty(self) -> bool:
        return any(each["super"] for each in self.roles.values())

    @property
    def other_databases(self) -> list[str]:
        """Names of those that it can log in to besides this one."""
        open_ones = (each for each in self.records["databases"] if each["open"] and not each["current"])
        return sorted(each["name"] for each in open_ones if each["masks"][0] & 1)

    def name(self, oid: int) -> str:
        """A role's name for people; never the credential's own, which is another one every time."""
        return "its own role" if oid == self.me else str(self.roles[oid]["name"])

    def becoming(self, oid: int) -> Way:
        """How it can become the role."""
        each = self.reach[oid]
        if each["why"] == "self":
            return OWN
        step = f"{'SET ROLE' if each['why'] == 'set' else 'ADMIN OPTION on'} {self.name(oid)}"
        source = each["source"]
        before = self.becoming(source).text if source in self.reach else ""
        return Way("become", f"{before}, then {step}" if before else step, self.name(oid))

    def holding(self, oid: int) -> Way:
        """How it has the privileges of the role."""
        if oid == self.me:
            return OWN
        if self.roles[oid]["inherited"]:
            return Way("owner", f"member of {self.name(oid)}", self.name(oid))
        if oid in self.reach:
            return self.becoming(oid)
        others = (self.becoming(each) for each in self.reach if oid in (self.roles[each]["includes"] or ()))
        return next(others, OWN)

    def ways(self, row: Record, bits: int, privileges: Iterable[str], predefined: str = "") -> Ways:
        """Whose grants give it these bits of the row's masks, or which role it has to become for them.

        `predefined` is the role that gives such a privilege without any grant.
        """
        probe = next((oid for oid, mask in zip(self.probe, row["masks"], strict=True) if mask & bits), self.me)
        if probe != self.me:
            return Ways([self.becoming(probe)])
        owner, wanted = int(row.get("owner", EVERYBODY)), set(privileges)
        grantees = {int(grantee) for privilege, grantee in row["grants"] or () if privilege in wanted}
        ways = {PUBLIC} if EVERYBODY in grantees else set[Way]()
        for oid, role in self.roles.items():
            if role["inherited"] and oid == owner:
                ways.add(self.holding(oid))
            elif role["inherited"] and oid in grantees:
                ways.add(OWN if oid == self.me else Way("member", f"member of {self.name(oid)}", self.name(oid)))
            elif role["inherited"] and role["name"] == predefined:
                ways.add(Way("predefined", f"member of {predefined}", predefined))
        return Ways(ways or {OWN})


def union(row: Record) -> int:
    """The bits that any of the probe roles has."""
    bits = 0
    for mask in row["masks"]:
        bits |= mask
    return bits


def counted(number: int, noun: str) -> str:
    """ "1 table", "3 tables"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
