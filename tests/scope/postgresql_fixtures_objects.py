"""Power over whatever else can be owned, large objects, and settings of the server."""

from __future__ import annotations

from postgresql_case import Case

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
EXISTS = "SELECT to_regclass('{}')::text"
LARGE = "SELECT lo_from_bytea({}, 'as it was')"
CONTENT = "SELECT convert_from(lo_get({}), 'UTF8')"


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


OBJECTS = [
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
]
