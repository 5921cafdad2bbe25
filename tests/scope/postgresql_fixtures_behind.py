"""Functions that run as somebody else, in a schema that the caller may not use: called by what has found them already."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table
from postgresql_fixtures_definers import writer

DEFINER = "PG.DEFINER.CALL"
GONE = "DROP FUNCTION IF EXISTS hr.{case}_run CASCADE"
HIDDEN = writer(schema="hr", public=True)
ANSWERS_TRUE = "BEGIN INSERT INTO app.{case} VALUES (2, 'added'); RETURN true; END"
TEMPORARY = "GRANT TEMPORARY ON DATABASE shop TO {user}"
ROW_SECURITY = (
    "CREATE TABLE app.{case}_rows (id int); INSERT INTO app.{case}_rows VALUES (1);"
    " ALTER TABLE app.{case}_rows ENABLE ROW LEVEL SECURITY; "
)
READ_ROWS = "GRANT SELECT ON app.{case}_rows TO {user}"
NUMBERED = (
    "CREATE SEQUENCE app.{case}_n; ALTER SEQUENCE app.{case}_n OWNER TO app_owner; "
    # What an index may be made of may not write, but it may call what does.
    + writer("BEGIN PERFORM setval('app.{case}_n', 7); RETURN n; END", schema="hr", arguments="n int", public=True)
    + "ALTER FUNCTION hr.{case}_run IMMUTABLE; CREATE TABLE app.{case} (id int, j int); GRANT SELECT ON app.{case} TO app_ro; "
)
NUMBER = "SELECT last_value FROM app.{case}_n"


def behind(name: str, objects: str, grant: str, attack: str | tuple[str, ...], **more: object) -> Case:
    """A case of a hidden function that adds to app.{case}, and of what calls it."""
    fields: dict[str, object] = {
        "name": name,
        "level": "write",
        "code": DEFINER,
        "about": name,
        "objects": (table(), objects),
        "grant": grant,
        "attack": attack,
        "watch": ROWS,
        "undo": ("DROP TABLE IF EXISTS app.{case}_rows", GONE),
    }
    return Case(**{**fields, **more})  # type: ignore[arg-type]


def copied(name: str, rest: str, including: str, fill: str = "INSERT INTO mine VALUES (1)") -> Case:
    """A case of something of a table that may be read, which CREATE TEMPORARY TABLE … (LIKE …) copies."""
    attack = (f"CREATE TEMPORARY TABLE mine (LIKE app.{{case}} INCLUDING {including})", *fill.split("; "))
    return behind(name, "", TEMPORARY, attack)._replace(objects=NUMBERED + rest, watch=NUMBER)


BEHIND = [
    behind(
        "definer_behind_policy",
        ROW_SECURITY
        + writer(ANSWERS_TRUE, schema="hr", arguments="n int", returns="bool", public=True)
        + "CREATE POLICY p ON app.{case}_rows USING (hr.{case}_run(id))",
        READ_ROWS,
        "SELECT id FROM app.{case}_rows",
    ),
    behind(
        "definer_behind_policy_subquery",
        ROW_SECURITY
        + writer(ANSWERS_TRUE, schema="hr", arguments="n int", returns="bool", public=True)
        + "CREATE POLICY p ON app.{case}_rows FOR SELECT USING (EXISTS (SELECT WHERE hr.{case}_run(id)))",
        READ_ROWS,
        "SELECT id FROM app.{case}_rows",
    ),
    behind(
        "definer_behind_policy_operator",
        ROW_SECURITY
        + writer(ANSWERS_TRUE, schema="hr", arguments="n int", returns="bool", public=True)
        + "CREATE OPERATOR hr.@#@ (FUNCTION = hr.{case}_run, RIGHTARG = int);"
        " CREATE POLICY p ON app.{case}_rows USING (OPERATOR(hr.@#@) id)",
        READ_ROWS,
        "SELECT id FROM app.{case}_rows",
    ),
    behind(
        "definer_behind_view_operator",
        writer(
            "BEGIN INSERT INTO app.{case} VALUES (n, 'added'); RETURN n; END",
            schema="hr",
            arguments="n int",
            public=True,
        )
        + "CREATE OPERATOR hr.@##@ (FUNCTION = hr.{case}_run, RIGHTARG = int);"
        " CREATE VIEW app.{case}_view AS SELECT OPERATOR(hr.@##@) 2 AS n",
        "GRANT SELECT ON app.{case}_view TO {user}",
        "SELECT n FROM app.{case}_view",
    ),
    behind(
        "definer_behind_view_aggregate",
        writer(
            "BEGIN INSERT INTO app.{case} VALUES (n, 'added'); RETURN n; END",
            schema="hr",
            arguments="n int",
            public=True,
        )
        + "CREATE AGGREGATE hr.{case}_sum (int) (SFUNC = int4pl, STYPE = int, INITCOND = '2', FINALFUNC = hr.{case}_run);"
        " CREATE VIEW app.{case}_view AS SELECT hr.{case}_sum(n) AS n FROM generate_series(1, 3) AS n",
        "GRANT SELECT ON app.{case}_view TO {user}",
        "SELECT n FROM app.{case}_view",
    ),
    behind(
        "definer_behind_view_function",  # which runs as its caller, but has found the other one as well
        HIDDEN + "CREATE FUNCTION hr.{case}_call() RETURNS int BEGIN ATOMIC SELECT hr.{case}_run(); END;"
        " CREATE VIEW app.{case}_view AS SELECT hr.{case}_call() AS n",
        "GRANT SELECT ON app.{case}_view TO {user}",
        "SELECT n FROM app.{case}_view",
    ),
    behind(
        "definer_behind_function",
        HIDDEN + "CREATE FUNCTION app.{case}_call() RETURNS int BEGIN ATOMIC SELECT hr.{case}_run(); END;"
        " REVOKE EXECUTE ON FUNCTION app.{case}_call FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION app.{case}_call TO {user}",
        "SELECT app.{case}_call()",
    ),
    behind(
        "definer_behind_procedure",
        HIDDEN + "CREATE PROCEDURE app.{case}_call() BEGIN ATOMIC SELECT hr.{case}_run(); END;"
        " REVOKE EXECUTE ON PROCEDURE app.{case}_call FROM PUBLIC",
        "GRANT EXECUTE ON PROCEDURE app.{case}_call TO {user}",
        "CALL app.{case}_call()",
    ),
    behind(
        "definer_behind_argument",
        HIDDEN
        + "CREATE FUNCTION app.{case}_call(n int DEFAULT hr.{case}_run()) RETURNS int LANGUAGE sql AS 'SELECT n';"
        " REVOKE EXECUTE ON FUNCTION app.{case}_call FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION app.{case}_call TO {user}",
        "SELECT app.{case}_call()",
    ),
    behind(
        "definer_behind_argument_type",
        writer(
            "BEGIN INSERT INTO app.{case} VALUES (n, 'added'); RETURN n; END",
            schema="hr",
            arguments="n int",
            public=True,
        )
        + "CREATE DOMAIN hr.{case}_number AS int CHECK (hr.{case}_run(VALUE) > 0);"
        " CREATE FUNCTION app.{case}_call(n hr.{case}_number) RETURNS int LANGUAGE sql AS 'SELECT n';"
        " REVOKE EXECUTE ON FUNCTION app.{case}_call FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION app.{case}_call TO {user}",
        "SELECT app.{case}_call('2')",
    ),
    behind(
        "definer_behind_domain_default",
        HIDDEN + "CREATE DOMAIN app.{case}_number AS int DEFAULT hr.{case}_run()",
        TEMPORARY,
        ("CREATE TEMPORARY TABLE mine (id int, n app.{case}_number)", "INSERT INTO mine VALUES (1)"),
    ),
    behind(
        "definer_behind_sorting",  # by what the order of a type is made of
        "CREATE TYPE hr.{case}_pair AS (i int); "
        + writer(
            "BEGIN INSERT INTO app.{case} VALUES (2, 'added') ON CONFLICT DO NOTHING; RETURN 1; END",
            schema="hr",
            arguments="a hr.{case}_pair, b hr.{case}_pair",
            public=True,
        )
        + "CREATE FUNCTION hr.{case}_is(a hr.{case}_pair, b hr.{case}_pair) RETURNS bool LANGUAGE sql AS 'SELECT a.i < b.i';"
        " CREATE OPERATOR hr.<# (FUNCTION = hr.{case}_is, LEFTARG = hr.{case}_pair, RIGHTARG = hr.{case}_pair);"
        " CREATE OPERATOR hr.=# (FUNCTION = hr.{case}_is, LEFTARG = hr.{case}_pair, RIGHTARG = hr.{case}_pair);"
        " CREATE OPERATOR CLASS hr.{case}_order DEFAULT FOR TYPE hr.{case}_pair USING btree AS OPERATOR 1 hr.<#, OPERATOR 3 hr.=#,"
        " FUNCTION 1 hr.{case}_run(hr.{case}_pair, hr.{case}_pair); CREATE TABLE app.{case}_rows (pair hr.{case}_pair);"
        " INSERT INTO app.{case}_rows VALUES (ROW(1)), (ROW(2))",
        READ_ROWS,
        "SELECT pair FROM app.{case}_rows ORDER BY pair",
    ),
    behind(
        "definer_behind_event_trigger",  # which all DDL sets off, on a temporary table as well
        writer(ANSWERS_TRUE.replace("RETURN true; ", ""), schema="hr", returns="event_trigger")
        + "CREATE EVENT TRIGGER {case} ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION hr.{case}_run()",
        TEMPORARY,
        "CREATE TEMPORARY TABLE mine (id int)",
        undo="DROP EVENT TRIGGER {case}; DROP FUNCTION hr.{case}_run",
    ),
    copied("definer_copied_index", "CREATE INDEX ON app.{case} (hr.{case}_run(id))", "INDEXES"),
    copied("definer_copied_condition", "CREATE INDEX ON app.{case} (id) WHERE hr.{case}_run(id) > 0", "INDEXES"),
    copied(
        "definer_copied_generated",
        "ALTER TABLE app.{case} ADD COLUMN k int GENERATED ALWAYS AS (hr.{case}_run(id)) STORED",
        "GENERATED",
    ),
    copied(
        "definer_copied_statistics",
        "CREATE STATISTICS app.{case}_statistics ON (hr.{case}_run(id)), j FROM app.{case}",
        "STATISTICS",
        "INSERT INTO mine SELECT n, n FROM generate_series(1, 50) AS n; ANALYZE mine",
    ),
]
