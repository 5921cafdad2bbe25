"""Findings about relations, columns and sequences: one for each schema and capability, and one for each named relation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql_codes import found
from stepcreds.scope.postgresql_relations import (
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
from stepcreds.scope.postgresql_seen import Record, Seen, leave, quoted, take_away, union

_KINDS: Final = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence",
}  # fmt: skip
_WRITES: Final = {INSERT: "INSERT", UPDATE: "UPDATE", DELETE: "DELETE", TRUNCATE: "TRUNCATE"}
_ANY: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE")


class _Capability(NamedTuple):
    code: str
    bits: int
    verb: str  # "{}" stands for the privileges that it has
    privileges: tuple[str, ...]
    predefined: str = ""  # the role that gives it without any grant


_RELATION: Final = (
    _Capability("PG.TABLE.READ", READ, "read", ("SELECT",), "pg_read_all_data"),
    _Capability("PG.TABLE.WRITE", sum(_WRITES), "{}", tuple(_WRITES.values()), "pg_write_all_data"),
    _Capability("PG.TABLE.OWN", OWN, "alter, drop and open to others", ()),
    _Capability("PG.TABLE.TRIGGER", TRIGGER, "put triggers (TRIGGER) on", ("TRIGGER",)),
    _Capability("PG.TABLE.REFERENCES", REFERENCES, "refer with foreign keys (REFERENCES) to", ("REFERENCES",)),
    _Capability("PG.TABLE.MAINTAIN", MAINTAIN, "lock and rewrite (MAINTAIN)", ("MAINTAIN",), "pg_maintain"),
    _Capability("PG.TABLE.GRANT", GRANT, "grant to others its privileges on", _ANY),
)
_SEQUENCE: Final = (
    _Capability("PG.SEQUENCE.READ", READ, "read", ("SELECT",), "pg_read_all_data"),
    _Capability("PG.SEQUENCE.WRITE", USAGE | UPDATE, "advance or set", ("USAGE", "UPDATE"), "pg_write_all_data"),
    _Capability("PG.SEQUENCE.OWN", OWN, "alter and drop", ()),
    _Capability("PG.SEQUENCE.GRANT", GRANT, "grant to others its privileges on", _ANY),
)
_IMPLIED_BY_OWNING: Final = TRIGGER | REFERENCES | MAINTAIN | GRANT


class _Group:
    """Relations that come under one finding."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.kinds: dict[str, int] = {}
        self.number = self.secured = self.bits = 0
        self.via: set[str] = set()


def findings(seen: Seen) -> Iterator[Finding]:
    rows = seen.records["relations"]
    yield from _grouped(seen, [row for row in rows if row["kind"] != "S"], _RELATION)
    yield from _grouped(seen, [row for row in rows if row["kind"] == "S"], _SEQUENCE)
    yield from _columns(seen)


def _grouped(
    seen: Seen, rows: tuple[Record, ...] | list[Record] | object, kinds: tuple[_Capability, ...]
) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str, _Capability], _Group] = {}
    for row in rows:  # type: ignore[attr-defined]
        bits = union(row)
        for each in kinds:
            if not bits & each.bits or (bits & OWN and each.bits & _IMPLIED_BY_OWNING):
                continue
            code = _code(row, bits, each)
            group = groups.setdefault((code, row["schema"], row["named"] or "", each), _Group())
            group.names += row["examples"]
            kind = _KINDS[row["kind"]]
            group.kinds[kind] = group.kinds.get(kind, 0) + row["number"]
            group.number += row["number"]
            group.secured += row["secured"]
            group.bits |= bits
            group.via.add(seen.via(row, each.bits, each.privileges, each.predefined))
    for (code, schema, named, each), group in sorted(groups.items(), key=lambda item: item[0][:3]):
        yield _finding(seen, code, schema, named, each, group)


def _code(row: Record, bits: int, each: _Capability) -> str:
    if not row["usable"] and each in _RELATION and each.bits != OWN and not bits & OWN:
        return "PG.TABLE.LATENT"
    if row["supplied"] and each.code == "PG.TABLE.READ":
        return "PG.EXTENSION.READ"
    return each.code


