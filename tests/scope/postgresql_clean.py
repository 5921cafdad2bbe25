"""Credentials that can do what their profile declares: nothing may be found in them that it does not."""

from __future__ import annotations

from postgresql_case import Clean, table
from postgresql_fixtures_names import NAMES, quoted

from stepcreds.setup import postgresql

COUNT = "SELECT count(*) FROM app.{case}"
PLAIN = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'", 'GRANT CONNECT ON DATABASE shop TO "{{name}}"']
ENTER = "GRANT USAGE ON SCHEMA app TO {user}; "
EXTENSIONS = [
    "pg_trgm",
    "pgcrypto",
    "hstore",
    "citext",
    "uuid-ossp",
    "pg_stat_statements",
    "postgres_fdw",
    "file_fdw",
    "lo",
    "btree_gist",
]
INSTALL = "".join(f'CREATE EXTENSION "{name}" SCHEMA {{schema}}; ' for name in EXTENSIONS)
REMOVE = "".join(f'DROP EXTENSION IF EXISTS "{name}" CASCADE; ' for name in EXTENSIONS)
TRIGGER = "LANGUAGE plpgsql SECURITY DEFINER AS $body$ BEGIN UPDATE app.orders SET note = 'x'; RETURN NEW; END $body$; "
SERVER = (
    "CREATE SCHEMA {case}; CREATE EXTENSION postgres_fdw SCHEMA {case};"
    " CREATE SERVER {case} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'shop');"
    " CREATE USER MAPPING FOR PUBLIC SERVER {case} OPTIONS (user '{case}_remote', password '{password}'); "
)
NO_SERVER = "DROP EXTENSION IF EXISTS postgres_fdw CASCADE"


def view(name: str, query: str) -> Clean:
    """A view that shows what everybody may see anyway."""
    return Clean(
        name=name, setup=f"CREATE VIEW app.{{case}} AS {query}; GRANT SELECT ON app.{{case}} TO {{user}}", can=COUNT
    )


