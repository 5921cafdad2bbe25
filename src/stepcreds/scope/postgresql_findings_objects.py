"""Findings about schemas, databases, foreign servers, large objects, parameters, ownership and the future."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql_codes import found
from stepcreds.scope.postgresql_objects import GRANT, OWN
from stepcreds.scope.postgresql_seen import PUBLIC, Record, Seen, leave, quoted, take_away, union

# Parameters that have the server load code, or that take from everybody what protects the data.
_LOADING: Final = frozenset(
    [
        "session_preload_libraries",
        "shared_preload_libraries",
        "local_preload_libraries",
        "dynamic_library_path",
        "jit_provider",
        "extension_control_path",
        "allow_system_table_mods",
        "session_authorization",
        "archive_command",
        "restore_command",
        "archive_library",
        "ssl_passphrase_command",
        "lo_compat_privileges session_replication_role",
    ]
)
_OBJECTS: Final = {
    "r": "relations",
    "S": "sequences",
    "f": "functions",
    "T": "types",
    "n": "schemas",
    "L": "large objects",
}
_ANY: Final = ("USAGE", "CREATE", "CONNECT", "TEMPORARY")


def findings(seen: Seen) -> Iterator[Finding]:
    if seen.almighty:
        return
    for row in sorted(seen.records["schemas"], key=_name):
        yield from _schema(seen, row)
    yield from _databases(seen)
    yield from _owned(seen)
    yield from _foreign(seen)
    for row in sorted(seen.records["tablespaces"], key=_name):
        via = seen.via(row, 1, ("CREATE",))
        fix = take_away("CREATE", f"TABLESPACE {quoted(row['name'])}", via)
        yield found("PG.TABLESPACE.CREATE", f"fill the tablespace {row['name']}", row["name"], via=via, fix=fix)
    yield from _large_objects(seen)
    yield from _parameters(seen)
    yield from _future(seen)


def _name(row: Record) -> str:
    return str(row["name"])


def _schema(seen: Seen, row: Record) -> Iterator[Finding]:
    name, bits = str(row["name"]), union(row)
    on = f"SCHEMA {quoted(name)}"
    if bits & OWN:
        via = seen.via(row, OWN, ())
        what = f"drop the schema {name} with all that is in it, and open it to others"
        yield found("PG.SCHEMA.OWN", what, name, via=via, fix=leave(via), database=seen.database, schema=name)
    if bits & 1:
        via = seen.via(row, 1, ("CREATE",))
        fix = take_away("CREATE", on, via)
        yield found(
            "PG.SCHEMA.CREATE", f"create in {name}", name, via=via, fix=fix, database=seen.database, schema=name
        )
    if bits & GRANT and not bits & OWN:
        via = seen.via(row, GRANT, _ANY)
        what = f"grant to others its privileges on the schema {name}"
        fix = take_away("GRANT OPTION FOR ALL", on, via)
        yield found("PG.SCHEMA.GRANT", what, name, via=via, fix=fix, database=seen.database, schema=name)


def _databases(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["databases"], key=_name):
        name, bits = str(row["name"]), union(row)
        on = f"DATABASE {quoted(name)}"
        if bits & OWN:
            via = seen.via(row, OWN, ())
            yield found(
                "PG.DATABASE.OWN", f"drop or alter the database {name}", name, via=via, fix=leave(via), database=name
            )
        if bits & 2:
            via = seen.via(row, 2, ("CREATE",))
            what = f"create schemas and trusted extensions in the database {name}"
            yield found("PG.DATABASE.CREATE", what, name, via=via, fix=take_away("CREATE", on, via), database=name)
        if bits & GRANT and not bits & OWN:
            via = seen.via(row, GRANT, _ANY)
            what = f"grant to others its privileges on the database {name}"
            fix = take_away("GRANT OPTION FOR ALL", on, via)
            yield found("PG.DATABASE.GRANT", what, name, via=via, fix=fix, database=name)
        if bits & 4 and row["current"]:
            via = seen.via(row, 4, ("TEMPORARY",))
            fix = take_away("TEMPORARY", on, via)
            yield found("PG.DATABASE.TEMP", "make temporary tables", name, via=via, fix=fix, database=name)
    others = seen.other_databases
    if others:
        yield found(
            "PG.DATABASE.CONNECT",
            f"connect to {len(others)} other database(s): {', '.join(others[:3])}{', …' if len(others) > 3 else ''}",
            objects=tuple(others),
            number=len(others),
            via=_to_others(seen),
            fix=" ".join(f"REVOKE CONNECT ON DATABASE {quoted(each)} FROM PUBLIC;" for each in others),
        )


def _to_others(seen: Seen) -> str:
    paths = {seen.via(row, 1, ("CONNECT",)) for row in seen.records["databases"] if row["name"] in seen.other_databases}
    return "; ".join(sorted(each for each in paths if each))


def _owned(seen: Seen) -> Iterator[Finding]:
    key = lambda row: (row["schema"], row["kind"], seen.name(row["owner"]))  # noqa: E731 - a sort key
    for row in sorted(seen.records["owned"], key=key):
        schema, kind, number = str(row["schema"]), str(row["kind"]), int(row["number"])
        via = seen.holds(int(row["owner"]))
        yield found(
            "PG.OBJECT.OWN",
            f"alter or drop {number} {kind}{'' if number == 1 else 's'}{f' of {schema}' if schema else ''}",
            f"{schema} {kind}".strip(),
            objects=tuple(f"{schema}.{each}" if schema and "." not in each else each for each in row["examples"]),
            number=number,
            via=via,
            fix=leave(via),
            database=seen.database,
            schema=schema,
        )


def _foreign(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["foreign"], key=lambda row: (row["kind"], row["name"])):
        name, bits, server = str(row["name"]), union(row), row["kind"] == "server"
        on = f"{'FOREIGN SERVER' if server else 'FOREIGN DATA WRAPPER'} {quoted(name)}"
        via = seen.via(row, 1 | OWN, ("USAGE",))
        fix = take_away("USAGE", on, via)
        database = seen.database
        if not server:
            what = f"make foreign servers of the wrapper {name}, to anywhere"
            yield found("PG.FOREIGN.WRAPPER", what, name, via=via, fix=fix, database=database)
        elif row["mapped"]:
            what = f"use the foreign server {name} with the login that is stored for it, and read its password"
            yield found("PG.FOREIGN.MAPPED", what, name, via=via, fix=fix, database=database)
        else:
            what = f"use the foreign server {name} with a login of its own"
            yield found("PG.FOREIGN.USE", what, name, via=via, fix=fix, database=database)
        if bits & GRANT and not bits & OWN:
            what = f"grant to others its privileges on {name}"
            fix = take_away("GRANT OPTION FOR USAGE", on, via)
            yield found("PG.FOREIGN.GRANT", what, name, via=via, fix=fix, database=database)


def _large_objects(seen: Seen) -> Iterator[Finding]:
    counts = next(iter(seen.records["large_objects"]), {"own": 0, "written": 0, "read": 0, "number": 0})
    if seen.who["lo_compat"]:  # every user may do everything with every large object
        counts = {**counts, "written": counts["number"] - counts["own"], "read": counts["number"] - counts["own"]}
    for code, verb, number in (
        ("PG.LARGEOBJECT.OWN", "write and remove", counts["own"]),
        ("PG.LARGEOBJECT.WRITE", "write", counts["written"]),
        ("PG.LARGEOBJECT.READ", "read", counts["read"]),
    ):
        if number:
            fix = "REVOKE ALL ON LARGE OBJECT … FROM the grantee, or ALTER LARGE OBJECT … OWNER TO another role"
            what = f"{verb} {number} large object{'' if number == 1 else 's'}"
            yield found(code, what, number=number, fix=fix, database=seen.database)
    if seen.who["lo_create"]:
        fix = (
            "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer),"
            " pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;"
        )
        yield found("PG.LARGEOBJECT.CREATE", "make large objects", via="PUBLIC", fix=fix, database=seen.database)


def _parameters(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["parameters"], key=_name):
        name, bits = str(row["name"]), union(row)
        if bits & 2:
            via = seen.via(row, 2, ("ALTER SYSTEM",))
            fix = take_away("ALTER SYSTEM", f"PARAMETER {name}", via)
            yield found("PG.PARAMETER.ALTER_SYSTEM", f"set {name} for the whole server", name, via=via, fix=fix)
        if bits & 1 and row["context"] != "user":
            via = seen.via(row, 1, ("SET",))
            fix = take_away("SET", f"PARAMETER {name}", via)
            code = "PG.PARAMETER.LOAD" if name in _LOADING else "PG.PARAMETER.SET"
            yield found(code, f"set {name}, which is a superuser's to set", name, via=via, fix=fix)


def _future(seen: Seen) -> Iterator[Finding]:
    for row in sorted(
        seen.records["future"], key=lambda row: (row["name"], row["schema"] or "", row["kind"], row["grantee"])
    ):
        schema, kind = str(row["schema"] or ""), str(row["kind"])
        what = f"{_OBJECTS.get(kind, kind)}{f' of {schema}' if schema else ''}"
        creator = seen.name(row["creator"]) if row["creator"] in seen.roles else str(row["name"])
        subject = f"{schema or '*'} {_OBJECTS.get(kind, kind)} by {creator}"
        if row["gets"]:
            via = "PUBLIC" if row["grantee"] == PUBLIC else seen.holds(int(row["grantee"]))
            code = _future_code(kind, set(row["privileges"]))
            if code and not row["ours"]:
                whose = f"for {quoted(creator)}{f' IN SCHEMA {quoted(schema)}' if schema else ''}"
                yield found(
                    code,
                    f"{', '.join(row['privileges'])} all {what} that {creator} makes from now on",
                    subject,
                    via=via,
                    fix=f"ALTER DEFAULT PRIVILEGES {whose.replace('for', 'FOR ROLE', 1)} REVOKE ALL ON"
                    f" {_OBJECTS.get(kind, kind).replace('relations', 'tables').upper()} FROM …;",
                    database=seen.database,
                    schema=schema,
                )
        if row["ours"] and kind not in "Tf" and (row["grantee"] == PUBLIC or not row["gets"]):
            yield found(
                "PG.FUTURE.GIVES",
                f"make {what} (as {creator}) that others may {', '.join(row['privileges'])}",
                subject,
                database=seen.database,
                schema=schema,
            )


def _future_code(kind: str, privileges: set[str]) -> str:
    """ "" for what will give no power: functions run with the caller's rights."""
    if kind == "n":
        return "PG.FUTURE.OWN" if "CREATE" in privileges else ""
    if kind not in "rSL":
        return ""
    return "PG.FUTURE.READ" if privileges <= {"SELECT"} else "PG.FUTURE.WRITE"
