"""Power over relations that are no ordinary tables: partitions, views, foreign tables."""

from __future__ import annotations

from postgresql_case import ROWS, Case

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
CHANGE = "UPDATE app.{case} SET note = 'changed'"
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


RELATIONS = [
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
]
