"""The answers to all questions as one value, and the way in which a capability in them came to the credential."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from stepcreds.scope.postgresql.chains import Chains, Edge
from stepcreds.scope.postgresql.ways import OWN, PUBLIC, Way, Ways

Record = Mapping[str, Any]  # one row, as JSON says it
EVERYBODY = 0  # as a grantee's object id


class Seen(NamedTuple):
    """What one examination saw. Roles are told apart by object id."""

    who: Record
    me: int
    reach: Mapping[int, Record]  # the roles that it can become: `why`, `source`
    admin: Sequence[str]  # names of the roles that it can give to itself
    roles: Mapping[int, Record]  # the roles it can become, and those whose privileges it has through them
    chains: Chains
    probe: Sequence[int]  # those that were asked about, in the order of the masks; the session's own is the first
    records: Mapping[str, Sequence[Record]]
    named: frozenset[str]

    @classmethod
    def of(cls, who: Record, reach: Record, records: Mapping[str, Sequence[Record]], named: frozenset[str]) -> Seen:
        reached = {int(each["oid"]): each for each in reach["roles"]}
        me = next(oid for oid, each in reached.items() if each["why"] == "self")
        roles = {int(each["oid"]): each for each in records["roles"]}
        probe = [int(each) for each in records["probe"][0]["oids"]]
        edges = [Edge(**each) for each in records["memberships"]]
        chains = Chains(edges, {oid: str(each["name"]) for oid, each in roles.items()})
        return cls(who, me, reached, reach["admin"], roles, chains, probe, records, named)

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
        source = int(each["source"])
        if each["why"] == "admin":
            return self._giving(source, oid, self.chains.steward(source, oid) or [])
        through = self.chains.settable(source, oid)[:-1]
        return self._after(source, "held", f"SET ROLE {self.name(oid)}", oid, through)

    def giving(self, name: str) -> Way:
        """How it comes that it may give the role to anybody."""
        goals = [oid for oid, each in self.roles.items() if each["name"] == name]
        for source in self.reach:
            for oid in goals:
                through = self.chains.steward(source, oid)
                if through is not None:
                    return self._giving(source, oid, through)
        return Way("admin", f"ADMIN OPTION on {name}", name)

    def _giving(self, source: int, oid: int, through: Sequence[int]) -> Way:
        return self._after(source, "admin", f"ADMIN OPTION on {self.name(oid)}", oid, through)

    def _after(self, source: int, kind: Literal["held", "admin"], step: str, oid: int, through: Sequence[int]) -> Way:
        """The way to the role `oid` by one step from the role `source`, to which there may be a way to tell first."""
        text = f"{step}, as a {self._membership(through)}" if through else step
        before = self.becoming(source).text if source in self.reach else ""
        member = through[-1] if through else source
        return Way(kind, f"{before}, then {text}" if before else text, self.name(oid), self._unless_its_own(member))

    def holding(self, oid: int) -> Way:
        """How it has the privileges of the role."""
        if oid == self.me:
            return OWN
        if self.roles[oid]["inherited"]:
            through = self.chains.inherited(self.me, oid) or [oid]
            member = through[-2] if through[1:] else self.me
            return Way("held", self._membership(through), self.name(oid), self._unless_its_own(member))
        if oid in self.reach:
            return self.becoming(oid)
        others = (self.becoming(each) for each in self.reach if oid in (self.roles[each]["includes"] or ()))
        return next(others, OWN)

    def _membership(self, through: Sequence[int]) -> str:
        """ "member of app_ro, which is a member of app_owner"."""
        return ", which is a ".join(f"member of {self.name(each)}" for each in through)

    def _unless_its_own(self, oid: int) -> str:
        return "" if oid == self.me else self.name(oid)

    def ways(self, row: Record, bits: int, privileges: Iterable[str], predefined: str = "") -> Ways:
        """Whose grants give it these bits of the row's masks, or which role it has to become for them.

        `predefined` is the role that gives such a privilege without any grant.
        """
        probe = next((oid for oid, mask in zip(self.probe, row["masks"], strict=True) if mask & bits), self.me)
        owner, wanted = int(row.get("owner", EVERYBODY)), set(privileges)
        grantees = {int(grantee) for privilege, grantee in row["grants"] or () if privilege in wanted}
        ways = {PUBLIC} if EVERYBODY in grantees else set[Way]()
        if probe != self.me:  # what is everybody's, that role gives the use of: it may use the schema
            return Ways(ways or {self.becoming(probe)})
        for oid, role in self.roles.items():
            if not role["inherited"]:
                continue
            if oid == owner or role["name"] == predefined:
                ways.add(self.holding(oid))
            elif oid in grantees:
                way = self.holding(oid)
                ways.add(OWN if way == OWN else Way("member", way.text, way.role))
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
