"""Findings about the role itself: attributes, what it can become, predefined roles, and other databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepcreds.measurement import Finding
from stepcreds.scope.postgresql_codes import found
from stepcreds.scope.postgresql_seen import Record, Seen, leave, quoted

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
_HOSTED: Final = frozenset(
    [
        "rds_superuser",
        "rds_replication",
        "rds_password",
        "cloudsqlsuperuser",
        "alloydbsuperuser",
        "azure_pg_admin",
        "neon_superuser",
        "supabase_admin",
        "aiven_extras_superuser",
    ]
)


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
    everyone = sorted(seen.roles.items(), key=lambda item: (item[0] != seen.me, item[1]["name"]))
    for oid, role in everyone:
        via = seen.becomes(oid) if oid in seen.reach else seen.holds(oid)
        subject = "" if oid == seen.me else str(role["name"])
        if role["super"]:
            yield found("PG.ROLE.SUPERUSER", "do everything: it is a superuser's", subject, via=via, fix=leave(via))
    if seen.almighty:
        return
    for oid, role in everyone:
        if oid in seen.reach:
            yield from _attributes_of(seen, oid, role)


def _attributes_of(seen: Seen, oid: int, role: Record) -> Iterator[Finding]:
    via = seen.becomes(oid)
    subject = "" if oid == seen.me else str(role["name"])
    fix = leave(via) if via else "take the attribute out of the creation statements of Vault's role"
    if role["createrole"]:
        what = "make roles, and give itself roles: CREATEROLE"
        yield found("PG.ROLE.CREATEROLE", what, subject, via=via, fix=fix)
    if role["replication"]:
        yield found("PG.ROLE.REPLICATION", "copy the whole server: REPLICATION", subject, via=via, fix=fix)
    if role["createdb"]:
        yield found("PG.ROLE.CREATEDB", "make databases, and drop those it made: CREATEDB", subject, via=via, fix=fix)
    if role["bypassrls"]:
        yield found(
            "PG.ROLE.BYPASSRLS", "see and change rows that row security hides: BYPASSRLS", subject, via=via, fix=fix
        )
    if role["login"] and oid != seen.me:
        what = f"set the password of {role['name']}, which may log in, and come back as it"
        fix = f"ALTER ROLE {quoted(str(role['name']))} NOLOGIN; or {leave(via)}"
        yield found("PG.ROLE.LOGIN", what, subject, via=via, fix=fix)


def _admin_options(seen: Seen) -> Iterator[Finding]:
    for oid in seen.admin:
        name = seen.name(oid)
        fix = f"REVOKE ADMIN OPTION FOR {quoted(name)} FROM the role that has it"
        yield found(
            "PG.ROLE.ADMIN_OPTION", f"give {name} to anybody, itself included", name, via=seen.becomes(oid), fix=fix
        )


def _predefined(seen: Seen) -> Iterator[Finding]:
    special = {oid: each for oid, each in seen.roles.items() if each["predefined"] or str(each["name"]) in _HOSTED}
    implied = {inner for each in special.values() for inner in each["includes"] or ()}
    for oid, each in sorted(special.items(), key=lambda item: str(item[1]["name"])):
        if oid in implied:
            continue
        name = str(each["name"])
        code = _PREDEFINED.get(name, "PG.PREDEFINED.ADMIN")
        via = seen.holds(oid)
        yield found(
            code,
            _WHAT.get(name, f"do all that {name} may, which is taken for everything"),
            name,
            via=via,
            fix=f"REVOKE {quoted(name)} FROM the role that was granted it ({via})",
            database=seen.database if code == "PG.PREDEFINED.OWNER" else "",
        )


def _elsewhere(seen: Seen) -> Iterator[Finding]:
    for row in sorted(seen.records["elsewhere"], key=lambda row: (row["database"], not row["owns"], row["role"])):
        database, number = str(row["database"]), int(row["number"])
        via = seen.holds(int(row["role"]))
        what = f"{'own' if row['owns'] else 'use its grants on'} {number} object(s) of the database {database}"
        code = "PG.ELSEWHERE.OWN" if row["owns"] else "PG.ELSEWHERE.GRANT"
        if not row["open"]:
            code, what = "PG.ELSEWHERE.LATENT", f"{what}, if it could connect there"
        who = quoted(seen.name(int(row["role"]))) if row["role"] != seen.me else "it"
        fix = f"in {database}: DROP OWNED BY {who}; or REVOKE CONNECT ON DATABASE {quoted(database)} FROM PUBLIC;"
        subject = f"{database} {seen.name(int(row['role']))}" if row["role"] != seen.me else database
        yield found(code, what, subject, number=number, via=via, fix=fix, database=database)
