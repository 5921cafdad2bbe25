"""Findings about the role itself: attributes, what it can become, predefined roles, and other databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql.codes import found
from stepcreds.scope.postgresql.reach import MOST_GIVEN
from stepcreds.scope.postgresql.seen import Record, Seen, counted
from stepcreds.scope.postgresql.ways import leave, quoted

# The rest, also those that this version of stepcreds has never heard of, is taken for the worst.
_PREDEFINED: Final = {
    "pg_database_owner": "PG.PREDEFINED.OWNER",
    "pg_monitor": "PG.PREDEFINED.MONITOR",
    "pg_read_all_stats": "PG.PREDEFINED.MONITOR",
    "pg_read_all_settings": "PG.PREDEFINED.MONITOR",
    "pg_stat_scan_tables": "PG.PREDEFINED.MONITOR",
    "pg_signal_backend": "PG.PREDEFINED.MAINTAIN",
    "pg_signal_autovacuum_worker": "PG.PREDEFINED.MAINTAIN",
    "pg_checkpoint": "PG.PREDEFINED.MAINTAIN",
    "pg_maintain": "PG.PREDEFINED.MAINTAIN",
    "pg_use_reserved_connections": "PG.PREDEFINED.MAINTAIN",
}
_WHAT: Final = {
    "pg_database_owner": "do what the owner of this database may",
    "pg_monitor": "see the statements and sessions of everybody, and all settings",
    "pg_read_all_stats": "see the statements and sessions of everybody",
    "pg_read_all_settings": "see all settings of the server",
    "pg_stat_scan_tables": "scan every table for statistics, under locks",
    "pg_signal_backend": "cancel and end the sessions of others",
    "pg_signal_autovacuum_worker": "cancel and end autovacuum's work",
    "pg_checkpoint": "force checkpoints",
    "pg_maintain": "lock and rewrite every table: VACUUM, CLUSTER, REINDEX, LOCK TABLE",
    "pg_use_reserved_connections": "take the connections that are reserved",
    "pg_read_all_data": "read every table, every password in the catalogs and all large objects, in every database",
    "pg_write_all_data": "write every table, and system views, in every database",
    "pg_read_server_files": "read every file that the server can",
    "pg_write_server_files": "write every file that the server can",
    "pg_execute_server_program": "run programs on the server's machine",
    "pg_create_subscription": "connect the server to others, and write what comes from there",
}
# What managed services call their superusers.
_HOSTED: Final = (
    "rds_superuser", "rds_replication", "rds_password", "cloudsqlsuperuser", "alloydbsuperuser", "azure_pg_admin",
    "neon_superuser", "supabase_admin",
)  # fmt: skip


def findings(seen: Seen) -> Iterator[Finding]:
    yield from _attributes(seen)
    if seen.almighty:
        return
    yield from _admin_options(seen)
    yield from _predefined(seen)
    yield from _elsewhere(seen)
    if seen.who["forever"]:
        yield found(
            "PG.ROLE.FOREVER",
            "log in for ever: the role has no VALID UNTIL",
            fix="add VALID UNTIL '{{expiration}}' to the creation statements of Vault's role",
        )


def _attributes(seen: Seen) -> Iterator[Finding]:
    """Attributes are never inherited; whoever can become the role has them."""
    everyone = sorted(seen.roles.items(), key=lambda item: (item[0] != seen.me, str(item[1]["name"])))
    for oid, role in everyone:
        if role["super"]:
            # Inherited only, it still is the owner of all that superusers own, the catalogs included.
            way = seen.becoming(oid) if oid in seen.reach else seen.holding(oid)
            what = "do everything: it is a superuser's"
            yield found("PG.ROLE.SUPERUSER", what, _subject(seen, oid), via=way.text, fix=leave([way]))
    if seen.almighty:
        return
    for oid, role in everyone:
        if oid in seen.reach:
            yield from _attributes_of(seen, oid, role)


def _subject(seen: Seen, oid: int) -> str:
    return "" if oid == seen.me else seen.name(oid)


_ATTRIBUTES: Final = {
    "createrole": ("PG.ROLE.CREATEROLE", "make roles, and give itself roles: CREATEROLE"),
    "replication": ("PG.ROLE.REPLICATION", "copy the whole server: REPLICATION"),
    "createdb": ("PG.ROLE.CREATEDB", "make databases, and drop those it made: CREATEDB"),
    "bypassrls": ("PG.ROLE.BYPASSRLS", "see and change rows that row security hides: BYPASSRLS"),
}


def _attributes_of(seen: Seen, oid: int, role: Record) -> Iterator[Finding]:
    way = seen.becoming(oid)
    for attribute, (code, what) in _ATTRIBUTES.items():
        if role[attribute]:
            yield found(code, what, _subject(seen, oid), via=way.text, fix=leave([way]))
    if role["login"] and oid != seen.me:
        name = seen.name(oid)
        what = f"set the password of {name}, which may log in, and come back as it"
        fix = f"ALTER ROLE {quoted(name)} NOLOGIN; or: {leave([way])}"
        yield found("PG.ROLE.LOGIN", what, name, via=way.text, fix=fix)


def _admin_options(seen: Seen) -> Iterator[Finding]:
    for name in seen.admin[:MOST_GIVEN]:
        way = seen.giving(name)
        what = f"give {name} to anybody, itself included"
        yield found("PG.ROLE.ADMIN_OPTION", what, name, via=way.text, fix=leave([way]))
    rest = seen.admin[MOST_GIVEN:]
    if rest:
        what = f"give {counted(len(rest), 'more role')} to anybody, itself included"
        yield found("PG.ROLE.ADMIN_OPTION", what, objects=tuple(rest), number=len(rest), via="ADMIN OPTION")


def _predefined(seen: Seen) -> Iterator[Finding]:
    special = {oid: each for oid, each in seen.roles.items() if each["predefined"] or str(each["name"]) in _HOSTED}
    implied = {inner for each in special.values() for inner in each["includes"] or ()}
    for oid, each in sorted(special.items(), key=lambda item: str(item[1]["name"])):
        if oid in implied:
            continue
        name = str(each["name"])
        code = _PREDEFINED.get(name, "PG.PREDEFINED.ADMIN")
        way = seen.holding(oid)
        what = _WHAT.get(name, f"do all that {name} may, which is taken for everything")
        fix = leave([way])
        database = seen.database if code == "PG.PREDEFINED.OWNER" else ""
        yield found(code, what, name, via=way.text, fix=fix, database=database)


def _elsewhere(seen: Seen) -> Iterator[Finding]:
    def key(row: Record) -> tuple[str, bool, str]:
        return str(row["database"]), not row["owns"], seen.name(int(row["role"]))

    for row in sorted(seen.records["elsewhere"], key=key):
        database, oid, thing = str(row["database"]), int(row["role"]), counted(int(row["number"]), "object")
        way = seen.holding(oid)
        code, what = "PG.ELSEWHERE.GRANT", f"use its grants on {thing} of the database {database}"
        if row["owns"]:
            code, what = "PG.ELSEWHERE.OWN", f"alter or drop {thing} of the database {database}"
        if not row["open"]:
            code, what = "PG.ELSEWHERE.LATENT", f"{what}, if it could connect there"
        # Others may rely on what a group holds there: nothing is said that takes it from all of them.
        whose = "it" if oid == seen.me else quoted(seen.name(oid))
        shut = f"REVOKE CONNECT ON DATABASE {quoted(database)} FROM PUBLIC;"
        fix = f"{shut} or take away what {whose} has in {database}, if nobody else needs it."
        subject = database if oid == seen.me else f"{database} {seen.name(oid)}"
        yield found(code, what, subject, number=int(row["number"]), via=way.text, fix=fix, database=database)
