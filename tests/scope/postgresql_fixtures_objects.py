"""Power over schemas, databases, whatever else can be owned, large objects, settings, and what does not exist yet."""

from __future__ import annotations

from typing import Any

from postgresql_case import Attack, Case
from postgresql_majors import Lab, Session

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
EXISTS = "SELECT to_regclass('{}')::text"
LARGE = "SELECT lo_from_bytea({}, 'as it was')"
CONTENT = "SELECT convert_from(lo_get({}), 'UTF8')"
FUTURE = "SET ROLE app_owner; CREATE TABLE app.{case} (id int, note text); RESET ROLE"


def owner(
    kind: str, make: str, attack: str, watch: str, *, name: str = "app.{case}", about: str = "app", code: str
) -> Case:
    """Something of the schema that the credential may read, and which is its own."""
    return Case(
        name=f"{kind.lower().replace(' ', '_')}_owner",
        level="ddl",
        code=code,
        about=about,
        objects=make,
        grant=f"ALTER {kind} {name} OWNER TO {{user}}",
        attack=attack,
        watch=watch,
    )


def default(name: str, what: str, *, scope: str = "IN SCHEMA app ", to: str = "{user}") -> Case:
    """What nobody can do yet, and the credential as soon as the owner has made something."""
    order = f"ALTER DEFAULT PRIVILEGES FOR ROLE app_owner {scope}"
    return Case(
        name=name,
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant=f"{order}GRANT {what} TO {to}",
        before=FUTURE,
        attack=ADD,
        watch="SELECT id, note FROM app.{case}",
        refused="42P01",  # the table is not there yet
        undo=(f"{order}REVOKE {what} FROM {to}", "DROP TABLE IF EXISTS app.{case}"),
    )


def in_billing(*attack: str) -> Attack:
    """The credential logs in to the other database."""

    def run(lab: Lab, session: Session) -> Any:
        name = session.run("SELECT session_user")[0][0]
        with lab.login(name, database="billing") as elsewhere:
            elsewhere.run("SET default_transaction_read_only = off")
            return [elsewhere.run(statement) for statement in attack][-1][0][0]

    return run


