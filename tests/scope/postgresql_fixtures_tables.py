"""Power over tables and their columns."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
CHANGE = "UPDATE app.{case} SET note = 'changed'"
PLAYGROUND = "CREATE SCHEMA {case} AUTHORIZATION {user}; "  # where the credential may create what it likes
BOUND = "SELECT count(*) FROM pg_constraint WHERE confrelid = 'app.{case}'::regclass"


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


TABLES = [
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
]