def _finding(seen: Seen, code: str, schema: str, named: str, each: _Capability, group: _Group) -> Finding:
    privileges = ", ".join(word for bit, word in _WRITES.items() if group.bits & bit)
    verb = each.verb.format(privileges)
    kinds = " and ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in sorted(group.kinds.items()))
    table = f"{schema}.{named}" if named else ""
    what = f"{verb} {table}" if named else f"{verb} {kinds} of {schema}"
    if group.secured:
        what += f" ({group.secured} with row security)"
    if code == "PG.TABLE.LATENT":
        what += ", if it had USAGE of the schema"
    via = "; ".join(sorted(each for each in group.via if each))
    kind = "SEQUENCE" if each in _SEQUENCE else "TABLE"
    on = f"{kind} {quoted(schema, named)}" if named else f"ALL {kind}S IN SCHEMA {quoted(schema)}"
    wanted = privileges or ", ".join(each.privileges) if each.privileges and each.bits != GRANT else "ALL"
    return found(
        code,
        what,
        table or schema,
        objects=tuple(f"{schema}.{name}" for name in sorted(set(group.names))),
        number=group.number,
        via=via,
        fix=take_away(
            wanted if each.code == "PG.TABLE.WRITE" or not privileges else ", ".join(each.privileges) or "ALL", on, via
        )
        if each.bits != OWN
        else leave(via),
        database=seen.database,
        schema=schema,
        table=table,
    )


_COLUMN: Final = (
    _Capability("PG.COLUMN.READ", READ, "read", ("SELECT",)),
    _Capability("PG.COLUMN.WRITE", INSERT | UPDATE, "{}", ("INSERT", "UPDATE")),
    _Capability("PG.COLUMN.REFERENCES", REFERENCES, "refer with foreign keys (REFERENCES) to", ("REFERENCES",)),
    _Capability("PG.COLUMN.GRANT", GRANT, "grant to others its privileges on", _ANY),
)


def _columns(seen: Seen) -> Iterator[Finding]:
    """Columns of one relation that a profile names come apart from the others, so that it can be compared with them."""
    merged: dict[tuple[str, str, str], tuple[_Capability, list[str], set[str], int, bool]] = {}
    for row in seen.records["columns"]:
        relation = f"{row['schema']}.{row['relation']}"
        bits = union(row)
        for each in _COLUMN:
            if not bits & each.bits:
                continue
            code = each.code if row["usable"] else "PG.COLUMN.LATENT"
            for column in row["columns"]:
                full = f"{relation}.{column}"
                subject = relation if full in seen.named or relation in seen.named else str(row["schema"])
                entry = merged.setdefault((code, subject, each.verb), (each, [], set(), 0, subject == relation))
                names = entry[1] if full in entry[1] else [*entry[1], full]
                via = entry[2] | {seen.via(row, each.bits, each.privileges)}
                merged[code, subject, each.verb] = (each, names, via, entry[3] | bits, entry[4])
    for (code, subject, _), (each, names, paths, bits, alone) in sorted(merged.items(), key=lambda item: item[0]):
        columns = tuple(sorted(names))
        schema = next(
            str(row["schema"])
            for row in seen.records["columns"]
            if columns[0].startswith(f"{row['schema']}.{row['relation']}.")
        )
        privileges = ", ".join(word for bit, word in _WRITES.items() if bits & bit)
        via = "; ".join(sorted(each for each in paths if each))
        count = f"{len(columns)} column{'' if len(columns) == 1 else 's'}"
        what = f"{each.verb.format(privileges)} {count} of {subject}"
        yield found(
            code,
            what + (", if it had USAGE of the schema" if code == "PG.COLUMN.LATENT" else ""),
            subject,
            objects=columns,
            number=len(columns),
            via=via,
            fix=take_away(", ".join(each.privileges), "the columns", via).replace(
                " ON the columns", " (…) ON their relations"
            ),
            database=seen.database,
            schema=schema,
            table=subject if alone and subject in seen.named else "",
            columns=columns if alone else (),
        )
