"""Power of the roles that PostgreSQL brings along."""

from __future__ import annotations

from contextlib import suppress

from pg8000.exceptions import InterfaceError
from postgresql_case import Case, table
from postgresql_fixtures_attributes import VERIFIER
from postgresql_majors import Lab, Session

TEMPORARY = "GRANT TEMPORARY ON DATABASE shop TO {user}"  # for COPY FROM, which wants a table to fill
WRITTEN = "SELECT size FROM pg_stat_file('{folder}/data/{case}.txt', true)"
CANARY = "SELECT 'c4n4ry of {case}'"
# What a superuser asked last, in a session of its own.
OVERHEAR = (
    "SELECT bool_or(query = '" + CANARY.replace("'", "''") + "') FROM pg_stat_activity WHERE usename = 'postgres'"
)


def end_a_session(lab: Lab, session: Session) -> bool:
    ended = False
    with suppress(InterfaceError), lab.login("hr_admin") as victim:  # once ended, it cannot be closed any more
        pid = victim.run("SELECT pg_backend_pid()")[0][0]
        ended = bool(session.run(f"SELECT pg_terminate_backend({pid}, 5000)")[0][0])
    return ended


def member_of(name: str) -> str:
    return f"GRANT {name} TO {{user}}"


PREDEFINED = [
    Case(
        name="pg_read_all_data",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_read_all_data",
        objects="",
        grant=member_of("pg_read_all_data"),
        attack=VERIFIER,
        reads=True,
    ),
    Case(
        name="pg_write_all_data",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_write_all_data",
        objects="CREATE TABLE hr.{case} (id int, note text); INSERT INTO hr.{case} VALUES (1, 'as it was')",
        grant=member_of("pg_write_all_data"),
        attack="INSERT INTO hr.{case} VALUES (2, 'added')",
        watch="SELECT id, note FROM hr.{case} ORDER BY id",
    ),
    Case(
        name="pg_read_server_files",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_read_server_files",
        objects=TEMPORARY,
        grant=member_of("pg_read_server_files"),
        attack=(
            "CREATE TEMPORARY TABLE lines (line text)",
            "COPY lines FROM '{folder}/postgresql.conf'",
            "SELECT bool_or(line LIKE 'listen_addresses%') FROM lines",
        ),
        reads=True,
    ),
    Case(
        name="pg_write_server_files",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_write_server_files",
        objects="",
        grant=member_of("pg_write_server_files"),
        attack="COPY (SELECT 'written') TO '{folder}/data/{case}.txt'",
        watch=WRITTEN,
    ),
    Case(
        name="pg_execute_server_program",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_execute_server_program",
        objects="",
        grant=member_of("pg_execute_server_program"),
        attack="COPY (SELECT 'written') TO PROGRAM 'cat >{folder}/data/{case}.txt'",
        watch=WRITTEN,
    ),
    Case(
        name="program_by_set_role",  # a predefined role behind another that is not inherited
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_execute_server_program",
        objects="CREATE ROLE {case}_ops; GRANT pg_execute_server_program TO {case}_ops;"
        " GRANT CONNECT ON DATABASE shop TO {user}; ALTER ROLE {user} NOINHERIT",
        grant="GRANT {case}_ops TO {user}",
        attack=("SET ROLE {case}_ops", "COPY (SELECT 'written') TO PROGRAM 'cat >{folder}/data/{case}.txt'"),
        watch=WRITTEN,
    ),
    Case(
        name="pg_monitor",
        level="read",
        code="PG.PREDEFINED.MONITOR",
        about="pg_monitor",
        objects="",
        grant=member_of("pg_monitor"),
        before=CANARY,
        attack=OVERHEAR,
        reads=True,
        refused="",
    ),
    Case(
        name="pg_read_all_stats",
        level="read",
        code="PG.PREDEFINED.MONITOR",
        about="pg_read_all_stats",
        objects="",
        grant=member_of("pg_read_all_stats"),
        before=CANARY,
        attack=OVERHEAR,
        reads=True,
        refused="",
    ),
    Case(
        name="pg_read_all_settings",
        level="read",
        code="PG.PREDEFINED.MONITOR",
        about="pg_read_all_settings",
        objects="",
        grant=member_of("pg_read_all_settings"),
        attack="SELECT current_setting('hba_file') LIKE '%pg_hba.conf'",
        reads=True,
    ),
    Case(
        name="pg_stat_scan_tables",
        level="read",
        code="PG.PREDEFINED.MONITOR",
        about="pg_stat_scan_tables",
        objects="CREATE SCHEMA scan; GRANT USAGE ON SCHEMA scan TO {user}; CREATE EXTENSION pgstattuple SCHEMA scan",
        grant=member_of("pg_stat_scan_tables"),
        attack="SELECT tuple_count FROM scan.pgstattuple((SELECT c.oid FROM pg_class c WHERE c.relname = 'salaries')::regclass)",
        reads=5,
        undo="DROP EXTENSION IF EXISTS pgstattuple",
    ),
    Case(
        name="pg_signal_backend",
        level="write",
        code="PG.PREDEFINED.MAINTAIN",
        about="pg_signal_backend",
        objects="",
        grant=member_of("pg_signal_backend"),
        attack=end_a_session,
        reads=True,
    ),
    Case(
        name="pg_checkpoint",
        level="write",
        code="PG.PREDEFINED.MAINTAIN",
        about="pg_checkpoint",
        objects="",
        grant=member_of("pg_checkpoint"),
        attack="CHECKPOINT",
        watch="SELECT checkpoint_lsn FROM pg_control_checkpoint()",
        since=15,
    ),
    Case(
        name="pg_create_subscription",
        level="admin",
        code="PG.PREDEFINED.ADMIN",
        about="pg_create_subscription",
        objects="GRANT CREATE ON DATABASE shop TO {user}",
        grant=member_of("pg_create_subscription"),
        attack="CREATE SUBSCRIPTION {case} CONNECTION 'host=127.0.0.1 port={port} password=x' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE)",
        watch="SELECT count(*) FROM pg_subscription WHERE subname = '{case}'",
        undo="DROP SUBSCRIPTION IF EXISTS {case}",
        since=16,
        harmless=False,
    ),
    Case(
        name="pg_maintain",
        level="write",
        code="PG.PREDEFINED.MAINTAIN",
        about="pg_maintain",
        objects=table(),
        grant=member_of("pg_maintain"),
        attack="REINDEX TABLE app.{case}",
        watch="SELECT relfilenode FROM pg_class WHERE oid = 'app.{case}_pkey'::regclass",
        since=17,
    ),
    Case(
        name="pg_database_owner",
        level="ddl",
        code="PG.PREDEFINED.OWNER|PG.DATABASE.OWN",
        about="shop",
        objects=table(),
        grant="ALTER DATABASE shop OWNER TO {user}",
        attack="ALTER DATABASE shop SET work_mem = '5MB'",
        watch="SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'shop'",
        undo=("ALTER DATABASE shop OWNER TO postgres", "ALTER DATABASE shop RESET ALL"),
    ),
]
