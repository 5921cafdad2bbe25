"""Findings about foreign servers, tablespaces, large objects and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.objects import GRANT, OWN
from stepcreds.scope.postgresql.seen import Record, Seen, counted, union
from stepcreds.scope.postgresql.ways import quoted, revoke

# Parameters that have the server load code, or that take away what protects the data from everybody.
_LOADING: Final = (
    "session_preload_libraries", "shared_preload_libraries", "local_preload_libraries", "dynamic_library_path",
    "jit_provider", "extension_control_path", "allow_system_table_mods", "archive_command", "restore_command",
    "archive_library", "ssl_passphrase_command", "lo_compat_privileges", "session_replication_role",
)  # fmt: skip

_MODULES: Final = (
    "auto_explain", "pg_stat_statements", "pgaudit", "plperl", "pltcl", "plpgsql", "plv8", "pljava", "postgres_fdw",
    "dblink", "cron", "timescaledb", "passwordcheck", "sepgsql", "set_user", "supautils", "session_preload", "anon",
)  # fmt: skip


def findings(seen: Seen) -> Iterator[Finding]:
    if seen.almighty:
        return
    for row in sorted(seen.records["foreign"], key=lambda row: (str(row["kind"]), str(row["name"]))):
        yield from _foreign(seen, row)
    for row in sorted(seen.records["tablespaces"], key=lambda row: str(row["name"])):
        name, ways = str(row["name"]), seen.ways(row, 1, ("CREATE",))
        fix = revoke("CREATE", f"TABLESPACE {quoted(name)}", ways)
        yield found("PG.TABLESPACE.CREATE", f"fill the tablespace {name}", name, via=ways.text, fix=fix)
    yield from _large_objects(seen)
    for row in sorted(seen.records["parameters"], key=lambda row: str(row["name"])):
        yield from _parameter(seen, row)


def _foreign(seen: Seen, row: Record) -> Iterator[Finding]:
    name, bits = str(row["name"]), union(row)
    on = f"{'FOREIGN SERVER' if row['kind'] == 'server' else 'FOREIGN DATA WRAPPER'} {quoted(name)}"
    ways = seen.ways(row, 1 | OWN, ("USAGE",))
    if row["kind"] == "wrapper":
        code, what = "PG.FOREIGN.WRAPPER", f"make foreign servers of the wrapper {name}, to anywhere"
    elif row["mapped"]:
        what = f"use the foreign server {name} with the login that is stored for it, and read its password"
        code = "PG.FOREIGN.MAPPED"
    else:
        code, what = "PG.FOREIGN.USE", f"use the foreign server {name} with a login of its own"
    yield found(code, what, name, via=ways.text, fix=revoke("USAGE", on, ways), database=seen.database)
    if bits & GRANT and not bits & OWN:
        what = f"grant to others its privileges on {name}"
        fix = revoke("GRANT OPTION FOR USAGE", on, ways)
        yield found("PG.FOREIGN.GRANT", what, name, via=ways.text, fix=fix, database=seen.database)


def _large_objects(seen: Seen) -> Iterator[Finding]:
    (counts,) = seen.records["large_objects"]
    own, written, everybody = int(counts["own"]), int(counts["written"]), int(counts["everybody"])
    if seen.who["lo_compat"]:  # everybody may do everything with every one
        written = everybody = int(counts["number"]) - own
    for code, verb, number in (
        ("PG.LARGEOBJECT.OWN", "write and remove", own),
        ("PG.LARGEOBJECT.WRITE", "write", written),
        ("PG.LARGEOBJECT.READ", "read, as everybody may,", everybody),
        ("PG.LARGEOBJECT.GRANTED", "read", int(counts["granted"])),
    ):
        if number:
            what = f"{verb} {counted(number, 'large object')}{'' if code == 'PG.LARGEOBJECT.OWN' else ' of others'}"
            fix = "REVOKE ALL ON LARGE OBJECT … FROM the grantee, or ALTER LARGE OBJECT … OWNER TO another role."
            yield found(code, what, number=number, fix=fix, database=seen.database)
    if seen.who["lo_create"]:
        fix = (
            "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer),"
            " pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;"
        )
        yield found("PG.LARGEOBJECT.CREATE", "make large objects", via="PUBLIC", fix=fix, database=seen.database)


def _parameter(seen: Seen, row: Record) -> Iterator[Finding]:
    name, bits = str(row["name"]), union(row)
    on = f"PARAMETER {quoted(name)}"
    if bits & 2:
        ways = seen.ways(row, 2, ("ALTER SYSTEM",))
        fix = revoke("ALTER SYSTEM", on, ways)
        yield found("PG.PARAMETER.ALTER_SYSTEM", f"set {name} for the whole server", name, via=ways.text, fix=fix)
    # A name with a dot that no module has taken is a user's to set anyway.
    if bits & 1 and row["context"] != "user" and not (row["context"] == "" and name.partition(".")[0] not in _MODULES):
        ways = seen.ways(row, 1, ("SET",))
        code = "PG.PARAMETER.LOAD" if name in _LOADING else "PG.PARAMETER.SET"
        what = f"set {name}, which is a superuser's to set"
        yield found(code, what, name, via=ways.text, fix=revoke("SET", on, ways))
