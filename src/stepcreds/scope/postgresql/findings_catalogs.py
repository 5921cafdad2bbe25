"""Findings about the server's own relations, and about secrets that lie open in them."""

from __future__ import annotations

from collections.abc import Iterator

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.seen import Record, Seen
from stepcreds.scope.postgresql.ways import quoted, revoke

_WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


def findings(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["catalogs"], key=_full_name):
        yield from _catalog(seen, row)
    for row in sorted(seen.records["secrets"], key=_full_name):
        yield _secret(seen, row)
    for row in sorted(seen.records["views"], key=_full_name):
        name = _full_name(row)
        fix = (
            f"REVOKE SELECT ON {quoted(str(row['schema']), str(row['name']))} FROM PUBLIC, and from the role it is in;"  # noqa: S608
        )
        if row["secret"]:
            what = f"read {name}, a view of the catalogs that hold passwords"
            yield found("PG.SECRET.VIEW", what, name, objects=(name,), fix=fix, database=seen.database)
        else:
            what = f"read {name}, a view of the data of others in the server's catalogs"
            yield found("PG.CATALOG.DATA", what, name, objects=(name,), fix=fix, database=seen.database)
    for row in sorted(seen.records["options"], key=lambda row: (str(row["place"]), str(row["option"]))):
        place, option = str(row["place"]), str(row["option"])
        fix = "Keep it in a user mapping, or out of the database; and change it, for everybody may have read it."
        yield found(
            "PG.SECRET.OPTION", f"read {option} of the {place}, as everybody may", f"{place} {option}",
            via="PUBLIC", fix=fix, database=seen.database,
        )  # fmt: skip


def _full_name(row: Record) -> str:
    return f"{row['schema']}.{row['name']}"


def _catalog(seen: Seen, row: Record) -> Iterator[Finding]:
    name, on = _full_name(row), quoted(str(row["schema"]), str(row["name"]))
    if row["writes"]:
        ways = seen.ways(row, 2, _WRITES, "pg_write_all_data")
        fix = revoke(", ".join(_WRITES), on, ways)
        yield found("PG.CATALOG.WRITE", f"write {name}", name, objects=(name,), via=ways.text, fix=fix)
    if row["reads"]:
        ways = seen.ways(row, 1, ("SELECT",), "pg_read_all_data")
        # What pg_catalog shows is not this database's alone.
        inner = row["schema"] != "pg_catalog"
        yield found(
            "PG.CATALOG.READ", f"read {name}", name, objects=(name,), via=ways.text, fix=revoke("SELECT", on, ways),
            database=seen.database if inner else "", schema=str(row["schema"]) if inner else "",
        )  # fmt: skip


def _secret(seen: Seen, row: Record) -> Finding:
    name = _full_name(row)
    ways = seen.ways(row, 1, ("SELECT",), "pg_read_all_data")
    fix = revoke("SELECT", name, ways)
    if row["secret"]:
        what = f"read the passwords, or what stands for them, in {name}"
        return found("PG.SECRET.READ", what, name, objects=(name,), via=ways.text, fix=fix)
    what = f"read the data of others in {name}"
    return found("PG.CATALOG.DATA", what, name, objects=(name,), via=ways.text, fix=fix, database=seen.database)
