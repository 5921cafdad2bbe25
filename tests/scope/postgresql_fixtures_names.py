"""Power over things whose names were chosen to break statements, patterns and reports."""

from __future__ import annotations

from postgresql_case import Case

LONG = "é" * 31 + "x"  # 63 bytes, as many as a name can have
NAMES = {
    "quotes": "o'r\"d\"e'rs",
    "comment": "orders; DROP TABLE app.orders --",
    "percent": "100%s %(x)s {0} :name $1 ?",
    "pattern": "_r%ers\\",
    "unicode": "auftr\u00e4ge \u2603 \U0001f512",
    "newline": "orders\n::error::",
    "long": LONG,
    "keyword": "select",
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def hostile_table(kind: str, name: str) -> Case:
    return Case(
        name=f"table_named_with_{kind}",
        level="write",
        code="PG.TABLE.WRITE",
        about=name.partition("\n")[0],
        objects=f"CREATE TABLE app.{quoted(name)} (id int); GRANT SELECT ON app.{quoted(name)} TO app_ro",
        grant=f"GRANT INSERT ON app.{quoted(name)} TO {{user}}",
        attack=f"INSERT INTO app.{quoted(name)} VALUES (1)",
        watch=f"SELECT count(*) FROM app.{quoted(name)}",
        undo=f"DROP TABLE IF EXISTS app.{quoted(name)}",
    )


def hostile_schema(kind: str, name: str) -> Case:
    return Case(
        name=f"schema_named_with_{kind}",
        level="read",
        code="PG.TABLE.READ",
        about=name,
        objects=f"CREATE SCHEMA {quoted(name)}; CREATE TABLE {quoted(name)}.plans AS SELECT 'secret'::text AS note",
        grant=f"GRANT USAGE ON SCHEMA {quoted(name)} TO {{user}}; GRANT SELECT ON {quoted(name)}.plans TO {{user}}",
        attack=f"SELECT note FROM {quoted(name)}.plans",
        reads="secret",
        undo=f"DROP SCHEMA {quoted(name)} CASCADE",
    )


def hostile_function(kind: str, name: str) -> Case:
    function = f"app.{quoted(name)}()"
    return Case(
        name=f"function_named_with_{kind}",
        level="write",
        code="PG.DEFINER.CALL",
        about=quoted(name).partition("\n")[0],
        objects=f"CREATE FUNCTION {function} RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1 FROM hr.salaries';"
        f" ALTER FUNCTION {function} OWNER TO hr_owner; REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC",
        grant=f"GRANT EXECUTE ON FUNCTION {function} TO {{user}}",
        attack=f"SELECT {function}",
        reads=1,
        undo=f"DROP FUNCTION {function}",
    )


HOSTILE = [
    *(hostile_table(kind, name) for kind, name in NAMES.items()),
    *(hostile_schema(kind, NAMES[kind]) for kind in ("quotes", "percent", "long")),
    *(hostile_function(kind, NAMES[kind]) for kind in ("quotes", "newline", "long")),
]
