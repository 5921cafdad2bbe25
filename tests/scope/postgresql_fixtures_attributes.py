"""Power that is an attribute of the role, its own or that of a role it may become."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

VERIFIER = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_catalog.pg_authid WHERE rolname = 'postgres'"
BECOME = "CREATE ROLE {case} NOLOGIN"
SLOT = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{case}'"
DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{case}'"
TAKE_SLOT = "SELECT pg_create_physical_replication_slot('{case}')"
DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE '{case}%'"
BACK_DOORS = "SELECT count(*) FROM pg_roles WHERE rolname = '{case}_door'"
HIDDEN = table(
    "UPDATE app.{case} SET note = 'hidden'; ALTER TABLE app.{case} ENABLE ROW LEVEL SECURITY;"
    " CREATE POLICY nobody ON app.{case} USING (false)"
)
READ_HIDDEN = "SELECT (SELECT note FROM app.{case})"

ATTRIBUTES = [
    Case(
        name="superuser",
        level="admin",
        code="PG.ROLE.SUPERUSER",
        about="superuser",
        objects="",
        grant="ALTER ROLE {user} SUPERUSER",
        attack=VERIFIER,
        reads=True,
    ),
    Case(
        name="createrole_before_16",
        level="admin",
        code="PG.ROLE.CREATEROLE",
        about="CREATEROLE",
        objects=table(),
        grant="ALTER ROLE {user} CREATEROLE",
        attack=("GRANT app_owner TO {user}", "DELETE FROM app.{case}"),
        watch=ROWS,
        until=15,
    ),
    Case(
        name="createrole",
        level="admin",
        code="PG.ROLE.CREATEROLE",
        about="CREATEROLE",
        objects="",
        grant="ALTER ROLE {user} CREATEROLE",
        attack="CREATE ROLE {case}_door LOGIN PASSWORD 'outlives the lease'",
        watch=BACK_DOORS,
    ),
    Case(
        name="createdb",
        level="ddl",
        code="PG.ROLE.CREATEDB",
        about="CREATEDB",
        objects="",
        grant="ALTER ROLE {user} CREATEDB",
        attack="CREATE DATABASE {case}_own",
        watch=DATABASES,
        undo="DROP DATABASE IF EXISTS {case}_own",
    ),
    Case(
        name="replication",
        level="admin",
        code="PG.ROLE.REPLICATION",
        about="REPLICATION",
        objects="",
        grant="ALTER ROLE {user} REPLICATION",
        attack=TAKE_SLOT,
        watch=SLOT,
        undo=DROP_SLOT,
    ),
    Case(
        name="bypassrls",
        level="read",
        code="PG.ROLE.BYPASSRLS",
        about="BYPASSRLS",
        objects=HIDDEN,
        grant="ALTER ROLE {user} BYPASSRLS",
        attack=READ_HIDDEN,
        reads="hidden",
        refused="",
    ),
    Case(
        name="superuser_by_set_role",
        level="admin",
        code="PG.ROLE.SUPERUSER",
        about="{case}",
        objects=f"{BECOME} SUPERUSER",
        grant="GRANT {case} TO {user}",
        attack=("SET ROLE {case}", VERIFIER),
        reads=True,
    ),
    Case(
        name="createrole_by_set_role",
        level="admin",
        code="PG.ROLE.CREATEROLE",
        about="{case}",
        objects=f"{BECOME} CREATEROLE",
        grant="GRANT {case} TO {user}",
        attack=("SET ROLE {case}", "CREATE ROLE {case}_door LOGIN PASSWORD 'outlives the lease'"),
        watch=BACK_DOORS,
    ),
    Case(
        name="createdb_by_set_role",
        level="ddl",
        code="PG.ROLE.CREATEDB",
        about="{case}",
        objects=f"{BECOME} CREATEDB",
        grant="GRANT {case} TO {user}",
        attack=("SET ROLE {case}", "CREATE DATABASE {case}_own"),
        watch=DATABASES,
        undo="DROP DATABASE IF EXISTS {case}_own",
    ),
    Case(
        name="replication_by_set_role",
        level="admin",
        code="PG.ROLE.REPLICATION",
        about="{case}",
        objects=f"{BECOME} REPLICATION",
        grant="GRANT {case} TO {user}",
        attack=("SET ROLE {case}", TAKE_SLOT),
        watch=SLOT,
        undo=DROP_SLOT,
    ),
    Case(
        name="bypassrls_by_set_role",
        level="read",
        code="PG.ROLE.BYPASSRLS",
        about="{case}",
        objects=(f"{BECOME} BYPASSRLS", HIDDEN, "GRANT app_ro TO {case}"),
        grant="GRANT {case} TO {user}",
        attack=("SET ROLE {case}", READ_HIDDEN),
        reads="hidden",
    ),
]
