"""Credentials that can do no more than declared, in databases full of functions, triggers, policies and extensions."""

from __future__ import annotations

from postgresql_case import Clean, table

COUNT = "SELECT count(*) FROM app.{case}"
WIDESPREAD = [
    "tablefunc", "intarray", "ltree", "cube", "earthdistance", "unaccent", "fuzzystrmatch", "tcn", "pg_buffercache",
    "pgstattuple", "pg_visibility", "amcheck", "pgrowlocks", "pg_prewarm", "pageinspect", "bloom", "isn", "seg",
    "tsm_system_rows", "sslinfo", "insert_username", "moddatetime", "autoinc", "refint", "dict_int", "dict_xsyn",
    "btree_gin", "pg_freespacemap", "xml2", "pg_surgery",
]  # fmt: skip

CODE_IN_PLACE = [
    # What logging in sets off is no power of whoever logs in: everybody does that, and nothing else comes of it.
    Clean(
        name="event_trigger_at_login",
        setup="CREATE FUNCTION app.{case}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM 1; END';"
        " CREATE EVENT TRIGGER {case} ON login EXECUTE FUNCTION app.{case}(); GRANT TEMPORARY ON DATABASE shop TO {user}",
        undo="DROP EVENT TRIGGER {case}; DROP FUNCTION app.{case}",
        since=17,
    ),
    Clean(
        name="event_trigger_of_an_extension",  # as those that keep an audit are
        setup="CREATE EXTENSION tcn SCHEMA public; CREATE FUNCTION hr.{case}() RETURNS event_trigger LANGUAGE plpgsql"
        " SECURITY DEFINER AS 'BEGIN END'; ALTER EXTENSION tcn ADD FUNCTION hr.{case};"
        " CREATE EVENT TRIGGER {case} ON ddl_command_end EXECUTE FUNCTION hr.{case}(); GRANT TEMPORARY ON DATABASE shop TO {user}",
        undo="DROP EVENT TRIGGER {case}; DROP EXTENSION tcn",
    ),
    Clean(
        name="event_trigger_disabled",
        setup="CREATE FUNCTION hr.{case}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END';"
        " CREATE EVENT TRIGGER {case} ON ddl_command_end EXECUTE FUNCTION hr.{case}(); ALTER EVENT TRIGGER {case} DISABLE;"
        " GRANT TEMPORARY ON DATABASE shop TO {user}",
        undo="DROP EVENT TRIGGER {case}; DROP FUNCTION hr.{case}",
    ),
    Clean(
        name="event_trigger_of_invoker",
        setup="CREATE FUNCTION hr.{case}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER {case} ON ddl_command_end EXECUTE FUNCTION hr.{case}()",
        undo="DROP EVENT TRIGGER {case}; DROP FUNCTION hr.{case}",
    ),
    Clean(
        name="trigger_of_definer_elsewhere",
        setup="CREATE FUNCTION hr.{case}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END';"
        " GRANT TEMPORARY ON DATABASE shop TO {user}; "
        + table("CREATE TRIGGER run BEFORE UPDATE ON app.{case} FOR EACH ROW EXECUTE FUNCTION hr.{case}()"),
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="policy_of_invoker",
        setup="CREATE FUNCTION hr.{case}() RETURNS int LANGUAGE sql STABLE AS $$SELECT nullif(current_setting('app.who', true), '')::int$$; "
        + table(
            "ALTER TABLE app.{case} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.{case} USING (id = hr.{case}())"
        ),
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="policy_of_others",  # of another role, of a table without row security, and of writing
        setup="CREATE FUNCTION hr.{case}(n int) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT true'; "
        + table("CREATE POLICY unused ON app.{case} USING (hr.{case}(id)); ")
        + "CREATE TABLE app.{case}_2 (id int); ALTER TABLE app.{case}_2 ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY theirs ON app.{case}_2 TO hr_owner USING (hr.{case}(id));"
        " CREATE POLICY writing ON app.{case}_2 FOR INSERT WITH CHECK (hr.{case}(id)); GRANT SELECT ON app.{case}_2 TO app_ro",
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="policy_behind_view",  # which asks the policy as its owner, and him it leaves alone
        setup="CREATE FUNCTION hr.{case}(n int) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT true';"
        " CREATE TABLE app.{case}_1 (id int); ALTER TABLE app.{case}_1 ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY p ON app.{case}_1 USING (hr.{case}(id)); CREATE VIEW app.{case} AS SELECT * FROM app.{case}_1;"
        " GRANT SELECT ON app.{case} TO {user}",
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="index_of_definer",  # without a table of one's own to copy it to
        setup="CREATE FUNCTION hr.{case}(n int) RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT n'; "
        + table("CREATE INDEX ON app.{case} (hr.{case}(id)); ALTER TABLE app.{case} ADD CHECK (hr.{case}(id) > 0)"),
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="function_behind_closed_function",
        setup="CREATE FUNCTION hr.{case}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
        " CREATE FUNCTION app.{case}() RETURNS int BEGIN ATOMIC SELECT hr.{case}(); END;"
        " REVOKE EXECUTE ON FUNCTION app.{case}() FROM PUBLIC;"
        " CREATE FUNCTION hr.{case}_2() RETURNS int BEGIN ATOMIC SELECT hr.{case}(); END",
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="function_that_has_found_a_table_of_others",  # which it may not read
        setup="CREATE FUNCTION app.{case}() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM hr.salaries; END",
        undo="DROP FUNCTION app.{case}",
    ),
    Clean(
        name="cast_of_invoker",
        setup="CREATE TYPE app.{case} AS (a int);"
        " CREATE FUNCTION app.{case}_as(app.{case}) RETURNS int LANGUAGE sql AS 'SELECT $1.a';"
        " CREATE CAST (app.{case} AS int) WITH FUNCTION app.{case}_as(app.{case})",
        undo="DROP TYPE app.{case} CASCADE",
    ),
    Clean(
        name="procedure_of_invoker",
        setup="CREATE PROCEDURE app.{case}() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'",
        can="CALL app.{case}()",
        undo="DROP PROCEDURE app.{case}",
    ),
    Clean(
        name="domain_with_a_check",
        setup="CREATE DOMAIN app.{case}_mail AS text CHECK (VALUE ~ '@'); CREATE TABLE app.{case} (mail app.{case}_mail);"
        " GRANT SELECT ON app.{case} TO app_ro",
        can=COUNT,
        undo="DROP TABLE app.{case}; DROP DOMAIN app.{case}_mail",
    ),
    Clean(
        name="widespread_extensions",
        setup="".join(f"CREATE EXTENSION {name} SCHEMA public; " for name in WIDESPREAD),
        undo="".join(f"DROP EXTENSION IF EXISTS {name} CASCADE; " for name in WIDESPREAD),
    ),
    Clean(
        name="extension_walinspect",
        setup="CREATE EXTENSION pg_walinspect",
        undo="DROP EXTENSION pg_walinspect",
        since=15,
    ),
]