CLEAN = [
    Clean(name="read_only_group", setup=""),
    Clean(name="direct_grants", creation=PLAIN, setup=ENTER + "GRANT SELECT ON app.orders, app.customers TO {user}"),
    Clean(
        name="partitioned_table",
        setup="CREATE TABLE app.{case} (id int) PARTITION BY LIST (id); CREATE TABLE app.{case}_1 PARTITION OF app.{case}"
        " FOR VALUES IN (1); GRANT SELECT ON app.{case}, app.{case}_1 TO {user}",
        can=COUNT,
    ),
    Clean(
        name="read_through_a_view",
        setup="CREATE VIEW app.{case} AS SELECT id, person FROM hr.salaries; ALTER VIEW app.{case} OWNER TO hr_owner;"
        " GRANT SELECT ON app.{case} TO {user}",
        can=COUNT,
    ),
    Clean(
        name="materialized_view",
        setup="CREATE MATERIALIZED VIEW app.{case} AS SELECT 1 AS id; GRANT SELECT ON app.{case} TO {user}",
        can=COUNT,
    ),
    Clean(
        name="read_of_a_foreign_table",
        setup=SERVER + "CREATE ROLE {case}_remote LOGIN PASSWORD '{password}'; GRANT app_ro TO {case}_remote;"
        " CREATE FOREIGN TABLE app.{case} (id int) SERVER {case} OPTIONS (schema_name 'app', table_name 'orders');"
        " GRANT SELECT ON app.{case} TO {user}",
        can=COUNT,
        undo=NO_SERVER,
    ),
    Clean(name="mapping_without_usage", setup=SERVER, undo=NO_SERVER),
    Clean(
        name="columns",
        creation=PLAIN,
        setup=ENTER + "GRANT SELECT (id, note) ON app.orders TO {user}",
        can="SELECT max(id), max(note) FROM app.orders",
    ),
    Clean(
        name="columns_declared",
        creation=PLAIN,
        setup=ENTER + "GRANT SELECT (id) ON app.customers TO {user}",
        can="SELECT max(id) FROM app.customers",
        declared={"columns": ("app.customers.id",)},
    ),
    Clean(
        name="table_declared",
        creation=PLAIN,
        setup=ENTER + "GRANT SELECT ON app.orders TO {user}",
        declared={"tables": ("app.orders",)},
    ),
    Clean(
        name="row_security",
        setup=table("ALTER TABLE app.{case} ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON app.{case} USING (id = 1)"),
        can=COUNT,
    ),
    Clean(
        name="sequence_select",
        setup="GRANT SELECT ON SEQUENCE app.numbers TO {user}",
        can="SELECT last_value FROM app.numbers",
    ),
    Clean(name="temporary", setup="GRANT TEMPORARY ON DATABASE shop TO {user}", can="SELECT 1"),
    Clean(
        name="definer_without_schema",
        setup="CREATE FUNCTION hr.{case}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM hr.salaries RETURNING 1'",
    ),
    Clean(
        name="definer_used_out_of_reach",  # by tables, views and rules of the other schema, though it may make tables
        setup="CREATE FUNCTION hr.{case}(n int) RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT n';"
        " CREATE TABLE hr.{case} (id int DEFAULT hr.{case}(1) CHECK (hr.{case}(id) > 0)); CREATE INDEX ON hr.{case} (hr.{case}(id));"
        " ALTER TABLE hr.{case} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON hr.{case} USING (hr.{case}(id) > 0);"
        " CREATE VIEW hr.{case}_view AS SELECT hr.{case}(id) AS n FROM hr.{case}; GRANT SELECT ON hr.{case}_view TO {user};"
        " CREATE TABLE app.{case} (id int); ALTER TABLE app.{case} OWNER TO app_owner; GRANT SELECT ON app.{case} TO {user};"
        " CREATE RULE r AS ON INSERT TO app.{case} DO ALSO SELECT hr.{case}(1); GRANT TEMPORARY ON DATABASE shop TO {user}",
        can=COUNT,
        undo="DROP FUNCTION hr.{case} CASCADE",
    ),
    Clean(
        name="definer_not_executable",
        setup="CREATE FUNCTION app.{case}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM hr.salaries RETURNING 1';"
        " REVOKE EXECUTE ON FUNCTION app.{case}() FROM PUBLIC",
        undo="DROP FUNCTION app.{case}()",
    ),
    Clean(
        name="definer_trigger_without_temporary",  # nobody can call it, and there is no table of one's own to put it on
        setup=f"CREATE FUNCTION app.{{case}}_run() RETURNS trigger {TRIGGER}"
        + table("CREATE TRIGGER run BEFORE INSERT ON app.{case} FOR EACH ROW EXECUTE FUNCTION app.{case}_run()"),
        can=COUNT,
        undo="DROP FUNCTION IF EXISTS app.{case}_run CASCADE",
    ),
    Clean(
        name="invoker_function",
        setup="CREATE FUNCTION app.{case}() RETURNS int LANGUAGE sql AS 'DELETE FROM app.orders RETURNING 1'",
        undo="DROP FUNCTION app.{case}()",
    ),
    Clean(
        name="aggregate",
        setup="CREATE AGGREGATE app.{case} (int) (SFUNC = int4pl, STYPE = int)",
        can="SELECT app.{case}(n) FROM generate_series(1, 3) n",
        undo="DROP AGGREGATE app.{case} (int)",
    ),
    Clean(
        name="extensions",
        setup=INSTALL.replace("{schema}", "public"),
        can="SELECT public.similarity('a', 'b'), public.uuid_generate_v4(), public.gen_salt('bf'), 'A'::public.citext",
        undo=REMOVE,
    ),
    Clean(
        name="extensions_in_the_schema",
        setup=INSTALL.replace("{schema}", "app"),
        can="SELECT app.similarity('a', 'b')",
        undo=REMOVE,
    ),
    Clean(
        name="dblink_closed",
        setup="CREATE SCHEMA {case}; CREATE EXTENSION dblink SCHEMA {case}; GRANT USAGE ON SCHEMA {case} TO {user};"
        " REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {case} FROM PUBLIC",
        undo="DROP EXTENSION IF EXISTS dblink",
    ),
    Clean(
        name="powerful_neighbours",
        setup="CREATE ROLE {case}_1 SUPERUSER; CREATE ROLE {case}_2 CREATEROLE CREATEDB REPLICATION BYPASSRLS;"
        " GRANT pg_read_all_data, pg_write_all_data, pg_signal_backend TO {case}_2; GRANT app_owner TO {case}_2 WITH ADMIN OPTION;"
        " CREATE SCHEMA {case} AUTHORIZATION {case}_2; CREATE TABLE {case}.t (); GRANT ALL ON {case}.t TO {case}_2",
    ),
    Clean(name="others_may_become_it", setup="CREATE ROLE {case}_1 LOGIN; GRANT {user} TO {case}_1 WITH ADMIN OPTION"),
    Clean(
        name="empty_group",
        setup="CREATE ROLE {case}_1; CREATE ROLE {case}_2; GRANT {case}_1 TO {case}_2; GRANT {case}_2 TO {user}",
    ),
    Clean(
        name="future_reads",
        setup="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO {user};"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON SEQUENCES TO {user}",
    ),
    Clean(
        name="future_functions",
        setup="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT EXECUTE ON FUNCTIONS TO {user};"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT USAGE ON TYPES TO {user}",
    ),
    Clean(
        name="functions_of_the_schema",
        setup="GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO {user}",
        can="SELECT app.total()",
    ),
    Clean(
        name="new_database",  # what PostgreSQL 15 and later give to everybody in a database that nobody hardened
        setup="GRANT CONNECT, TEMPORARY ON DATABASE shop, billing TO PUBLIC; GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC",
        undo="REVOKE CONNECT, TEMPORARY ON DATABASE shop, billing FROM PUBLIC;"
        " REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC",
    ),
    Clean(
        name="parameter_of_everybody",
        setup="GRANT SET ON PARAMETER work_mem TO {user}",
        can="SET work_mem = '5MB'",
        since=15,
    ),
    Clean(name="latent_grants", setup="GRANT SELECT, INSERT, DELETE ON hr.salaries TO {user}"),
    Clean(
        name="large_object_of_others", setup="SELECT lo_from_bytea(990031, 'theirs')", undo="SELECT lo_unlink(990031)"
    ),
    view("view_of_pg_roles", "SELECT rolname, rolcanlogin FROM pg_catalog.pg_roles"),
    view("view_of_role_names", "SELECT rolname FROM pg_catalog.pg_authid WHERE rolcanlogin"),
    view("view_of_pg_stats", "SELECT tablename, n_distinct FROM pg_catalog.pg_stats"),
    view(
        "view_of_information_schema", "SELECT grantee::text, table_name::text FROM information_schema.table_privileges"
    ),
    Clean(
        name="hostile_schema",
        setup=f"CREATE SCHEMA {quoted(NAMES['quotes'])}; GRANT USAGE ON SCHEMA {quoted(NAMES['quotes'])} TO {{user}};"
        f" CREATE TABLE {quoted(NAMES['quotes'])}.{quoted(NAMES['newline'])} ();"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(NAMES['quotes'])} TO {{user}}",
        can=f"SELECT FROM {quoted(NAMES['quotes'])}.{quoted(NAMES['newline'])}",
        undo=f"DROP SCHEMA {quoted(NAMES['quotes'])} CASCADE",
        declared={"schemas": ("app", NAMES["quotes"])},
    ),
    Clean(
        name="two_schemas",
        setup="CREATE SCHEMA {case}; CREATE TABLE {case}.t (); GRANT USAGE ON SCHEMA {case} TO {user};"
        " GRANT SELECT ON {case}.t TO {user}",
        can="SELECT FROM {case}.t",
        declared={"schemas": ("app", "two_schemas")},
    ),
    Clean(
        name="read_write",
        setup="CREATE ROLE {case}_rw; GRANT INSERT, UPDATE, DELETE ON app.orders, app.customers TO {case}_rw;"
        " GRANT USAGE ON SEQUENCE app.numbers TO {case}_rw; GRANT {case}_rw TO {user};"
        " ALTER ROLE {user} SET default_transaction_read_only = off;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT INSERT ON TABLES TO {case}_rw",
        can="UPDATE app.orders SET note = note WHERE id = 1",
        declared={"access": "read-write"},
    ),
    Clean(
        name="ddl",
        creation=postgresql.ddl_creation("app_owner", "shop"),
        setup="CREATE FUNCTION app.{case}_own() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
        " ALTER FUNCTION app.{case}_own() OWNER TO app_owner",
        undo="DROP FUNCTION app.{case}_own()",
        can="CREATE TABLE app.{case} (); DROP TABLE app.{case}",
        declared={"access": "ddl"},
    ),
]
