"""Findings about schemas and databases, about what is owned in them, and about what default privileges will add."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.objects import GRANT, OWN
from stepcreds.scope.postgresql.seen import EVERYBODY, Record, Seen, counted, union
from stepcreds.scope.postgresql.ways import PUBLIC, Ways, leave, quoted, revoke

_ANY: Final = ("USAGE", "CREATE", "CONNECT", "TEMPORARY")
_KINDS: Final = {
    "r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects",
}  # fmt: skip


def findings(seen: Seen) -> Iterator[Finding]:
    if seen.almighty:
        return
    for row in sorted(seen.records["schemas"], key=lambda row: str(row["name"])):
        yield from _schema(seen, row)
    for row in sorted(seen.records["databases"], key=lambda row: str(row["name"])):
        yield from _database(seen, row)
    yield from _other_databases(seen)
    yield from _owned(seen)
    yield from _future(seen)


def _schema(seen: Seen, row: Record) -> Iterator[Finding]:
    name, bits = str(row["name"]), union(row)
    on = f"SCHEMA {quoted(name)}"
    if bits & OWN:
        what = f"drop the schema {name} with all that is in it, and open it to others"
        yield _of(seen, "PG.SCHEMA.OWN", what, name, seen.ways(row, OWN, ()))
    if bits & 1:
        ways = seen.ways(row, 1, ("CREATE",))
        yield _of(seen, "PG.SCHEMA.CREATE", f"create in {name}", name, ways, revoke("CREATE", on, ways))
    if bits & GRANT and not bits & OWN:
        ways = seen.ways(row, GRANT, _ANY)
        fix = revoke("GRANT OPTION FOR ALL", on, ways)
        yield _of(seen, "PG.SCHEMA.GRANT", f"grant to others its privileges on the schema {name}", name, ways, fix)


def _of(seen: Seen, code: str, what: str, schema: str, ways: Ways, fix: str = "") -> Finding:
    return found(code, what, schema, via=ways.text, fix=fix or leave(ways), database=seen.database, schema=schema)


def _database(seen: Seen, row: Record) -> Iterator[Finding]:
    name, bits = str(row["name"]), union(row)

    def of(code: str, what: str, privilege: str, ways: Ways) -> Finding:
        fix = revoke(privilege, f"DATABASE {quoted(name)}", ways) if privilege else leave(ways)
        return found(code, what, name, via=ways.text, fix=fix, database=name)

    if bits & OWN:
        yield of("PG.DATABASE.OWN", f"drop or alter the database {name}", "", seen.ways(row, OWN, ()))
    if bits & 2:
        what = f"create schemas and trusted extensions in the database {name}"
        yield of("PG.DATABASE.CREATE", what, "CREATE", seen.ways(row, 2, ("CREATE",)))
    if bits & GRANT and not bits & OWN:
        what = f"grant to others its privileges on the database {name}"
        yield of("PG.DATABASE.GRANT", what, "GRANT OPTION FOR ALL", seen.ways(row, GRANT, _ANY))
    if bits & 4 and row["current"]:
        yield of("PG.DATABASE.TEMP", "make temporary tables", "TEMPORARY", seen.ways(row, 4, ("TEMPORARY",)))


def _other_databases(seen: Seen) -> Iterator[Finding]:
    others = seen.other_databases
    if not others:
        return
    rows = [row for row in seen.records["databases"] if row["name"] in others]
    ways = {str(row["name"]): seen.ways(row, 1, ("CONNECT",)) for row in rows}
    yield found(
        "PG.DATABASE.CONNECT",
        f"connect to {counted(len(others), 'other database')}: {', '.join(others[:3])}{', …' if others[3:] else ''}",
        objects=tuple(others),
        number=len(others),
        via=Ways(way for each in ways.values() for way in each).text,
        fix=" ".join(revoke("CONNECT", f"DATABASE {quoted(each)}", ways[each]) for each in others),
    )


def _owned(seen: Seen) -> Iterator[Finding]:
    """All that is no relation, schema or database: functions, types, operators, publications, foreign servers, …"""
    merged: dict[tuple[str, str], list[Record]] = {}
    for row in seen.records["owned"]:
        merged.setdefault((str(row["schema"]), str(row["kind"])), []).append(row)
    for (schema, kind), rows in sorted(merged.items()):
        ways = Ways(seen.holding(int(row["owner"])) for row in rows)
        number = sum(int(row["number"]) for row in rows)
        names = [str(each) for row in rows for each in row["examples"]]
        yield found(
            "PG.OBJECT.OWN",
            f"alter or drop {counted(number, kind)}{f' of {schema}' if schema else ''}",
            f"{schema} {kind}".strip(),
            objects=tuple(f"{schema}.{each}" if schema and "." not in each else each for each in sorted(names)),
            number=number,
            via=ways.text,
            fix=leave(ways),
            database=seen.database,
            schema=schema,
        )


def _future(seen: Seen) -> Iterator[Finding]:
    """Default privileges of others for it, and of its own roles for others."""

    def key(row: Record) -> tuple[str, str, str, str]:
        grantee = "" if row["grantee"] == EVERYBODY else _name(seen, int(row["grantee"]), "another role")
        return str(row["name"]), str(row["schema"] or ""), str(row["kind"]), grantee

    for row in sorted(seen.records["future"], key=key):
        schema, kind = str(row["schema"] or ""), _KINDS.get(str(row["kind"]), "objects")
        creator = _name(seen, int(row["creator"]), str(row["name"]))
        place = f"{kind}{f' of {schema}' if schema else ''}"
        subject = f"{schema or '*'} {kind} by {creator}"
        code = _future_code(str(row["kind"]), set(row["privileges"]))
        if row["gets"] and not row["ours"] and code:
            way = PUBLIC if row["grantee"] == EVERYBODY else seen.holding(int(row["grantee"]))
            grantee = {"public": "PUBLIC", "own": "the role"}.get(way.kind) or quoted(way.role)
            yield found(
                code,
                f"{', '.join(row['privileges'])} all {place} that {creator} makes from now on",
                subject,
                via=way.text,
                fix=f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(creator)}"
                f"{'' if row['everywhere'] else f' IN SCHEMA {quoted(schema)}'}"
                f" REVOKE ALL ON {kind.upper()} FROM {grantee};",
                database=seen.database,
                schema=schema,
            )
        if row["ours"] and code and (row["grantee"] == EVERYBODY or not row["gets"]):
            what = f"make {place}, as {creator}, that others may then {', '.join(row['privileges'])}"
            yield found("PG.FUTURE.GIVES", what, subject, database=seen.database, schema=schema)


def _name(seen: Seen, oid: int, unknown: str) -> str:
    return seen.name(oid) if oid in seen.roles else unknown


def _future_code(kind: str, privileges: set[str]) -> str:
    """ "" for what gives no power: a function runs with its caller's rights, and everybody may use a type."""
    if kind == "n":
        return "PG.FUTURE.OWN" if "CREATE" in privileges else ""
    if kind not in ("r", "S", "L"):
        return ""
    return "PG.FUTURE.READ" if privileges <= {"SELECT"} else "PG.FUTURE.WRITE"
