"""Findings about relations and sequences: one for each schema and capability, and one for each that a profile names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.relations import (
    DELETE,
    GRANT,
    INSERT,
    MAINTAIN,
    OWN,
    READ,
    REFERENCES,
    TRIGGER,
    TRUNCATE,
    UPDATE,
    USAGE,
)
from stepcreds.scope.postgresql.seen import Record, Seen, counted, union
from stepcreds.scope.postgresql.ways import Way, Ways, leave, quoted, revoke

_KINDS: Final = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}
_WRITES: Final = {INSERT: "INSERT into", UPDATE: "UPDATE", DELETE: "DELETE from", TRUNCATE: "TRUNCATE"}


class Capability(NamedTuple):
    """One thing that can be done to a relation, a sequence or a column."""

    code: str
    bits: int
    verb: str  # "{}" stands for the privileges that it has
    privileges: tuple[str, ...] = ()  # any of which gives it
    predefined: str = ""  # the role that gives it without a grant
    owned: bool = True  # whether it is worth saying of an owner, who can give it to himself


_WRITING: Final = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_EVERY: Final = (*_WRITING, "SELECT", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE")
_RELATION: Final = (
    Capability("PG.TABLE.READ", READ, "read", ("SELECT",), "pg_read_all_data"),
    Capability("PG.TABLE.WRITE", sum(_WRITES), "{}", _WRITING, "pg_write_all_data"),
    Capability("PG.TABLE.OWN", OWN, "alter, drop and open to others"),
    Capability("PG.TABLE.TRIGGER", TRIGGER, "put triggers (TRIGGER) on", ("TRIGGER",), owned=False),
    Capability("PG.TABLE.REFERENCES", REFERENCES, "refer (REFERENCES) to", ("REFERENCES",), owned=False),
    Capability("PG.TABLE.MAINTAIN", MAINTAIN, "lock and rewrite (MAINTAIN)", ("MAINTAIN",), "pg_maintain", owned=False),
    Capability("PG.TABLE.GRANT", GRANT, "grant to others its privileges on", _EVERY, owned=False),
)
# By its object id a sequence is advanced, set and looked at without USAGE of its schema.
_SEQUENCE: Final = (
    Capability("PG.SEQUENCE.READ", READ, "read", ("SELECT",), "pg_read_all_data"),
    Capability("PG.SEQUENCE.WRITE", USAGE | UPDATE, "advance or set", ("USAGE", "UPDATE"), "pg_write_all_data"),
    Capability("PG.SEQUENCE.OWN", OWN, "alter and drop"),
    Capability("PG.SEQUENCE.GRANT", GRANT, "grant to others its privileges on", _EVERY, owned=False),
)


class _Group:
    """Relations that come under one finding."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.kinds: dict[str, int] = {}
        self.secured = 0  # how many have row security
        self.bits = 0
        self.ways: set[Way] = set()

    def add(self, row: Record, bits: int, ways: Ways) -> None:
        self.names.update(row["examples"])
        kind = _KINDS[row["kind"]]
        self.kinds[kind] = self.kinds.get(kind, 0) + int(row["number"])
        self.secured += int(row["secured"])
        self.bits |= bits
        self.ways.update(ways)


def findings(seen: Seen) -> Iterator[Finding]:
    rows = seen.records["relations"]
    yield from _grouped(seen, (row for row in rows if row["kind"] != "S"), _RELATION, "TABLE")
    yield from _grouped(seen, (row for row in rows if row["kind"] == "S"), _SEQUENCE, "SEQUENCE")


def _grouped(seen: Seen, rows: Iterable[Record], capabilities: Iterable[Capability], kind: str) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str, Capability], _Group] = {}
    for row in rows:
        bits = union(row)
        for each in capabilities:
            if bits & each.bits and (each.owned or not bits & OWN):
                key = (_code(row, bits, each), str(row["schema"]), str(row["named"] or ""), each)
                ways = seen.ways(row, each.bits, each.privileges, each.predefined)
                groups.setdefault(key, _Group()).add(row, bits, ways)
    for (code, schema, named, each), group in sorted(groups.items(), key=lambda item: item[0]):
        table = f"{schema}.{named}" if named else ""
        kinds = " and ".join(counted(number, noun) for noun, number in sorted(group.kinds.items()))
        what = f"{each.verb.format(did(group.bits))} {table or f'{kinds} of {schema}'}"
        what += f" ({group.secured} with row security)" if group.secured else ""
        yield found(
            code,
            what + (", if it had USAGE of the schema" if code == "PG.TABLE.LATENT" else ""),
            table or schema,
            objects=tuple(f"{schema}.{name}" for name in sorted(group.names)),
            number=sum(group.kinds.values()),
            via=Ways(group.ways).text,
            fix=_fix(each, group, kind, schema),
            database=seen.database,
            schema=schema,
            table=table,
        )


def _code(row: Record, bits: int, each: Capability) -> str:
    if not row["usable"] and not bits & OWN and row["kind"] != "S":
        return "PG.TABLE.LATENT"
    if row["supplied"] and each.code == "PG.TABLE.READ":
        return "PG.EXTENSION.READ"
    return each.code


def _fix(each: Capability, group: _Group, kind: str, schema: str) -> str:
    if each.bits == OWN:
        return leave(group.ways)
    one = len(group.names) == 1
    on = f"{kind} {quoted(schema, *group.names)}" if one else f"ALL {kind}S IN SCHEMA {quoted(schema)}"
    return revoke(taken(each, group.bits), on, group.ways)


def did(bits: int) -> str:
    """What the bits that write allow: "INSERT into, UPDATE and DELETE from"."""
    verbs = [verb for bit, verb in _WRITES.items() if bits & bit]
    return " and ".join(part for part in (", ".join(verbs[:-1]), *verbs[-1:]) if part)


def taken(each: Capability, bits: int) -> str:
    """What a REVOKE of the capability names."""
    if each.bits == GRANT:
        return "GRANT OPTION FOR ALL"
    held = (bit_word for bit, bit_word in zip(_WRITES, each.privileges, strict=False) if bits & bit)
    return ", ".join(held if each.verb == "{}" else each.privileges)
