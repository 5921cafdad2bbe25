"""Secrets, and data of other tables, that views show to those who may not read where they lie."""

from __future__ import annotations

from postgresql_case import Case

SECRET = "PG.SECRET.VIEW"
DATA = "PG.CATALOG.DATA|PG.SECRET.VIEW"
# Each column under another name: neither the view's columns nor its text say "rolpassword".
ALIASED = "SELECT a, k FROM pg_catalog.pg_authid AS x(o, a, c, d, e, f, g, h, i, j, k)"
VERIFIER = "SELECT bool_or(k LIKE 'SCRAM-SHA-256$%') FROM app.{case} WHERE a = 'postgres'"


def shown(name: str, query: str, attack: str, code: str = SECRET, kind: str = "VIEW", **more: object) -> Case:
    """A view of a superuser, made of what only a superuser reads."""
    fields: dict[str, object] = {
        "name": name,
        "level": "admin" if code == SECRET else "read",
        "code": code,
        "about": name,
        "objects": f"CREATE {kind} app.{{case}} AS {query}",
        "grant": "GRANT SELECT ON app.{case} TO {user}",
        "attack": attack,
        "reads": True,
        "undo": f"DROP {kind} app.{{case}} CASCADE",
    }
    return Case(**{**fields, **more})  # type: ignore[arg-type]


SHOWN = [
    shown("view_under_other_names", ALIASED, VERIFIER),
    shown("copy_under_other_names", ALIASED, VERIFIER, kind="MATERIALIZED VIEW"),
    shown(
        "view_of_view_under_other_names",
        "SELECT b AS a, p AS k FROM pg_catalog.pg_shadow AS x(b, c, d, e, f, g, p)",
        VERIFIER,
    ),
    shown(
        "view_of_whole_rows",
        "SELECT x AS line FROM pg_catalog.pg_authid AS x",
        "SELECT bool_or(line::text LIKE '%SCRAM-SHA-256$%') FROM app.{case}",
    ),
    shown(
        "view_of_rows_as_json",
        "SELECT to_jsonb(x) AS line FROM pg_catalog.pg_authid AS x",
        "SELECT bool_or(line::text LIKE '%SCRAM-SHA-256$%') FROM app.{case}",
    ),
    shown(
        "view_of_a_subquery",
        "SELECT t.a, t.k FROM (SELECT rolname AS a, rolpassword AS k FROM pg_catalog.pg_authid) AS t",
        VERIFIER,
    ),
    shown(
        "view_of_a_union",
        "WITH t AS (SELECT usename AS a, passwd AS k FROM pg_catalog.pg_shadow) SELECT 'x'::name AS a, 'y'::text AS k"
        " UNION ALL SELECT a, k FROM t",
        VERIFIER,
    ),
    shown(
        "view_of_pg_largeobject",
        "SELECT loid, convert_from(data, 'UTF8') AS content FROM pg_catalog.pg_largeobject WHERE loid = 990041",
        "SELECT bool_or(content = 'secret') FROM app.{case}",
        DATA,
        objects="SELECT lo_from_bytea(990041, 'secret'); CREATE VIEW app.{case} AS SELECT loid,"
        " convert_from(data, 'UTF8') AS content FROM pg_catalog.pg_largeobject WHERE loid = 990041",
        undo=("SELECT lo_unlink(990041)", "DROP VIEW app.{case}"),
    ),
    shown(
        "view_of_pg_statistic",
        "SELECT starelid::regclass::text AS name, stavalues1::text AS most FROM pg_catalog.pg_statistic",
        "SELECT bool_or(most LIKE '%person 1%') FROM app.{case} WHERE name = 'hr.salaries'",
        DATA,
        objects="ANALYZE hr.salaries; CREATE VIEW app.{case} AS SELECT starelid::regclass::text AS name,"
        " stavalues1::text AS most FROM pg_catalog.pg_statistic",
    ),
    *(
        Case(
            name=f"setting_{name}",
            level="admin",
            code="PG.SECRET.OPTION",
            about=f"app.{name}",
            objects="",
            grant=f"ALTER DATABASE shop SET \"app.{name}\" = 'in-clear'",
            attack=f"SELECT current_setting('app.{name}', true)",
            reads="in-clear",
            refused="",
            undo=f'ALTER DATABASE shop RESET "app.{name}"',
        )
        for name in ("jwt_secret", "service_role_key", "db_password", "api_token")
    ),
]
