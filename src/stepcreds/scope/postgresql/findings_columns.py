"""Findings about columns that were granted one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.findings_relations import Capability, did, taken
from stepcreds.scope.postgresql.relations import GRANT, INSERT, READ, REFERENCES, UPDATE
from stepcreds.scope.postgresql.seen import Record, Seen, counted, union
from stepcreds.scope.postgresql.ways import Way, Ways, quoted, revoke

_COLUMN: Final = (
    Capability("PG.COLUMN.READ", READ, "read", ("SELECT",)),
    Capability("PG.COLUMN.WRITE", INSERT | UPDATE, "{}", ("INSERT", "UPDATE")),
    Capability("PG.COLUMN.REFERENCES", REFERENCES, "refer (REFERENCES) to", ("REFERENCES",)),
    Capability(
        "PG.COLUMN.GRANT", GRANT, "grant to others its privileges on", ("SELECT", "INSERT", "UPDATE", "REFERENCES")
    ),
)


class _Key(NamedTuple):
    """What makes it one finding. Columns that a profile names come apart from the others of their relation."""

    code: str
    schema: str
    relation: str  # "" all that are not named
    capability: Capability


class _Group:
    def __init__(self) -> None:
        self.columns: set[str] = set()
        self.ways: set[Way] = set()
        self.bits = 0
        self.relations: set[str] = set()


def findings(seen: Seen) -> Iterator[Finding]:
    groups: dict[_Key, _Group] = {}
    for row in seen.records["columns"]:
        bits = union(row)
        for each in _COLUMN:
            if bits & each.bits:
                _add(seen, groups, row, each, bits)
    for key, group in sorted(groups.items(), key=lambda item: item[0]):
        columns = tuple(sorted(group.columns))
        privileges = key.capability.verb.format(did(group.bits))
        latent = ", if it had USAGE of the schema" if key.code == "PG.COLUMN.LATENT" else ""
        yield found(
            key.code,
            f"{privileges} {counted(len(columns), 'column')} of {key.relation or key.schema}{latent}",
            key.relation or key.schema,
            objects=columns,
            number=len(columns),
            via=Ways(group.ways).text,
            fix=revoke(
                f"{taken(key.capability, group.bits)} (…)", f"TABLE {', '.join(sorted(group.relations))}", group.ways
            ),
            database=seen.database,
            schema=key.schema,
            table=key.relation if key.relation in seen.named else "",
            columns=columns if key.relation else (),
        )


def _add(seen: Seen, groups: dict[_Key, _Group], row: Record, each: Capability, bits: int) -> None:
    schema, relation = str(row["schema"]), f"{row['schema']}.{row['relation']}"
    code = each.code if row["usable"] else "PG.COLUMN.LATENT"
    for column in row["columns"]:
        name = f"{relation}.{column}"
        named = relation in seen.named or name in seen.named
        group = groups.setdefault(_Key(code, schema, relation if named else "", each), _Group())
        group.columns.add(name)
        group.ways.update(seen.ways(row, each.bits, each.privileges))
        group.bits |= bits
        group.relations.add(quoted(schema, str(row["relation"])))
