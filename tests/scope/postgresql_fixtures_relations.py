"""Power over relations of every kind, their columns, and sequences."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
CHANGE = "UPDATE app.{case} SET note = 'changed'"
PLAYGROUND = "CREATE SCHEMA {case} AUTHORIZATION {user}; "  # where the credential may create what it likes
BOUND = "SELECT count(*) FROM pg_constraint WHERE confrelid = 'app.{case}'::regclass"
PARTITIONED = (
    "CREATE TABLE app.{case} (id int, note text) PARTITION BY LIST (id);"
    " CREATE TABLE app.{case}_2 PARTITION OF app.{case} FOR VALUES IN (2);"
    " ALTER TABLE app.{case} OWNER TO app_owner; ALTER TABLE app.{case}_2 OWNER TO app_owner;"
    " GRANT SELECT ON app.{case}, app.{case}_2 TO app_ro"
)
# A table of another team, and in the schema that the credential may read a view of it.
BEHIND = (
    "CREATE TABLE hr.{case} (id int, note text); INSERT INTO hr.{case} VALUES (1, 'as it was');"
    " ALTER TABLE hr.{case} OWNER TO hr_owner; CREATE VIEW app.{case} AS SELECT * FROM hr.{case};"
    " ALTER VIEW app.{case} OWNER TO hr_owner; GRANT SELECT ON app.{case} TO app_ro"
)
ROWS_BEHIND = "SELECT id, note FROM hr.{case} ORDER BY id"
REMOTE = (
    "CREATE SCHEMA {case}; CREATE EXTENSION postgres_fdw SCHEMA {case};"
    " CREATE ROLE {case}_remote LOGIN PASSWORD '{password}'; GRANT CONNECT ON DATABASE shop TO {case}_remote;"
    " GRANT USAGE ON SCHEMA hr TO {case}_remote; CREATE TABLE hr.{case} (id int, note text);"
    " INSERT INTO hr.{case} VALUES (1, 'as it was'); GRANT ALL ON hr.{case} TO {case}_remote;"
    " CREATE SERVER {case} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'shop');"
    " CREATE USER MAPPING FOR PUBLIC SERVER {case} OPTIONS (user '{case}_remote', password '{password}');"
    " CREATE FOREIGN TABLE app.{case} (id int, note text) SERVER {case} OPTIONS (schema_name 'hr', table_name '{case}');"
    " GRANT SELECT ON app.{case} TO app_ro"
)
SEQUENCE = (
    "CREATE SEQUENCE app.{case}; ALTER SEQUENCE app.{case} OWNER TO app_owner; GRANT SELECT ON app.{case} TO app_ro"
)
HIDDEN_SEQUENCE = "CREATE SEQUENCE hr.{case}; ALTER SEQUENCE hr.{case} OWNER TO hr_owner"


def privilege(name: str, attack: str) -> Case:
    return Case(
        name=f"table_{name.lower()}",
        level="write",
        code="PG.TABLE.WRITE",
        about=name,
        objects=table(),
        grant=f"GRANT {name} ON app.{{case}} TO {{user}}",
        attack=attack,
        watch=ROWS,
    )


RELATIONS = [
    privilege("INSERT", ADD),
    privilege("UPDATE", CHANGE),
    privilege("DELETE", "DELETE FROM app.{case}"),
    privilege("TRUNCATE", "TRUNCATE app.{case}"),
    Case(
        name="table_references",  # rows that are referred to cannot be deleted
        level="write",
        code="PG.TABLE.REFERENCES",
        about="refer",
        objects=table(PLAYGROUND),
        grant="GRANT REFERENCES ON app.{case} TO {user}",
        attack="CREATE TABLE {case}.hold (id int REFERENCES app.{case})",
        watch=BOUND,
        harmless=False,
    ),
    Case(
        name="table_trigger",
        level="ddl",
        code="PG.TABLE.TRIGGER",
        about="trigger",
        objects=table(),
        grant="GRANT TRIGGER ON app.{case} TO {user}",
        attack="CREATE TRIGGER own BEFORE UPDATE ON app.{case} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        watch="SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.{case}'::regclass",
    ),
    Case(
        name="table_maintain",
        level="write",
        code="PG.TABLE.MAINTAIN",
        about="MAINTAIN",
        objects=table(),
        grant="GRANT MAINTAIN ON app.{case} TO {user}",
        attack="REINDEX TABLE app.{case}",
        watch="SELECT relfilenode FROM pg_class WHERE oid = 'app.{case}_pkey'::regclass",
        since=17,
    ),
    Case(
        name="table_public",
        level="write",
        code="PG.TABLE.WRITE",
        about="PUBLIC",
        objects=table(),
        grant="GRANT UPDATE ON app.{case} TO PUBLIC",
        attack=CHANGE,
        watch=ROWS,
        undo="REVOKE UPDATE ON app.{case} FROM PUBLIC",
    ),
    Case(
        name="table_grant_option",
        level="write",
        code="PG.TABLE.GRANT",
        about="app",
        objects=table(),
        grant="GRANT SELECT ON app.{case} TO {user} WITH GRANT OPTION",
        attack="GRANT SELECT ON app.{case} TO outsider",
        watch="SELECT has_table_privilege('outsider', 'app.{case}', 'SELECT')",
        refused="",  # a warning only: no privileges were granted
    ),
    Case(
        name="table_owner",
        level="ddl",
        code="PG.TABLE.OWN",
        about="app",
        objects=table(),
        grant="ALTER TABLE app.{case} OWNER TO {user}",
        attack="DROP TABLE app.{case}",
        watch="SELECT to_regclass('app.{case}')::text",
    ),
    Case(
        name="table_owner_without_usage",  # what cannot be named can still be dropped with all else that it owns
        level="ddl",
        code="PG.TABLE.OWN",
        about="hr",
        objects="CREATE TABLE hr.{case} ()",
        grant="ALTER TABLE hr.{case} OWNER TO {user}",
        attack="DROP OWNED BY CURRENT_USER",
        watch="SELECT to_regclass('hr.{case}')::text",
        refused="",
        declared={"schemas": ("app", "hr")},
    ),
    Case(
        name="column_update",
        level="write",
        code="PG.COLUMN.WRITE",
        about="note",
        objects=table(),
        grant="GRANT UPDATE (note) ON app.{case} TO {user}",
        attack=CHANGE,
        watch=ROWS,
    ),
    Case(
        name="column_update_public",
        level="write",
        code="PG.COLUMN.WRITE",
        about="note",
        objects=table(),
        grant="GRANT UPDATE (note) ON app.{case} TO PUBLIC",
        attack=CHANGE,
        watch=ROWS,
        undo="REVOKE UPDATE (note) ON app.{case} FROM PUBLIC",
    ),
    Case(
        name="column_insert",
        level="write",
        code="PG.COLUMN.WRITE",
        about="id",
        objects=table(),
        grant="GRANT INSERT (id) ON app.{case} TO {user}",
        attack="INSERT INTO app.{case} (id) VALUES (2)",
        watch=ROWS,
    ),
    Case(
        name="column_references",
        level="write",
        code="PG.COLUMN.REFERENCES",
        about="id",
        objects=table(PLAYGROUND),
        grant="GRANT REFERENCES (id) ON app.{case} TO {user}",
        attack="CREATE TABLE {case}.hold (id int REFERENCES app.{case} (id))",
        watch=BOUND,
        harmless=False,
    ),
    Case(
        name="column_grant_option",
        level="write",
        code="PG.COLUMN.GRANT",
        about="id",
        objects=table(),
        grant="GRANT SELECT (id) ON app.{case} TO {user} WITH GRANT OPTION",
        attack="GRANT SELECT (id) ON app.{case} TO outsider",
        watch="SELECT has_column_privilege('outsider', 'app.{case}', 'id', 'SELECT')",
        refused="",  # a warning only: no privileges were granted
    ),
    Case(
        name="partitioned",  # the right is on the parent alone, and its kind is no ordinary table
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=PARTITIONED,
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=ADD,
        watch=ROWS,
    ),
    Case(
        name="partition_alone",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=PARTITIONED,
        grant="GRANT INSERT ON app.{case}_2 TO {user}",
        attack="INSERT INTO app.{case}_2 VALUES (2, 'added')",
        watch=ROWS,
    ),
    Case(
        name="view_of_another_schema",  # what is written through a view is written as its owner
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=BEHIND,
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=ADD,
        watch=ROWS_BEHIND,
    ),
    Case(
        name="view_column",
        level="write",
        code="PG.COLUMN.WRITE",
        about="note",
        objects=BEHIND,
        grant="GRANT UPDATE (note) ON app.{case} TO {user}",
        attack=CHANGE,
        watch=ROWS_BEHIND,
    ),
    Case(
        name="view_with_rule",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=(BEHIND, "CREATE RULE away AS ON DELETE TO app.{case} DO INSTEAD UPDATE hr.{case} SET note = 'gone'"),
        grant="GRANT DELETE ON app.{case} TO {user}",
        attack="DELETE FROM app.{case}",
        watch=ROWS_BEHIND,
    ),
    Case(
        name="materialized_view_owner",
        level="ddl",
        code="PG.TABLE.OWN",
        about="app",
        objects="CREATE MATERIALIZED VIEW app.{case} AS SELECT 1 AS id; GRANT SELECT ON app.{case} TO app_ro",
        grant="ALTER MATERIALIZED VIEW app.{case} OWNER TO {user}",
        attack="DROP MATERIALIZED VIEW app.{case}",
        watch="SELECT to_regclass('app.{case}')::text",
    ),
    Case(
        name="foreign_table",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=REMOTE,
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=ADD,
        watch=ROWS_BEHIND,
        undo="DROP EXTENSION IF EXISTS postgres_fdw CASCADE",
    ),
    Case(
        name="sequence_usage",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="app",
        objects=SEQUENCE,
        grant="GRANT USAGE ON SEQUENCE app.{case} TO {user}",
        attack="SELECT nextval('app.{case}')",
        watch="SELECT last_value, is_called FROM app.{case}",
    ),
    Case(
        name="sequence_update",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="app",
        objects=SEQUENCE,
        grant="GRANT UPDATE ON SEQUENCE app.{case} TO {user}",
        attack="SELECT setval('app.{case}', 1000000)",
        watch="SELECT last_value, is_called FROM app.{case}",
    ),
    Case(
        name="sequence_without_schema",  # by its number, for which nobody asks for USAGE on the schema
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="hr",
        objects=HIDDEN_SEQUENCE,
        grant="GRANT USAGE ON SEQUENCE hr.{case} TO {user}",
        attack="SELECT nextval((SELECT c.oid FROM pg_class c WHERE c.relname = '{case}')::regclass)",
        watch="SELECT last_value, is_called FROM hr.{case}",
        declared={"schemas": ("app", "hr")},
    ),
    Case(
        name="sequence_not_declared",
        level="read",
        code="PG.SEQUENCE.READ",
        about="sequence_not_declared",
        objects="CREATE SCHEMA {case}; CREATE SEQUENCE {case}.numbers START 4711; GRANT USAGE ON SCHEMA {case} TO {user}",
        grant="GRANT SELECT ON SEQUENCE {case}.numbers TO {user}",
        attack="SELECT last_value FROM {case}.numbers",
        reads=4711,
    ),
    Case(
        name="sequence_public",
        level="write",
        code="PG.SEQUENCE.WRITE",
        about="hr",
        objects=HIDDEN_SEQUENCE,
        grant="GRANT UPDATE ON SEQUENCE hr.{case} TO PUBLIC",
        attack="SELECT setval((SELECT c.oid FROM pg_class c WHERE c.relname = '{case}')::regclass, 77)",
        watch="SELECT last_value, is_called FROM hr.{case}",
        undo="REVOKE UPDATE ON SEQUENCE hr.{case} FROM PUBLIC",
    ),
    Case(
        name="sequence_grant_option",
        level="write",
        code="PG.SEQUENCE.GRANT",
        about="app",
        objects=SEQUENCE,
        grant="GRANT SELECT ON SEQUENCE app.{case} TO {user} WITH GRANT OPTION",
        attack="GRANT SELECT ON SEQUENCE app.{case} TO outsider",
        watch="SELECT has_sequence_privilege('outsider', 'app.{case}', 'SELECT')",
        refused="",  # a warning only: no privileges were granted
    ),
    Case(
        name="sequence_owner",
        level="ddl",
        code="PG.SEQUENCE.OWN",
        about="app",
        objects=SEQUENCE,
        grant="ALTER SEQUENCE app.{case} OWNER TO {user}",
        attack="DROP SEQUENCE app.{case}",
        watch="SELECT to_regclass('app.{case}')::text",
    ),
]
