"""Power over other servers, and over this one by way of them."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

# Where dblink and postgres_fdw are: whoever has no USAGE on the schema does not get at their functions.
LINKS = (
    "CREATE SCHEMA {case}; CREATE EXTENSION dblink SCHEMA {case}; CREATE ROLE {case}_remote LOGIN PASSWORD '{password}';"
    " GRANT CONNECT ON DATABASE shop TO {case}_remote; GRANT USAGE ON SCHEMA app TO {case}_remote;"
    " GRANT ALL ON app.{case} TO {case}_remote;"
    " CREATE SERVER {case} FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'shop');"
    " CREATE USER MAPPING FOR PUBLIC SERVER {case} OPTIONS (user '{case}_remote', password '{password}')"
)
UNLINK = "DROP EXTENSION IF EXISTS dblink CASCADE"


FOREIGN = [
    Case(
        name="dblink_to_here",  # and back into the same database, as whoever the mapping names
        level="admin",
        code="PG.FOREIGN.MAPPED",
        about="dblink_to_here",
        objects=(table(), LINKS),
        grant="GRANT USAGE ON SCHEMA {case} TO {user}; GRANT USAGE ON FOREIGN SERVER {case} TO {user}",
        attack="SELECT {case}.dblink_exec('{case}', 'DELETE FROM app.{case}')",
        watch=ROWS,
        undo=UNLINK,
    ),
    Case(
        name="dblink_anywhere",
        level="write",
        code="PG.EXTENSION.CALL",
        about="dblink",
        objects=(table(), LINKS),
        grant="GRANT USAGE ON SCHEMA {case} TO {user}",
        attack="SELECT {case}.dblink_exec('host=127.0.0.1 port={port} dbname=shop user={case}_remote password={password}',"
        " 'DELETE FROM app.{case}')",
        watch=ROWS,
        undo=UNLINK,
    ),
    Case(
        name="foreign_server_usage",
        level="write",
        code="PG.FOREIGN.MAPPED",
        about="foreign_server_usage",
        objects=(table(), LINKS),
        grant="GRANT USAGE ON FOREIGN SERVER {case} TO {user}",
        attack="CREATE USER MAPPING FOR CURRENT_USER SERVER {case} OPTIONS (user 'of', password 'mine')",
        watch="SELECT count(*) FROM pg_user_mappings WHERE srvname = '{case}'",
        undo=UNLINK,
    ),
    Case(
        name="foreign_server_grant_option",
        level="write",
        code="PG.FOREIGN.GRANT",
        about="foreign_server_grant_option",
        objects=(table(), LINKS, "GRANT USAGE ON FOREIGN SERVER {case} TO {user}"),
        grant="GRANT USAGE ON FOREIGN SERVER {case} TO {user} WITH GRANT OPTION",
        attack="GRANT USAGE ON FOREIGN SERVER {case} TO outsider",
        watch="SELECT has_server_privilege('outsider', '{case}', 'USAGE')",
        refused="",
        undo=UNLINK,
        harmless=False,
    ),
    Case(
        name="foreign_server_owner",
        level="write",
        code="PG.OBJECT.OWN|PG.FOREIGN.USE|PG.FOREIGN.MAPPED",
        about="foreign_server_owner",
        objects=(table(), LINKS, "DROP USER MAPPING FOR PUBLIC SERVER {case}"),
        grant="GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO {user}; ALTER SERVER {case} OWNER TO {user};"
        " REVOKE USAGE ON FOREIGN DATA WRAPPER dblink_fdw FROM {user}",
        attack="ALTER SERVER {case} OPTIONS (SET host 'mine.example')",
        watch="SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = '{case}'",
        undo=UNLINK,
    ),
    Case(
        name="wrapper_usage",
        level="admin",
        code="PG.FOREIGN.WRAPPER",
        about="postgres_fdw",
        objects="CREATE SCHEMA {case}; CREATE EXTENSION postgres_fdw SCHEMA {case}",
        grant="GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {user}",
        attack="CREATE SERVER {case} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'mine.example')",
        watch="SELECT count(*) FROM pg_foreign_server WHERE srvname = '{case}'",
        undo="DROP EXTENSION IF EXISTS postgres_fdw CASCADE",
    ),
]
