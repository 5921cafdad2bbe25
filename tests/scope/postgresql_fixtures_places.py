"""Power over schemas, databases and tablespaces, and over what is in others than the declared ones."""

from __future__ import annotations

from typing import Any

from postgresql_case import Attack, Case
from postgresql_majors import Lab, Session

EXISTS = "SELECT to_regclass('{}')::text"


def in_billing(*attack: str) -> Attack:
    """The credential logs in to the other database."""

    def run(lab: Lab, session: Session) -> Any:
        name = session.run("SELECT session_user")[0][0]
        with lab.login(name, database="billing") as elsewhere:
            elsewhere.run("SET default_transaction_read_only = off")
            return [elsewhere.run(statement) for statement in attack][-1][0][0]

    return run


PLACES = [
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
]
