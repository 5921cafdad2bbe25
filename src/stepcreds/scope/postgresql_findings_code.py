"""Findings about functions, languages, system catalogs and secrets that lie open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql_codes import found
from stepcreds.scope.postgresql_objects import OWN
from stepcreds.scope.postgresql_relations import TRIGGER
from stepcreds.scope.postgresql_seen import Record, Seen, quoted, take_away, union

# System functions and extensions' that only look, or only disturb; any other that was opened is taken for the worst.
_INSPECT: Final = ("pg_ls_", "pg_stat_file", "pg_current_logfile", "pg_hba_file_rules", "pg_show_all_file_settings",
    "pg_ident_file_mappings", "pg_get_shmem_allocations", "pg_get_backend_memory_contexts", "pg_config")  # fmt: skip
_OPERATE: Final = ("pg_stat_reset", "pg_switch_wal", "pg_create_restore_point", "pg_reload_conf", "pg_rotate_logfile",
    "pg_log_backend_memory_contexts", "pg_wal_replay_", "pg_stat_statements_reset")  # fmt: skip
_LOOKING: Final = frozenset(
    ["pgstattuple", "pg_buffercache", "pg_freespacemap", "pgrowlocks", "pg_walinspect", "amcheck", "pg_stat_statements"]
)


def findings(seen: Seen) -> Iterator[Finding]:
    if seen.almighty:
        return
    rows = sorted(seen.records["functions"], key=lambda row: (row["why"], row["signature"]))
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
    for row in seen.records["handed_on"]:
        schema, number = str(row["schema"]), int(row["number"])
        what = f"grant to others EXECUTE on {number} function{'' if number == 1 else 's'} of {schema}"
        fix = f"REVOKE GRANT OPTION FOR EXECUTE ON ALL FUNCTIONS IN SCHEMA {quoted(schema)} FROM the role that has it"
        yield found(
            "PG.FUNCTION.GRANT", what, schema, objects=tuple(row["examples"]), number=number, fix=fix,
            database=seen.database, schema=schema,
        )  # fmt: skip
    for row in seen.records["languages"]:
        what = f"run code in {row['name']}, which is confined to nothing: DO LANGUAGE {row['name']}"
        fix = f"UPDATE pg_language SET lanpltrusted = false WHERE lanname = '{row['name']}';"
        yield found("PG.LANGUAGE.TRUSTED", what, row["name"], via="PUBLIC", fix=fix)
    yield from _catalogs(seen)
    yield from _secrets(seen)


def _can_attach(seen: Seen) -> bool:
    """Whether it has, or can make, a table to put a trigger on: a trigger function is called no other way."""
    if any(union(row) & (TRIGGER | OWN) for row in seen.records["relations"]):
        return True
    if any(union(row) & (1 | OWN) for row in seen.records["schemas"]):
        return True
    return any(row["current"] and union(row) & (2 | 4 | OWN) for row in seen.records["databases"])


def _definer(seen: Seen, row: Record) -> Finding:
    signature, owner = str(row["signature"]), str(row["owner_name"])
    call = "attach, to a table of its own, the trigger" if row["trigger"] else "call"
    what = f"{call} {signature}, which runs as {owner}{', a role that can do everything' if row['mighty'] else ''}"
    if not row["confined"]:
        what += ", with the caller's search_path"
    via = seen.via(row, 1, ("EXECUTE",))
    return found(
        "PG.DEFINER.SUPERUSER" if row["mighty"] else "PG.DEFINER.CALL",
        what,
        f"{signature} owner={owner} body={row['body']}",
        objects=(signature,),
        via=via,
        fix=take_away("EXECUTE", f"FUNCTION {signature}", via),
        database=seen.database,
        schema=str(row["schema"]),
    )


def _untrusted(seen: Seen, row: Record) -> Finding:
    signature = str(row["signature"])
    via = seen.via(row, 1, ("EXECUTE",))
    return found(
        "PG.FUNCTION.UNTRUSTED",
        f"call {signature}, written in {row['language']}, which is confined to nothing",
        f"{signature} owner={row['owner_name']} body={row['body']}",
        objects=(signature,),
        via=via,
        fix=take_away("EXECUTE", f"FUNCTION {signature}", via),
        database=seen.database,
        schema=str(row["schema"]),
    )


def _opened(seen: Seen, row: Record) -> Finding:
    signature, extension = str(row["signature"]), str(row["extension"] or "")
    bare = signature.rpartition(".")[2] if "(" not in signature.rpartition(".")[0] else signature
    if bare.startswith(_OPERATE):
        code = "PG.SYSTEM.OPERATE"
    elif bare.startswith(_INSPECT) or extension in _LOOKING:
        code = "PG.SYSTEM.INSPECT"
    else:
        code = "PG.SYSTEM.EXECUTE"
    via = seen.via(row, 1, ("EXECUTE",))
    return found(
        code,
        f"call {signature}{f' of the extension {extension}' if extension else ''}, which is closed by default",
        signature,
        objects=(signature,),
        via=via,
        fix=take_away("EXECUTE", f"FUNCTION {signature}", via),
        database=seen.database if extension else "",
    )


def _reaching(seen: Seen, rows: list[Record]) -> Iterator[Finding]:
    for extension in sorted({str(row["extension"]) for row in rows}):
        own = [row for row in rows if row["extension"] == extension]
        via = seen.via(own[0], 1, ("EXECUTE",))
        signatures = tuple(str(row["signature"]) for row in own)
        yield found(
            "PG.EXTENSION.CALL",
            f"reach beyond the database with the extension {extension}",
            extension,
            objects=signatures,
            number=len(own),
            via=via,
            fix=take_away("EXECUTE", f"FUNCTION {', '.join(signatures)}", via),
            database=seen.database,
            schema=str(own[0]["schema"]),
        )


def _catalogs(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["catalogs"], key=lambda row: (row["schema"], row["name"])):
        name = f"{row['schema']}.{row['name']}"
        on = quoted(str(row["schema"]), str(row["name"]))
        if row["writes"]:
            via = seen.via(row, 2, ("INSERT", "UPDATE", "DELETE", "TRUNCATE"), "pg_write_all_data")
            fix = take_away("INSERT, UPDATE, DELETE, TRUNCATE", on, via)
            yield found(
                "PG.CATALOG.WRITE", f"write {name}", name, objects=(name,), via=via, fix=fix, database=seen.database
            )
        if row["reads"]:
            via = seen.via(row, 1, ("SELECT",), "pg_read_all_data")
            yield found(
                "PG.CATALOG.READ", f"read {name}", name, objects=(name,), via=via,
                fix=take_away("SELECT", on, via), database=seen.database, schema=str(row["schema"]),
            )  # fmt: skip


def _secrets(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["secrets"], key=lambda row: str(row["name"])):
        name = str(row["name"])
        via = seen.via(row, 1, ("SELECT",), "pg_read_all_data")
        fix = take_away("SELECT", name, via)
        if row["secret"]:
            what = f"read the passwords, or what stands for them, in {name}"
            yield found("PG.SECRET.READ", what, name, objects=(name,), via=via, fix=fix)
        else:
            what = f"read the data of others in {name}"
            yield found("PG.CATALOG.DATA", what, name, objects=(name,), via=via, fix=fix, database=seen.database)
    for row in sorted(seen.records["views"], key=lambda row: (row["schema"], row["name"])):
        name = f"{row['schema']}.{row['name']}"
        fix = f"REVOKE SELECT ON {quoted(str(row['schema']), str(row['name']))} FROM PUBLIC; and from the roles it has"
        what = f"read {name}, a view of the catalogs that hold passwords"
        yield found("PG.SECRET.VIEW", what, name, objects=(name,), fix=fix, database=seen.database)
    for row in sorted(seen.records["options"], key=lambda row: (row["kind"], row["name"], row["option"])):
        name = f"{row['kind']} {row['name']}"
        what = f"read {row['option']} of the {name}, which everybody may"
        fix = "keep it in a user mapping, or out of the database, and change it: everybody may have read it"
        yield found("PG.SECRET.OPTION", what, f"{name} {row['option']}", via="PUBLIC", fix=fix, database=seen.database)
