"""Power that a careless measurement does not see, because the role's own settings change what the session sees."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

ADD = "INSERT INTO app.{case} VALUES (2, 'added')"
# What the catalogue's own functions would be asked for, if the search path decided which one that is.
DECOYS = """
CREATE SCHEMA {case};
CREATE FUNCTION {case}.has_table_privilege(oid, oid, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION {case}.has_table_privilege(name, oid, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION {case}.pg_has_role(oid, oid, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE VIEW {case}.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false;
CREATE VIEW {case}.pg_roles AS SELECT * FROM pg_catalog.pg_roles WHERE false;
GRANT USAGE ON SCHEMA {case} TO {user};
ALTER ROLE {user} SET search_path = {case}, pg_catalog;
"""
ODD = """
ALTER ROLE {user} SET quote_all_identifiers = on;
ALTER ROLE {user} SET client_encoding = 'LATIN1';
ALTER ROLE {user} SET standard_conforming_strings = off;
ALTER ROLE {user} SET bytea_output = 'escape';
ALTER ROLE {user} SET statement_timeout = '500ms';
ALTER ROLE {user} SET lock_timeout = '1ms';
ALTER ROLE {user} SET row_security = off;
ALTER ROLE {user} SET default_transaction_isolation = 'serializable';
ALTER ROLE {user} SET default_transaction_deferrable = on;
ALTER ROLE {user} SET array_nulls = off;
ALTER ROLE {user} SET DateStyle = 'German';
ALTER ROLE {user} SET search_path = '';
ALTER ROLE {user} SET client_min_messages = 'debug5';
ALTER ROLE {user} SET transform_null_equals = on;
ALTER ROLE {user} SET extra_float_digits = -15;
ALTER ROLE {user} SET stepcreds.probe = '{}';
ALTER ROLE {user} CONNECTION LIMIT 1;
"""

SETTINGS = [
    Case(
        name="decoys",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=(table(), DECOYS),
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=ADD,
        watch=ROWS,
    ),
    Case(
        name="login_as_the_group",  # RESET ROLE would come back to the group; the right is the login role's own
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=(table(), "ALTER ROLE {user} SET role = 'app_ro'"),
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=("SET ROLE NONE", ADD),
        watch=ROWS,
    ),
    Case(
        name="login_as_the_group_in_this_database",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=(table(), "ALTER ROLE {user} IN DATABASE shop SET role = 'app_ro'"),
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=("SET ROLE NONE", ADD),
        watch=ROWS,
    ),
    Case(
        name="odd_settings",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=(table(), ODD),
        grant="GRANT INSERT ON app.{case} TO {user}",
        attack=("SET statement_timeout = 0", ADD),
        watch=ROWS,
    ),
    Case(
        name="rows_of_others",  # row security is no reason to leave the write out
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=table(
            "ALTER TABLE app.{case} ENABLE ROW LEVEL SECURITY; CREATE POLICY all_rows ON app.{case} USING (true)"
        ),
        grant="GRANT DELETE ON app.{case} TO {user}",
        attack="DELETE FROM app.{case}",
        watch=ROWS,
    ),
]
