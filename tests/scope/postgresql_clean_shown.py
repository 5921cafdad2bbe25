"""Credentials that can do no more than declared, though names, views, settings and neighbours look like more."""

from __future__ import annotations

from postgresql_case import Clean

COUNT = "SELECT count(*) FROM app.{case}"


def view(name: str, query: str, options: str = "", since: int = 14) -> Clean:
    """A view that shows nothing which is not everybody's to see."""
    return Clean(
        name=name,
        setup=f"CREATE VIEW app.{{case}} {options} AS {query}; GRANT SELECT ON app.{{case}} TO {{user}}",
        can=COUNT,
        undo="DROP VIEW app.{case}",
        since=since,
    )


def settings(name: str, **values: str) -> Clean:
    """Settings of an application that everybody sees in the database's own."""
    return Clean(
        name=name,
        setup="".join(f"ALTER DATABASE shop SET \"app.{key}\" = '{value}'; " for key, value in values.items()),
        undo="".join(f'ALTER DATABASE shop RESET "app.{key}"; ' for key in values),
    )


SHOWN_IN_PLACE = [
    view(
        "view_of_role_members",
        "SELECT r.rolname, g.rolname AS team FROM pg_catalog.pg_authid AS r"
        " JOIN pg_catalog.pg_auth_members AS m ON m.member = r.oid JOIN pg_catalog.pg_authid AS g ON g.oid = m.roleid",
    ),
    view(
        "view_with_whole_rows_of_another_table",
        "SELECT count(o.*) AS n FROM app.orders AS o, pg_catalog.pg_authid AS r WHERE r.oid = 10",
    ),
    view(
        "view_with_a_column_of_that_name",
        "SELECT rolname, rolvaliduntil AS password_expires, 'n/a' AS passwd, 1 AS rolpassword FROM pg_catalog.pg_authid",
    ),
    view("view_of_activity", "SELECT pid, state FROM pg_catalog.pg_stat_activity"),
    view("view_of_settings", "SELECT name, setting FROM pg_catalog.pg_settings"),
    view(
        "view_of_sizes_of_large_objects", "SELECT loid, max(pageno) AS pages FROM pg_catalog.pg_largeobject GROUP BY 1"
    ),
    view(
        "view_as_its_reader",
        "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE false",
        "WITH (security_invoker = on)",
        since=15,
    )._replace(can="SELECT 1"),
    view("view_as_its_reader_of_a_table", "SELECT * FROM app.orders", "WITH (security_invoker = on)", since=15),
    settings("settings_of_tokens", token_lifetime="3600", jwt_issuer="https://a.example", jwt_audience="shop"),
    settings("settings_of_passwords", password_min_score="3", password_hash_rounds="12", password_policy="strict"),
    Clean(
        name="custom_parameter",  # which everybody may set
        setup='GRANT SET ON PARAMETER "app.tenant_id" TO app_ro',
        can="SELECT set_config('app.tenant_id', '1', false)",
        undo='REVOKE SET ON PARAMETER "app.tenant_id" FROM app_ro',
        since=15,
    ),
    Clean(
        name="large_object_granted",  # large objects are in no schema that a profile could declare
        setup="SELECT lo_from_bytea(990051, 'x'); GRANT SELECT ON LARGE OBJECT 990051 TO app_ro",
        can="SELECT lo_get(990051)",
        undo="SELECT lo_unlink(990051)",
    ),
    Clean(
        name="membership_without_set",  # of the two memberships on the way one lets it become nobody
        setup="CREATE ROLE {case}_a; CREATE ROLE {case}_b; GRANT {case}_b TO {case}_a WITH INHERIT FALSE, SET TRUE;"
        " GRANT {case}_a TO {user} WITH INHERIT TRUE, SET FALSE; GRANT {case}_b TO {user} WITH INHERIT FALSE, SET FALSE;"
        " GRANT USAGE ON SCHEMA app TO {case}_b; GRANT UPDATE ON app.orders TO {case}_b",
        undo="DROP OWNED BY {case}_b",
        since=16,
    ),
    Clean(
        name="roles_of_a_cloud",
        setup="CREATE ROLE rds_superuser NOLOGIN; CREATE ROLE rdsadmin SUPERUSER; CREATE ROLE rds_iam NOLOGIN;"
        " GRANT pg_read_all_data TO rds_superuser; GRANT rds_iam TO {user}",
        undo="DROP ROLE rds_superuser, rdsadmin, rds_iam",
    ),
    Clean(
        name="replication_of_others",
        setup="CREATE ROLE {case}_r LOGIN REPLICATION; GRANT app_ro TO {case}_r; CREATE PUBLICATION {case} FOR TABLE app.orders",
        undo="DROP PUBLICATION {case}; DROP ROLE {case}_r",
    ),
    Clean(
        name="future_of_others",
        setup="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner GRANT ALL ON TABLES TO hr_admin;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT ALL ON TABLES TO hr_admin",
        undo="ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner REVOKE ALL ON TABLES FROM hr_admin;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app REVOKE ALL ON TABLES FROM hr_admin",
    ),
    Clean(
        name="partitions_elsewhere",
        setup="CREATE TABLE app.{case} (id int) PARTITION BY RANGE (id); CREATE TABLE hr.{case}_1 PARTITION OF app.{case}"
        " FOR VALUES FROM (1) TO (9); GRANT SELECT ON app.{case} TO app_ro",
        can=COUNT,
        undo="DROP TABLE app.{case}",
    ),
    Clean(
        name="usage_of_an_empty_schema",
        setup="CREATE SCHEMA {case}; CREATE TABLE {case}.t (i int); GRANT USAGE ON SCHEMA {case} TO PUBLIC",
        undo="DROP SCHEMA {case} CASCADE",
    ),
    Clean(
        name="read_write_truncate",
        setup="CREATE TABLE app.{case} (id int GENERATED ALWAYS AS IDENTITY, note text);"
        " GRANT SELECT, INSERT, TRUNCATE, REFERENCES ON app.{case} TO {user}",
        can="START TRANSACTION READ WRITE; TRUNCATE app.{case}; COMMIT",
        undo="DROP TABLE app.{case}",
        declared={"access": "read-write"},
    ),
]
