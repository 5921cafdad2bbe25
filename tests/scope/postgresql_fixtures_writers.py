"""Power beyond profiles that may write: by functions that run as another role than the one whose things they may change."""

from __future__ import annotations

from postgresql_case import Case

WRITES = "GRANT INSERT, UPDATE, DELETE ON app.orders TO {user}; "
CREATES = "GRANT CREATE ON SCHEMA app TO {user}; "
RUN = (
    "CREATE FUNCTION app.{case}_run(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER"
    " AS 'BEGIN EXECUTE statement; END'; REVOKE EXECUTE ON FUNCTION app.{case}_run FROM PUBLIC;"
    " ALTER FUNCTION app.{case}_run OWNER TO "
)
THEIRS = "CREATE TABLE hr.{case} (id int); ALTER TABLE hr.{case} OWNER TO hr_owner; INSERT INTO hr.{case} VALUES (1); "
MAY_RUN = "GRANT EXECUTE ON FUNCTION app.{case}_run TO {user}"
READ_WRITE = {"access": "read-write"}


def runs(name: str, owner: str, before: str, attack: str, watch: str, access: str, code: str) -> Case:
    """A function of `owner` in the declared schema that runs any statement."""
    return Case(
        name=name,
        level="write",
        code=code,
        about=f"{name}_run",
        objects=(before, RUN + owner),
        grant=MAY_RUN,
        attack=f"SELECT app.{{case}}_run('{attack}')",
        watch=watch,
        declared={"access": access},
        undo="REVOKE ALL ON SCHEMA app FROM {user}; DROP FUNCTION app.{case}_run",
    )


REMOVE, LEFT = "DELETE FROM hr.{case}", "SELECT count(*) FROM hr.{case}"
WRITERS = [
    runs("writer_as_another_owner", "hr_owner", THEIRS + WRITES, REMOVE, LEFT, "read-write", "PG.DEFINER.CALL"),
    runs("maker_as_another_owner", "hr_owner", THEIRS + CREATES, REMOVE, LEFT, "ddl", "PG.DEFINER.CALL"),
    runs("writer_as_superuser", "postgres", THEIRS + WRITES, REMOVE, LEFT, "read-write", "PG.DEFINER.SUPERUSER"),
    runs(
        "writer_as_the_owner",  # who may do more with them than write
        "app_owner",
        WRITES + "CREATE TABLE app.{case} (id int); ALTER TABLE app.{case} OWNER TO app_owner",
        "ALTER TABLE app.{case} ADD COLUMN more int",
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.{case}'::regclass AND attnum > 0",
        "read-write",
        "PG.DEFINER.CALL",
    ),
    Case(
        name="function_that_has_found_a_table",  # nobody asks it for USAGE of the schema any more
        level="write",
        code="PG.TABLE.WRITE",
        about="hr",
        objects="CREATE TABLE hr.{case} (id int); INSERT INTO hr.{case} VALUES (1); GRANT SELECT, DELETE ON hr.{case} TO {user};"
        " CREATE FUNCTION app.{case}() RETURNS bigint BEGIN ATOMIC DELETE FROM hr.{case}; SELECT 1::bigint; END;"
        " REVOKE EXECUTE ON FUNCTION app.{case} FROM PUBLIC",
        grant="GRANT EXECUTE ON FUNCTION app.{case} TO {user}",
        attack="SELECT app.{case}()",
        watch="SELECT count(*) FROM hr.{case}",
        undo="DROP FUNCTION app.{case}; DROP TABLE hr.{case}",
    ),
]
