"""Power to read what the profile does not declare: another schema, other tables, other columns, and secrets."""

from __future__ import annotations

from postgresql_case import Case, table

ELSEWHERE = "CREATE SCHEMA {case}; CREATE TABLE {case}.plans (id int, note text); INSERT INTO {case}.plans VALUES (1, 'secret');"
READ = "SELECT (SELECT note FROM {case}.plans)"
VERIFIER = "LIKE 'SCRAM-SHA-256$%' FROM {} WHERE {} = 'postgres'"
NOTHING_ELSE = {"schemas": ("app",), "tables": ("app.orders",)}

OUTSIDE = [
    Case(
        name="schema_not_declared",
        level="read",
        code="PG.TABLE.READ",
        about="schema_not_declared",
        objects=ELSEWHERE,
        grant="GRANT USAGE ON SCHEMA {case} TO {user}; GRANT SELECT ON {case}.plans TO {user}",
        attack=READ,
        reads="secret",
    ),
    Case(
        name="schema_not_declared_public",
        level="read",
        code="PG.TABLE.READ",
        about="schema_not_declared_public",
        objects=ELSEWHERE + "GRANT SELECT ON {case}.plans TO PUBLIC",
        grant="GRANT USAGE ON SCHEMA {case} TO PUBLIC",
        attack=READ,
        reads="secret",
        undo="REVOKE USAGE ON SCHEMA {case} FROM PUBLIC",
    ),
    Case(
        name="column_not_declared",
        level="read",
        code="PG.COLUMN.READ",
        about="column_not_declared",
        objects=ELSEWHERE + "GRANT USAGE ON SCHEMA {case} TO {user}",
        grant="GRANT SELECT (note) ON {case}.plans TO {user}",
        attack=READ,
        reads="secret",
    ),
    Case(
        name="table_not_declared",
        level="read",
        code="PG.TABLE.READ",
        about="app",
        objects=table("REVOKE SELECT ON app.{case} FROM app_ro; REVOKE app_ro FROM {user};")
        + "GRANT USAGE ON SCHEMA app TO {user}; GRANT CONNECT ON DATABASE shop TO {user}; GRANT SELECT ON app.orders TO {user}",
        grant="GRANT SELECT ON app.{case} TO {user}",
        attack="SELECT (SELECT note FROM app.{case})",
        reads="as it was",
        declared=NOTHING_ELSE,
    ),
    Case(
        name="column_beside_declared",
        level="read",
        code="PG.COLUMN.READ",
        about="customers",
        objects="REVOKE app_ro FROM {user}; GRANT USAGE ON SCHEMA app TO {user};"
        " GRANT CONNECT ON DATABASE shop TO {user}; GRANT SELECT (id) ON app.customers TO {user}",
        grant="GRANT SELECT (email) ON app.customers TO {user}",
        attack="SELECT email FROM app.customers WHERE id = 1",
        reads="1@example.com",
        declared={"columns": ("app.customers.id",)},
    ),
    Case(
        name="pg_authid",
        level="admin",
        code="PG.SECRET.READ",
        about="pg_authid",
        objects="",
        grant="GRANT SELECT ON pg_catalog.pg_authid TO {user}",
        attack="SELECT rolpassword " + VERIFIER.format("pg_catalog.pg_authid", "rolname"),
        reads=True,
        undo="REVOKE SELECT ON pg_catalog.pg_authid FROM {user}",
    ),
    Case(
        name="pg_authid_column",
        level="admin",
        code="PG.SECRET.READ",
        about="pg_authid",
        objects="",
        grant="GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO {user}",
        attack="SELECT rolpassword " + VERIFIER.format("pg_catalog.pg_authid", "rolname"),
        reads=True,
        undo="REVOKE SELECT (rolname, rolpassword) ON pg_catalog.pg_authid FROM {user}",
    ),
    Case(
        name="pg_shadow",
        level="admin",
        code="PG.SECRET.READ",
        about="pg_shadow",
        objects="",
        grant="GRANT SELECT ON pg_catalog.pg_shadow TO {user}",
        attack="SELECT passwd " + VERIFIER.format("pg_catalog.pg_shadow", "usename"),
        reads=True,
        undo="REVOKE SELECT ON pg_catalog.pg_shadow FROM {user}",
    ),
    Case(
        name="pg_subscription_column",  # how a subscription logs in
        level="admin",
        code="PG.SECRET.READ",
        about="pg_subscription",
        objects="CREATE SUBSCRIPTION {case} CONNECTION 'host=127.0.0.1 port={port} password=in-clear' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE)",
        grant="GRANT SELECT (subconninfo) ON pg_catalog.pg_subscription TO {user}",
        attack="SELECT subconninfo LIKE '%password=in-clear' FROM pg_catalog.pg_subscription",
        reads=True,
        undo=(
            "DROP SUBSCRIPTION IF EXISTS {case}",
            "REVOKE SELECT (subconninfo) ON pg_catalog.pg_subscription FROM {user}",
        ),
    ),
    Case(
        name="pg_user_mapping",
        level="admin",
        code="PG.SECRET.READ",
        about="pg_user_mapping",
        objects="CREATE SCHEMA mapped; CREATE EXTENSION postgres_fdw SCHEMA mapped;"
        " CREATE SERVER {case} FOREIGN DATA WRAPPER postgres_fdw;"
        " CREATE USER MAPPING FOR PUBLIC SERVER {case} OPTIONS (user 'u', password 'in-clear')",
        grant="GRANT SELECT ON pg_catalog.pg_user_mapping TO {user}",
        attack="SELECT bool_or('password=in-clear' = ANY (umoptions)) FROM pg_catalog.pg_user_mapping",
        reads=True,
        undo=(
            "DROP EXTENSION IF EXISTS postgres_fdw CASCADE",
            "REVOKE SELECT ON pg_catalog.pg_user_mapping FROM {user}",
        ),
    ),
    Case(
        name="pg_largeobject",  # every large object's content, whatever its own rights are
        level="read",
        code="PG.CATALOG.DATA",
        about="pg_largeobject",
        objects="SELECT lo_from_bytea(990001, 'secret')",
        grant="GRANT SELECT ON pg_catalog.pg_largeobject TO {user}",
        attack="SELECT convert_from(data, 'UTF8') FROM pg_catalog.pg_largeobject WHERE loid = 990001",
        reads="secret",
        undo=("SELECT lo_unlink(990001)", "REVOKE SELECT ON pg_catalog.pg_largeobject FROM {user}"),
    ),
    Case(
        name="pg_statistic",  # the most common values of every column
        level="read",
        code="PG.CATALOG.DATA",
        about="pg_statistic",
        objects="ANALYZE hr.salaries",
        grant="GRANT SELECT ON pg_catalog.pg_statistic TO {user}",
        attack="SELECT s.stavalues1::text LIKE '%person 1%' FROM pg_catalog.pg_statistic s JOIN pg_class c ON c.oid = s.starelid"
        " WHERE c.relname = 'salaries' AND s.staattnum = 2",
        reads=True,
        undo="REVOKE SELECT ON pg_catalog.pg_statistic FROM {user}",
    ),
    Case(
        name="pg_file_settings",
        level="read",
        code="PG.CATALOG.READ",
        about="pg_file_settings",
        objects="",
        grant="GRANT SELECT ON pg_catalog.pg_file_settings TO {user};"
        " GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO {user}",
        attack="SELECT count(*) > 0 FROM pg_catalog.pg_file_settings",
        reads=True,
        undo="REVOKE SELECT ON pg_catalog.pg_file_settings FROM {user};"
        " REVOKE EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() FROM {user}",
    ),
    Case(
        name="server_option",  # options of a server are everybody's to read, other than those of a user mapping
        level="admin",
        code="PG.SECRET.OPTION",
        about="server_option",
        objects="CREATE FOREIGN DATA WRAPPER {case}; CREATE SERVER {case} FOREIGN DATA WRAPPER {case}",
        grant="ALTER SERVER {case} OPTIONS (ADD password 'in-clear')",
        attack="SELECT 'password=in-clear' = ANY (srvoptions) FROM pg_foreign_server WHERE srvname = '{case}'",
        reads=True,
        refused="",
        undo="DROP FOREIGN DATA WRAPPER {case} CASCADE",
    ),
    Case(
        name="view_of_pg_authid",
        level="admin",
        code="PG.SECRET.VIEW",
        about="view_of_pg_authid",
        objects="CREATE VIEW app.{case} AS SELECT rolname, rolpassword FROM pg_catalog.pg_authid",
        grant="GRANT SELECT ON app.{case} TO {user}",
        attack="SELECT rolpassword " + VERIFIER.format("app.{case}", "rolname"),
        reads=True,
    ),
    Case(
        name="view_of_view_of_pg_shadow",
        level="admin",
        code="PG.SECRET.VIEW",
        about="view_of_view_of_pg_shadow",
        objects="CREATE VIEW hr.{case} AS SELECT usename, passwd FROM pg_catalog.pg_shadow;"
        " CREATE VIEW app.{case} AS SELECT * FROM hr.{case}",
        grant="GRANT SELECT ON app.{case} TO {user}",
        attack="SELECT passwd " + VERIFIER.format("app.{case}", "usename"),
        reads=True,
    ),
    Case(
        name="copy_of_pg_authid",
        level="admin",
        code="PG.SECRET.VIEW",
        about="copy_of_pg_authid",
        objects="CREATE MATERIALIZED VIEW app.{case} AS SELECT rolname, rolpassword FROM pg_catalog.pg_authid",
        grant="GRANT SELECT ON app.{case} TO {user}",
        attack="SELECT rolpassword " + VERIFIER.format("app.{case}", "rolname"),
        reads=True,
    ),
    Case(
        name="information_schema_table",  # ordinary tables, in a schema that most checks leave out
        level="write",
        code="PG.CATALOG.WRITE",
        about="information_schema",
        objects="",
        grant="GRANT INSERT ON information_schema.sql_features TO {user}",
        attack="INSERT INTO information_schema.sql_features (feature_id, feature_name) VALUES ('{case}', 'added')",
        watch="SELECT count(*) FROM information_schema.sql_features WHERE feature_id = '{case}'",
        undo="REVOKE INSERT ON information_schema.sql_features FROM {user}",
    ),
]
