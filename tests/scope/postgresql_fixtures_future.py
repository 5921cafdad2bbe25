"""Power over what does not exist yet."""

from __future__ import annotations

from postgresql_case import Case

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
EXISTS = "SELECT to_regclass('{}')::text"
LARGE = "SELECT lo_from_bytea({}, 'as it was')"
CONTENT = "SELECT convert_from(lo_get({}), 'UTF8')"
FUTURE = "SET ROLE app_owner; CREATE TABLE app.{case} (id int, note text); RESET ROLE"


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


def default(name: str, what: str, *, scope: str = "IN SCHEMA app ", to: str = "{user}") -> Case:
    """What nobody can do yet, and the credential as soon as the owner has made something."""
    order = f"ALTER DEFAULT PRIVILEGES FOR ROLE app_owner {scope}"
    return Case(
        name=name,
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant=f"{order}GRANT {what} TO {to}",
        before=FUTURE,
        attack=ADD,
        watch="SELECT id, note FROM app.{case}",
        refused="42P01",  # the table is not there yet
        undo=(f"{order}REVOKE {what} FROM {to}", "DROP TABLE IF EXISTS app.{case}"),
    )


FUTURE_POWER = [
    default("default_privileges", "INSERT ON TABLES"),
    default("default_privileges_everywhere", "INSERT ON TABLES", scope=""),
    default("default_privileges_public", "INSERT ON TABLES", to="PUBLIC"),
    default("default_privileges_group", "INSERT ON TABLES", to="app_ro"),
    Case(
        name="default_privileges_maintain",
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT MAINTAIN ON TABLES TO {user}",
        before="SET ROLE app_owner; CREATE TABLE app.{case} (id int PRIMARY KEY); RESET ROLE",
        attack="REINDEX TABLE app.{case}",
        watch="SELECT relfilenode FROM pg_class WHERE oid = 'app.{case}_pkey'::regclass",
        refused="42P01",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app REVOKE MAINTAIN ON TABLES FROM {user}",
        since=17,
    ),
    Case(
        name="default_privileges_large_objects",
        level="write",
        code="PG.FUTURE.WRITE",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT, UPDATE ON LARGE OBJECTS TO {user}",
        before="SET ROLE app_owner; SELECT lo_from_bytea(990015, 'as it was'); RESET ROLE",
        attack="SELECT lo_put(990015, 0, 'changed..')",
        watch=CONTENT.format(990015),
        refused="42704",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE SELECT, UPDATE ON LARGE OBJECTS FROM {user};"
        " SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 990015",
        since=18,
    ),
    Case(
        name="default_privileges_elsewhere",
        level="read",
        code="PG.FUTURE.READ",
        about="hr_owner",
        objects="CREATE SCHEMA {case} AUTHORIZATION hr_owner; GRANT USAGE ON SCHEMA {case} TO {user}",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner IN SCHEMA {case} GRANT SELECT ON TABLES TO {user}",
        before="SET ROLE hr_owner; CREATE TABLE {case}.plans AS SELECT 'secret'::text AS note; RESET ROLE",
        attack="SELECT note FROM {case}.plans",
        reads="secret",
        refused="42P01",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner IN SCHEMA {case} REVOKE SELECT ON TABLES FROM {user}",
    ),
    Case(
        name="default_privileges_schemas",
        level="ddl",
        code="PG.FUTURE.OWN",
        about="app_owner",
        objects="",
        grant="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT CREATE, USAGE ON SCHEMAS TO {user}",
        before="CREATE SCHEMA {case} AUTHORIZATION app_owner",
        attack="CREATE TABLE {case}.own ()",
        watch=EXISTS.format("{case}.own"),
        refused="3F000",  # the schema is not there yet
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE CREATE, USAGE ON SCHEMAS FROM {user};"
        " DROP SCHEMA IF EXISTS {case} CASCADE",
    ),
]