OBJECTS = [
    Case(
        name="schema_create",
        level="ddl",
        code="PG.SCHEMA.CREATE",
        about="app",
        objects="",
        grant="GRANT CREATE ON SCHEMA app TO {user}",
        attack="CREATE TABLE app.{case} ()",
        watch=EXISTS.format("app.{case}"),
        undo="REVOKE CREATE ON SCHEMA app FROM {user}",
    ),
    Case(
        name="schema_create_public",  # what PostgreSQL 14 gives to everybody
        level="ddl",
        code="PG.SCHEMA.CREATE",
        about="public",
        objects="",
        grant="GRANT CREATE ON SCHEMA public TO PUBLIC",
        attack="CREATE TABLE public.{case} ()",
        watch=EXISTS.format("public.{case}"),
        undo=("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "DROP TABLE IF EXISTS public.{case}"),
    ),
    Case(
        name="schema_create_pg_catalog",  # before everybody's search path
        level="ddl",
        code="PG.SCHEMA.CREATE",
        about="pg_catalog",
        objects="",
        grant="GRANT CREATE ON SCHEMA pg_catalog TO {user}",
        attack="CREATE FUNCTION pg_catalog.{case}() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        watch="SELECT to_regproc('pg_catalog.{case}')::text",
        undo="REVOKE CREATE ON SCHEMA pg_catalog FROM {user}; DROP FUNCTION IF EXISTS pg_catalog.{case}()",
    ),
    Case(
        name="schema_create_without_usage",  # to make something, USAGE is not asked for
        level="ddl",
        code="PG.SCHEMA.CREATE",
        about="hr",
        objects="",
        grant="GRANT CREATE ON SCHEMA hr TO {user}",
        attack="CREATE TABLE hr.{case} ()",
        watch=EXISTS.format("hr.{case}"),
        undo="REVOKE CREATE ON SCHEMA hr FROM {user}",
        declared={"schemas": ("app", "hr")},
    ),
    Case(
        name="schema_owner",
        level="ddl",
        code="PG.SCHEMA.OWN",
        about="schema_owner",
        objects="CREATE SCHEMA {case}",
        grant="ALTER SCHEMA {case} OWNER TO {user}",
        attack="DROP SCHEMA {case}",
        watch="SELECT to_regnamespace('{case}')::text",
        declared={"schemas": ("app", "schema_owner")},
    ),
    Case(
        name="schema_grant_option",
        level="write",
        code="PG.SCHEMA.GRANT",
        about="app",
        objects="",
        grant="GRANT USAGE ON SCHEMA app TO {user} WITH GRANT OPTION",
        attack="GRANT USAGE ON SCHEMA app TO outsider",
        watch="SELECT has_schema_privilege('outsider', 'app', 'USAGE')",
        refused="",  # a warning only: no privileges were granted
        undo="REVOKE USAGE ON SCHEMA app FROM {user} CASCADE",
    ),
    Case(
        name="database_create",
        level="ddl",
        code="PG.DATABASE.CREATE",
        about="shop",
        objects="",
        grant="GRANT CREATE ON DATABASE shop TO {user}",
        attack="CREATE SCHEMA {case}",
        watch="SELECT to_regnamespace('{case}')::text",
    ),
    Case(
        name="database_grant_option",
        level="write",
        code="PG.DATABASE.GRANT",
        about="shop",
        objects="CREATE ROLE {case}_door LOGIN",
        grant="GRANT CONNECT ON DATABASE shop TO {user} WITH GRANT OPTION",
        attack="GRANT CONNECT ON DATABASE shop TO {case}_door",
        watch="SELECT has_database_privilege('{case}_door', 'shop', 'CONNECT')",
        refused="",  # a warning only: no privileges were granted
    ),
    Case(
        name="other_database_owner",
        level="ddl",
        code="PG.DATABASE.OWN",
        about="billing",
        objects="",
        grant="ALTER DATABASE billing OWNER TO {user}",
        attack="ALTER DATABASE billing SET work_mem = '5MB'",
        watch="SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'billing'",
        undo=("ALTER DATABASE billing OWNER TO postgres", "ALTER DATABASE billing RESET ALL"),
    ),
    Case(
        name="other_database_table_owner",
        level="ddl",
        code="PG.ELSEWHERE.OWN",
        about="billing",
        objects=("GRANT CONNECT ON DATABASE billing TO {user}", "IN billing: CREATE TABLE public.{case} ()"),
        grant="IN billing: ALTER TABLE public.{case} OWNER TO {user}",
        attack=in_billing(
            "DROP TABLE public.other_database_table_owner",
            "SELECT to_regclass('public.other_database_table_owner') IS NULL",
        ),
        reads=True,
    ),
    Case(
        name="other_database_insert",
        level="read",  # that there are rights is seen from here, and not which
        code="PG.ELSEWHERE.GRANT",
        about="billing",
        objects="GRANT CONNECT ON DATABASE billing TO {user}",
        grant="IN billing: GRANT SELECT, INSERT ON public.invoices TO {user}",
        attack=in_billing(
            "INSERT INTO public.invoices VALUES (4711, 1)", "SELECT amount FROM public.invoices WHERE id = 4711"
        ),
        reads=1,
    ),
    Case(
        name="other_database_create",
        level="ddl",
        code="PG.DATABASE.CREATE",
        about="billing",
        objects="GRANT CONNECT ON DATABASE billing TO {user}",
        grant="GRANT CREATE ON DATABASE billing TO {user}",
        attack=in_billing("CREATE SCHEMA own", "SELECT to_regnamespace('own') IS NOT NULL"),
        reads=True,
    ),
    Case(
        name="read_write_may_create",
        level="ddl",
        code="PG.SCHEMA.CREATE",
        about="app",
        objects="GRANT INSERT, UPDATE, DELETE ON app.orders TO {user}",
        grant="GRANT CREATE ON SCHEMA app TO {user}",
        attack="CREATE TABLE app.{case} ()",
        watch=EXISTS.format("app.{case}"),
        undo="REVOKE CREATE ON SCHEMA app FROM {user}",
        declared={"access": "read-write"},
    ),
    Case(
        name="ddl_outside",
        level="ddl",
        code="PG.TABLE.OWN",
        about="ddl_outside",
        objects="CREATE SCHEMA {case}; CREATE TABLE {case}.t (); GRANT USAGE ON SCHEMA {case} TO app_owner; GRANT app_owner TO {user}",
        grant="ALTER TABLE {case}.t OWNER TO app_owner",
        attack="DROP TABLE {case}.t",
        watch=EXISTS.format("{case}.t"),
        undo="DROP SCHEMA {case} CASCADE",
        declared={"access": "ddl"},
    ),
    Case(
        name="tablespace_create",
        level="write",
        code="PG.TABLESPACE.CREATE",
        about="tablespace_create",
        objects=(
            "GRANT TEMPORARY ON DATABASE shop TO {user}",
            "SET allow_in_place_tablespaces = on",
            "CREATE TABLESPACE {case} LOCATION ''",
        ),
        grant="GRANT CREATE ON TABLESPACE {case} TO {user}",
        attack="CREATE TEMPORARY TABLE {case} (id int) TABLESPACE {case}",
        watch="SELECT count(*) FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE t.spcname = '{case}'",
    ),
    owner(
        "FUNCTION",
        "CREATE FUNCTION app.{case}() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION app.{case}()",
        "SELECT to_regproc('app.{case}')::text",
        name="app.{case}()",
        code="PG.OBJECT.OWN",
    ),
    owner(
        "TYPE",
        "CREATE TYPE app.{case} AS ENUM ('one')",
        "ALTER TYPE app.{case} RENAME VALUE 'one' TO 'two'",
        "SELECT enum_range(NULL::app.{case})::text",
        code="PG.OBJECT.OWN",
    ),
    owner(
        "DOMAIN",
        "CREATE DOMAIN app.{case} AS int",
        "ALTER DOMAIN app.{case} ADD CHECK (false)",
        "SELECT count(*) FROM pg_constraint WHERE contypid = 'app.{case}'::regtype",
        code="PG.OBJECT.OWN",
    ),
    owner(
        "STATISTICS",
        "CREATE STATISTICS app.{case} ON id, note FROM app.orders",
        "DROP STATISTICS app.{case}",
        "SELECT count(*) FROM pg_statistic_ext WHERE stxname = '{case}'",
        code="PG.OBJECT.OWN",
    ),
    owner(
        "PUBLICATION",
        "CREATE PUBLICATION {case} FOR TABLE app.orders",
        "DROP PUBLICATION {case}",
        "SELECT count(*) FROM pg_publication WHERE pubname = '{case}'",
        name="{case}",
        about="",
        code="PG.OBJECT.OWN",
    ),
    owner(
        "TEXT SEARCH CONFIGURATION",
        "CREATE TEXT SEARCH CONFIGURATION app.{case} (COPY = simple)",
        "DROP TEXT SEARCH CONFIGURATION app.{case}",
        "SELECT count(*) FROM pg_ts_config WHERE cfgname = '{case}'",
        code="PG.OBJECT.OWN",
    ),
    Case(
        name="extension_owner",
        level="ddl",
        code="PG.OBJECT.OWN",
        about="",
        objects=("CREATE SCHEMA {case}",),
        grant=(
            "GRANT CREATE ON DATABASE shop TO {user}; GRANT CREATE, USAGE ON SCHEMA {case} TO {user}",
            "SET ROLE {user}; CREATE EXTENSION unaccent SCHEMA {case}; RESET ROLE",
            "REVOKE CREATE ON DATABASE shop FROM {user}; REVOKE CREATE, USAGE ON SCHEMA {case} FROM {user}",
        ),
        attack="DROP EXTENSION unaccent",
        watch="SELECT count(*) FROM pg_extension WHERE extname = 'unaccent'",
        refused="42704",  # it is not there yet
        undo="DROP EXTENSION IF EXISTS unaccent",
    ),
    Case(
        name="large_object_owner",
        level="write",
        code="PG.LARGEOBJECT.OWN",
        about="",
        objects=LARGE.format(990011),
        grant="ALTER LARGE OBJECT 990011 OWNER TO {user}",
        attack="SELECT lo_put(990011, 0, 'changed..')",
        watch=CONTENT.format(990011),
    ),
    Case(
        name="large_object_update",
        level="write",
        code="PG.LARGEOBJECT.WRITE",
        about="",
        objects=LARGE.format(990012),
        grant="GRANT SELECT, UPDATE ON LARGE OBJECT 990012 TO {user}",
        attack="SELECT lo_put(990012, 0, 'changed..')",
        watch=CONTENT.format(990012),
    ),
    Case(
        name="large_object_select",
        level="read",
        code="PG.LARGEOBJECT.READ",
        about="",
        objects=LARGE.format(990013),
        grant="GRANT SELECT ON LARGE OBJECT 990013 TO PUBLIC",
        attack=CONTENT.format(990013),
        reads="as it was",
        undo="SELECT lo_unlink(990013)",
    ),
    Case(
        name="large_objects_of_all",  # a setting of old that takes the rights on large objects away
        level="read",
        code="PG.LARGEOBJECT.READ|PG.LARGEOBJECT.WRITE",
        about="",
        objects=LARGE.format(990014),
        grant="ALTER ROLE {user} SET lo_compat_privileges = on",
        attack=CONTENT.format(990014),
        reads="as it was",
        undo="SELECT lo_unlink(990014)",
    ),
    Case(
        name="parameter_set",
        level="write",
        code="PG.PARAMETER.SET",
        about="log_statement",
        objects="",
        grant="GRANT SET ON PARAMETER log_statement TO {user}",
        attack=("SET log_statement = 'mod'", "SHOW log_statement"),
        reads="mod",
        since=15,
    ),
    Case(
        name="parameter_triggers_off",  # no trigger and no foreign key is checked any more
        level="write",
        code="PG.PARAMETER.SET|PG.PARAMETER.LOAD",
        about="session_replication_role",
        objects="",
        grant="GRANT SET ON PARAMETER session_replication_role TO {user}",
        attack=("SET session_replication_role = replica", "SHOW session_replication_role"),
        reads="replica",
        since=15,
    ),
    Case(
        name="parameter_alter_system",
        level="admin",
        code="PG.PARAMETER.ALTER_SYSTEM",
        about="archive_command",
        objects="",
        grant="GRANT ALTER SYSTEM ON PARAMETER archive_command TO {user}",
        attack="ALTER SYSTEM SET archive_command = 'a program of mine'",
        watch="SELECT count(*) FROM pg_file_settings WHERE name = 'archive_command'",
        undo=("ALTER SYSTEM RESET archive_command", "REVOKE ALL ON PARAMETER archive_command FROM {user}"),
        since=15,
    ),
    default("default_privileges", "INSERT ON TABLES"),
    default("default_privileges_everywhere", "INSERT ON TABLES", scope=""),
    default("default_privileges_public", "INSERT ON TABLES", to="PUBLIC"),
    default("default_privileges_group", "INSERT ON TABLES", to="app_ro"),
    Case(
        name="default_privileges_maintain",
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT MAINTAIN ON TABLES TO {user}",
        before="SET ROLE app_owner; CREATE TABLE app.{case} (id int PRIMARY KEY); RESET ROLE",
        attack="REINDEX TABLE app.{case}",
        watch="SELECT relfilenode FROM pg_class WHERE oid = 'app.{case}_pkey'::regclass",
        refused="42P01",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app REVOKE MAINTAIN ON TABLES FROM {user}",
        since=17,
    ),
    Case(
        name="default_privileges_large_objects",
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT, UPDATE ON LARGE OBJECTS TO {user}",
        before="SET ROLE app_owner; SELECT lo_from_bytea(990015, 'as it was'); RESET ROLE",
        attack="SELECT lo_put(990015, 0, 'changed..')",
        watch=CONTENT.format(990015),
        refused="42704",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE SELECT, UPDATE ON LARGE OBJECTS FROM {user};"
        " SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 990015",
        since=18,
    ),
    Case(
        name="default_privileges_elsewhere",
        level="read",
        code="PG.FUTURE.READ",
        about="hr_owner",
        objects="CREATE SCHEMA {case} AUTHORIZATION hr_owner; GRANT USAGE ON SCHEMA {case} TO {user}",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner IN SCHEMA {case} GRANT SELECT ON TABLES TO {user}",
        before="SET ROLE hr_owner; CREATE TABLE {case}.plans AS SELECT 'secret'::text AS note; RESET ROLE",
        attack="SELECT note FROM {case}.plans",
        reads="secret",
        refused="42P01",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner IN SCHEMA {case} REVOKE SELECT ON TABLES FROM {user}",
    ),
    Case(
        name="default_privileges_schemas",
        level="ddl",
        code="PG.FUTURE.OWN",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT CREATE, USAGE ON SCHEMAS TO {user}",
        before="CREATE SCHEMA {case} AUTHORIZATION app_owner",
        attack="CREATE TABLE {case}.own ()",
        watch=EXISTS.format("{case}.own"),
        refused="3F000",  # the schema is not there yet
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE CREATE, USAGE ON SCHEMAS FROM {user};"
        " DROP SCHEMA IF EXISTS {case} CASCADE",
    ),
]
