"""Power that lies in code that is confined to nothing: other languages, and the server's and extensions' own functions."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

VERSION = "SELECT pg_read_file('PG_VERSION')"


def opened(name: str, function: str, attack: str, **more: object) -> Case:
    """A function of the server itself that only a superuser may run."""
    fields: dict[str, object] = {
        "name": name,
        "level": "admin",
        "code": "PG.SYSTEM.EXECUTE",
        "about": function.partition("(")[0],
        "objects": "",
        "grant": f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {{user}}",
        "attack": attack,
        "undo": f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM {{user}}",
    }
    return Case(**{**fields, **more})  # type: ignore[arg-type]


CODE = [
    Case(
        name="language_c",
        level="admin",
        code="PG.FUNCTION.UNTRUSTED",
        about="language_c_run",
        objects=(
            table("CREATE ROLE {case}_remote LOGIN PASSWORD '{password}'; GRANT ALL ON app.{case} TO {case}_remote;")
            + "GRANT CONNECT ON DATABASE shop TO {case}_remote; GRANT USAGE ON SCHEMA app TO {case}_remote",
            "CREATE FUNCTION app.{case}_run(text, text) RETURNS text LANGUAGE c AS '$libdir/dblink', 'dblink_exec';"
            " REVOKE EXECUTE ON FUNCTION app.{case}_run(text, text) FROM PUBLIC",
        ),
        grant="GRANT EXECUTE ON FUNCTION app.{case}_run(text, text) TO {user}",
        attack="SELECT app.{case}_run('host=127.0.0.1 port={port} dbname=shop user={case}_remote password={password}',"
        " 'DELETE FROM app.{case}')",
        watch=ROWS,
    ),
    Case(
        name="language_internal",  # the server's own code under another name, with what CREATE FUNCTION gives
        level="admin",
        code="PG.FUNCTION.UNTRUSTED",
        about="language_internal_run",
        objects="",
        grant="CREATE FUNCTION app.{case}_run(text) RETURNS text LANGUAGE internal STRICT AS 'pg_read_file_all'",
        attack="SELECT app.{case}_run('PG_VERSION') IS NOT NULL",
        reads=True,
        refused="42883",
        undo="DROP FUNCTION IF EXISTS app.{case}_run",
    ),
    Case(
        name="language_made_trusted",
        level="admin",
        code="PG.LANGUAGE.TRUSTED",
        about="internal",
        objects="GRANT TEMPORARY ON DATABASE shop TO {user}",
        grant="UPDATE pg_language SET lanpltrusted = true WHERE lanname = 'internal'",
        attack=(
            "CREATE FUNCTION pg_temp.run(text) RETURNS text LANGUAGE internal STRICT AS 'pg_read_file_all'",
            "SELECT pg_temp.run('PG_VERSION') IS NOT NULL",
        ),
        reads=True,
        undo="UPDATE pg_language SET lanpltrusted = false WHERE lanname = 'internal'",
    ),
    opened("pg_read_file", "pg_read_file(text)", VERSION + " IS NOT NULL", reads=True),
    opened(
        "pg_ls_dir",
        "pg_ls_dir(text)",
        "SELECT count(*) > 5 FROM pg_ls_dir('.')",
        reads=True,
        level="read",
        code="PG.SYSTEM.INSPECT",
    ),
    opened(
        "lo_export",
        "lo_export(oid, text)",
        "SELECT lo_export(990021, '{folder}/data/{case}.txt')",
        objects="SELECT lo_from_bytea(990021, 'written')",
        watch="SELECT size FROM pg_stat_file('{folder}/data/{case}.txt', true)",
        # Without a right to the large object itself there is nothing to export.
        grant="GRANT EXECUTE ON FUNCTION pg_catalog.lo_export(oid, text) TO {user}; GRANT SELECT ON LARGE OBJECT 990021 TO {user}",
    ),
    opened(
        "pg_reload_conf",
        "pg_reload_conf()",
        "SELECT pg_reload_conf()",
        reads=True,
        level="write",
        code="PG.SYSTEM.OPERATE",
    ),
    opened(
        "system_function_public",
        "pg_read_binary_file(text)",
        "SELECT pg_read_binary_file('PG_VERSION') IS NOT NULL",
        reads=True,
        grant="GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO PUBLIC",
        undo="REVOKE EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) FROM PUBLIC",
    ),
    Case(
        name="adminpack",
        level="admin",
        code="PG.EXTENSION.CALL|PG.SYSTEM.EXECUTE",
        about="pg_file_write",
        objects="CREATE EXTENSION adminpack",
        grant="GRANT EXECUTE ON FUNCTION pg_catalog.pg_file_write(text, text, boolean) TO {user}",
        attack="SELECT pg_file_write('{case}.txt', 'written', false)",
        watch="SELECT size FROM pg_stat_file('{folder}/data/{case}.txt', true)",
        undo="DROP EXTENSION IF EXISTS adminpack",
        until=16,
    ),
    Case(
        name="extension_function",
        level="read",
        code="PG.SYSTEM.INSPECT",
        about="pgstattuple",
        objects="CREATE SCHEMA {case}; GRANT USAGE ON SCHEMA {case} TO {user}; CREATE EXTENSION pgstattuple SCHEMA {case}",
        grant="GRANT EXECUTE ON FUNCTION {case}.pgstattuple(regclass) TO {user}",
        attack="SELECT tuple_count FROM {case}.pgstattuple((SELECT c.oid FROM pg_class c WHERE c.relname = 'salaries')::regclass)",
        reads=5,
        undo="DROP EXTENSION IF EXISTS pgstattuple",
    ),
]
