"""Findings about functions that can do more than their caller, and about languages that are confined to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.objects import OWN
from stepcreds.scope.postgresql.relations import TRIGGER
from stepcreds.scope.postgresql.seen import Record, Seen, counted, union
from stepcreds.scope.postgresql.ways import Ways, quoted, revoke

# Functions of the server or of an extension that only look, or only disturb. Any other that was opened is taken for
# the worst.
_INSPECT: Final = (
    "pg_ls_", "pg_stat_file", "pg_current_logfile", "pg_hba_file_rules", "pg_show_all_file_settings",
    "pg_ident_file_mappings", "pg_get_shmem_allocations", "pg_get_backend_memory_contexts", "pg_config",
)  # fmt: skip
_OPERATE: Final = (
    "pg_stat_reset", "pg_switch_wal", "pg_create_restore_point", "pg_reload_conf", "pg_rotate_logfile",
    "pg_log_backend_memory_contexts", "pg_wal_replay_", "pg_stat_statements_reset",
)  # fmt: skip
_LOOKING: Final = (
    "pgstattuple", "pg_buffercache", "pg_freespacemap", "pgrowlocks", "pg_walinspect", "amcheck", "pg_stat_statements",
)  # fmt: skip


def findings(seen: Seen) -> Iterator[Finding]:
    if seen.almighty:
        return
    rows = sorted(seen.records["functions"], key=lambda row: (str(row["why"]), str(row["signature"])))
    if not _can_attach(seen):
        rows = [row for row in rows if not row["trigger"]]
    for row in rows:
        if row["why"] == "definer":
            yield _definer(seen, row)
        elif row["why"] == "untrusted":
            yield _untrusted(seen, row)
        elif row["why"] == "opened":
            yield _opened(seen, row)
    yield from _reaching(seen, [row for row in rows if row["why"] == "reaching"])
    for row in sorted(seen.records["handed_on"], key=lambda row: str(row["schema"])):
        schema, number = str(row["schema"]), int(row["number"])
        what = f"grant to others EXECUTE on {counted(number, 'function')} of {schema}"
        fix = f"REVOKE GRANT OPTION FOR EXECUTE ON ALL FUNCTIONS IN SCHEMA {quoted(schema)} FROM the role that has it;"
        objects = tuple(str(each) for each in row["examples"])
        yield found(
            "PG.FUNCTION.GRANT", what, schema, objects=objects, number=number, fix=fix,
            database=seen.database, schema=schema,
        )  # fmt: skip
    for row in sorted(seen.records["languages"], key=lambda row: str(row["name"])):
        name = str(row["name"])
        what = f"run code in {name}, which is confined to nothing: DO LANGUAGE {name}"
        fix = f"UPDATE pg_language SET lanpltrusted = false WHERE lanname = '{name}';"  # noqa: S608 - shown, not run
        yield found("PG.LANGUAGE.TRUSTED", what, name, via="PUBLIC", fix=fix)


def _can_attach(seen: Seen) -> bool:
    """Whether it has, or can make, a table to put a trigger on: a trigger function is called no other way."""
    return (
        any(union(row) & (TRIGGER | OWN) for row in seen.records["relations"])
        or any(union(row) & (1 | OWN) for row in seen.records["schemas"])
        or any(row["current"] and union(row) & (2 | 4 | OWN) for row in seen.records["databases"])
    )


def _definer(seen: Seen, row: Record) -> Finding:
    signature, owner = str(row["signature"]), str(row["owner_name"])
    call = "call"
    if row["trigger"] or row["event"]:
        call = (
            "attach, to a table of its own, the trigger"
            if row["trigger"]
            else "set off, by making a table, the trigger"
        )
    what = f"{call} {signature}, which runs as {owner}{', a role that can do everything' if row['mighty'] else ''}"
    if not row["confined"]:
        what += ", with its caller's search_path"
    code = "PG.DEFINER.SUPERUSER" if row["mighty"] else "PG.DEFINER.CALL"
    return _of_function(seen, code, what, f"{signature} owner={owner} body={row['body']}", row)


def _untrusted(seen: Seen, row: Record) -> Finding:
    signature = str(row["signature"])
    what = f"call {signature}, written in {row['language']}, which is confined to nothing"
    subject = f"{signature} owner={row['owner_name']} body={row['body']}"
    return _of_function(seen, "PG.FUNCTION.UNTRUSTED", what, subject, row)


def _of_function(seen: Seen, code: str, what: str, subject: str, row: Record) -> Finding:
    ways = _caller(seen, row)
    signature = str(row["signature"])
    fix = revoke("EXECUTE", f"FUNCTION {signature}", ways)
    return found(
        code, what, subject, objects=(signature,), via=ways.text, fix=fix,
        database=seen.database, schema=str(row["schema"]),
    )  # fmt: skip


def _caller(seen: Seen, row: Record) -> Ways:
    return seen.ways(row, 1, ("EXECUTE",))


def _opened(seen: Seen, row: Record) -> Finding:
    name, signature, extension = str(row["name"]), str(row["signature"]), str(row["extension"] or "")
    if name.startswith(_OPERATE):
        code = "PG.SYSTEM.OPERATE"
    elif name.startswith(_INSPECT) or extension in _LOOKING:
        code = "PG.SYSTEM.INSPECT"
    else:
        code = "PG.SYSTEM.EXECUTE"
    ways = _caller(seen, row)
    return found(
        code,
        f"call {signature}{f' of the extension {extension}' if extension else ''}, which is closed by default",
        signature,
        objects=(signature,),
        via=ways.text,
        fix=revoke("EXECUTE", f"FUNCTION {signature}", ways),
        # What the server's own functions show or do is not this database's alone.
        database=seen.database if extension else "",
    )


def _reaching(seen: Seen, rows: list[Record]) -> Iterator[Finding]:
    """One for each extension, whichever of its functions reach out."""
    for extension in sorted({str(row["extension"]) for row in rows}):
        own = [row for row in rows if row["extension"] == extension]
        ways = Ways(way for row in own for way in _caller(seen, row))
        signatures = tuple(str(row["signature"]) for row in own)
        yield found(
            "PG.EXTENSION.CALL",
            f"reach beyond the database with the extension {extension}",
            extension,
            objects=signatures,
            number=len(own),
            via=ways.text,
            fix=revoke("EXECUTE", f"FUNCTION {', '.join(signatures)}", ways),
            database=seen.database,
            schema=str(own[0]["schema"]),
        )
