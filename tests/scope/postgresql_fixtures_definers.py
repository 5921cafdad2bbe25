"""Power that lies in functions that run as somebody else, called by name or by what stands before them."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

DEFINER = "PG.DEFINER.CALL"
ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
CALL = "SELECT app.{case}_run()"
MAY_RUN = "GRANT EXECUTE ON FUNCTION app.{case}_run() TO {user}"


def writer(
    body: str = f"BEGIN {ADD}; RETURN 1; END",
    *,
    owner: str = "app_owner",
    arguments: str = "",
    schema: str = "app",
    returns: str = "int",
    public: bool = False,
) -> str:
    """SQL: a function that writes to app.{case} as its owner."""
    name = f"{schema}.{{case}}_run({arguments})"
    return (
        f"CREATE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql SECURITY DEFINER AS $body$ {body} $body$;"
        f" ALTER FUNCTION {name} OWNER TO {owner}; "
    ) + ("" if public else f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC; ")


DEFINERS = [
    Case(
        name="definer_of_superuser",
        level="admin",
        code="PG.DEFINER.SUPERUSER",
        about="definer_of_superuser_run",
        objects=writer("BEGIN RETURN pg_read_file('PG_VERSION'); END", owner="postgres", returns="text"),
        grant=MAY_RUN,
        attack="SELECT app.{case}_run() IS NOT NULL",
        reads=True,
    ),
    Case(
        name="definer_of_owner",
        level="write",
        code=DEFINER,
        about="definer_of_owner_run",
        objects=(table(), writer()),
        grant=MAY_RUN,
        attack=CALL,
        watch=ROWS,
    ),
    Case(
        name="definer_public",  # what CREATE FUNCTION gives to everybody
        level="write",
        code=DEFINER,
        about="definer_public_run",
        objects=table(),
        grant=writer(public=True),
        attack=CALL,
        watch=ROWS,
        refused="42883",  # it is not there yet
        undo="DROP FUNCTION IF EXISTS app.{case}_run",
    ),
    Case(
        name="definer_in_pg_catalog",
        level="write",
        code=DEFINER,
        about="definer_in_pg_catalog_run",
        objects=table(),
        grant=(
            "SET allow_system_table_mods = on",
            writer(schema="pg_catalog", public=True),
            "RESET allow_system_table_mods",
        ),
        attack="SELECT {case}_run()",
        watch=ROWS,
        refused="42883",
        undo="DROP FUNCTION IF EXISTS pg_catalog.{case}_run",
    ),
    Case(
        name="definer_dynamic",
        level="write",
        code=DEFINER,
        about="definer_dynamic_run",
        objects=(table(), writer("BEGIN EXECUTE statement; RETURN 1; END", arguments="statement text")),
        grant="GRANT EXECUTE ON FUNCTION app.{case}_run(text) TO {user}",
        attack="SELECT app.{case}_run('DELETE FROM app.{case}')",
        watch=ROWS,
    ),
    Case(
        name="definer_procedure",
        level="write",
        code=DEFINER,
        about="definer_procedure_run",
        objects=table(
            "CREATE PROCEDURE app.{case}_run() LANGUAGE plpgsql SECURITY DEFINER AS $body$ BEGIN DELETE FROM app.{case}; END $body$;"
            " ALTER PROCEDURE app.{case}_run() OWNER TO app_owner; REVOKE EXECUTE ON PROCEDURE app.{case}_run() FROM PUBLIC"
        ),
        grant="GRANT EXECUTE ON PROCEDURE app.{case}_run() TO {user}",
        attack="CALL app.{case}_run()",
        watch=ROWS,
    ),
    Case(
        name="definer_of_group",
        level="write",
        code=DEFINER,
        about="definer_of_group_run",
        objects=(
            table("CREATE ROLE {case}_group; "),
            writer(),
            "GRANT EXECUTE ON FUNCTION app.{case}_run() TO {case}_group",
        ),
        grant="GRANT {case}_group TO {user}",
        attack=CALL,
        watch=ROWS,
    ),
    Case(
        name="definer_behind_view",  # the view has found the function already: nobody asks for USAGE on its schema
        level="write",
        code=DEFINER,
        about="definer_behind_view",
        objects=(
            table(),
            writer(schema="hr", public=True),
            "CREATE VIEW app.{case}_view AS SELECT hr.{case}_run() AS n",
        ),
        grant="GRANT SELECT ON app.{case}_view TO {user}",
        attack="SELECT n FROM app.{case}_view",
        watch=ROWS,
        undo="DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_behind_views",
        level="write",
        code=DEFINER,
        about="definer_behind_views",
        objects=(
            table(),
            writer(schema="hr", public=True),
            "CREATE VIEW hr.{case}_view AS SELECT hr.{case}_run() AS n; CREATE VIEW app.{case}_view AS SELECT n FROM hr.{case}_view",
        ),
        grant="GRANT SELECT ON app.{case}_view TO {user}",
        attack="SELECT n FROM app.{case}_view",
        watch=ROWS,
        undo="DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_check_with_temporary",
        level="write",
        code=DEFINER,
        about="definer_check_with_temporary",
        objects=(
            table(),
            writer(schema="hr", public=True),
            "CREATE TABLE app.{case}_log (id int CHECK (hr.{case}_run() > 0)); GRANT SELECT ON app.{case}_log TO app_ro",
        ),
        grant="GRANT TEMPORARY ON DATABASE shop TO {user}",
        attack=(
            "CREATE TEMPORARY TABLE mine (LIKE app.{case}_log INCLUDING CONSTRAINTS)",
            "INSERT INTO mine VALUES (1)",
        ),
        watch=ROWS,
        undo="DROP TABLE IF EXISTS app.{case}_log; DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_behind_operator",  # the operator has found it as well
        level="write",
        code=DEFINER,
        about="definer_behind_operator",
        objects=(
            table(),
            writer(
                "BEGIN DELETE FROM app.{case}; RETURN a + b; END", schema="hr", arguments="a int, b int", public=True
            ),
        ),
        grant="CREATE OPERATOR app.<-> (FUNCTION = hr.{case}_run, LEFTARG = int, RIGHTARG = int)",
        attack="SELECT 1 OPERATOR(app.<->) 2",
        watch=ROWS,
        refused="42883",
        undo="DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_behind_cast",
        level="write",
        code=DEFINER,
        about="definer_behind_cast",
        objects=(
            table("CREATE TYPE app.{case}_pair AS (a int, b int); "),
            writer(
                "BEGIN DELETE FROM app.{case}; RETURN 'x'; END",
                schema="hr",
                arguments="app.{case}_pair",
                returns="text",
                public=True,
            ),
        ),
        grant="CREATE CAST (app.{case}_pair AS text) WITH FUNCTION hr.{case}_run(app.{case}_pair)",
        attack="SELECT CAST(ROW(1, 2)::app.{case}_pair AS text)",
        watch=ROWS,
        refused="",
        undo="DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_behind_domain",
        level="write",
        code=DEFINER,
        about="definer_behind_domain",
        objects=(
            table(),
            writer("BEGIN DELETE FROM app.{case}; RETURN n; END", schema="hr", arguments="n int", public=True),
        ),
        grant="CREATE DOMAIN app.{case}_number AS int CHECK (hr.{case}_run(VALUE) > 0)",
        attack="SELECT 5::app.{case}_number",
        watch=ROWS,
        refused="42704",
        undo="DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="definer_behind_aggregate",  # of the aggregate's parts, only its owner is asked
        level="write",
        code="PG.DEFINER.SUPERUSER",
        about="definer_behind_aggregate",
        objects=(
            table(),
            writer(
                "BEGIN DELETE FROM app.{case}; RETURN a + b; END",
                schema="hr",
                arguments="a int, b int",
                owner="postgres",
            ),
            "CREATE AGGREGATE app.{case}_sum (int) (SFUNC = hr.{case}_run, STYPE = int, INITCOND = '0');"
            " REVOKE EXECUTE ON FUNCTION app.{case}_sum(int) FROM PUBLIC",
        ),
        grant="GRANT EXECUTE ON FUNCTION app.{case}_sum(int) TO {user}",
        attack="SELECT app.{case}_sum(n) FROM generate_series(1, 3) n",
        watch=ROWS,
    ),
    Case(
        name="definer_trigger_with_temporary",  # a trigger function cannot be called, but put on a table of one's own
        level="write",
        code=DEFINER,
        about="definer_trigger_with_temporary_run",
        objects=(table(), writer(f"BEGIN {ADD}; RETURN NEW; END", returns="trigger", public=True)),
        grant="GRANT TEMPORARY ON DATABASE shop TO {user}",
        attack=(
            "CREATE TEMPORARY TABLE mine (id int)",
            "CREATE TRIGGER run BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION app.{case}_run()",
            "INSERT INTO mine VALUES (1)",
        ),
        watch=ROWS,
        undo="DROP FUNCTION IF EXISTS app.{case}_run CASCADE",
    ),
    Case(
        name="definer_default_with_temporary",  # a default goes along with the columns of a table that may be read
        level="write",
        code=DEFINER,
        about="definer_default_with_temporary",
        objects=(
            table(),
            writer(schema="hr", public=True),
            "CREATE TABLE app.{case}_log (id int DEFAULT hr.{case}_run()); GRANT SELECT ON app.{case}_log TO app_ro",
        ),
        grant="GRANT TEMPORARY ON DATABASE shop TO {user}",
        attack=(
            "CREATE TEMPORARY TABLE mine (LIKE app.{case}_log INCLUDING DEFAULTS)",
            "INSERT INTO mine DEFAULT VALUES",
        ),
        watch=ROWS,
        undo="DROP TABLE IF EXISTS app.{case}_log; DROP FUNCTION IF EXISTS hr.{case}_run CASCADE",
    ),
    Case(
        name="function_grant_option",
        level="write",
        code="PG.FUNCTION.GRANT",
        about="total",
        objects="REVOKE EXECUTE ON FUNCTION app.total() FROM PUBLIC; GRANT EXECUTE ON FUNCTION app.total() TO {user}",
        grant="GRANT EXECUTE ON FUNCTION app.total() TO {user} WITH GRANT OPTION",
        attack="GRANT EXECUTE ON FUNCTION app.total() TO outsider",
        watch="SELECT has_function_privilege('outsider', 'app.total()', 'EXECUTE')",
        refused="",  # a warning only: no privileges were granted
        undo="REVOKE EXECUTE ON FUNCTION app.total() FROM {user} CASCADE; GRANT EXECUTE ON FUNCTION app.total() TO PUBLIC",
    ),
]
