"""Power of other roles, which the credential inherits, may become, or may grant itself."""

from __future__ import annotations

from postgresql_case import ROWS, Case, table

DELETE = "DELETE FROM app.{case}"
AS_OWNER = ("SET ROLE app_owner", DELETE)

MEMBERSHIP = [
    Case(
        name="owner_inherited",
        level="ddl",
        code="PG.TABLE.OWN",
        about="app",
        objects=table(),
        grant="GRANT app_owner TO {user}",
        attack="DROP TABLE app.{case}",
        watch="SELECT to_regclass('app.{case}')::text",
    ),
    Case(
        name="owner_not_inherited",  # has_table_privilege() says no
        level="ddl",
        code="PG.TABLE.OWN",
        about="SET ROLE app_owner",
        objects=table("GRANT CONNECT ON DATABASE shop TO {user}; ALTER ROLE {user} NOINHERIT"),
        grant="GRANT app_owner TO {user}",
        attack=AS_OWNER,
        watch=ROWS,
    ),
    Case(
        name="owner_three_deep",
        level="ddl",
        code="PG.TABLE.OWN",
        about="app",
        objects=table("CREATE ROLE {case}_1; CREATE ROLE {case}_2; CREATE ROLE {case}_3;")
        + "GRANT app_owner TO {case}_3; GRANT {case}_3 TO {case}_2; GRANT {case}_2 TO {case}_1",
        grant="GRANT {case}_1 TO {user}",
        attack="ALTER TABLE app.{case} RENAME note TO gone",
        watch="SELECT attname FROM pg_attribute WHERE attrelid = 'app.{case}'::regclass AND attnum = 2",
    ),
    Case(
        name="three_deep_not_inherited",
        level="ddl",
        code="PG.TABLE.OWN",
        about="SET ROLE",
        objects=table("CREATE ROLE {case}_1 NOINHERIT; CREATE ROLE {case}_2 NOINHERIT; CREATE ROLE {case}_3 NOINHERIT;")
        + "GRANT app_owner TO {case}_3; GRANT {case}_3 TO {case}_2; GRANT {case}_2 TO {case}_1",
        grant="GRANT {case}_1 TO {user}",
        attack=AS_OWNER,
        watch=ROWS,
    ),
    Case(
        name="inherit_alone",
        level="ddl",
        code="PG.TABLE.OWN",
        about="app",
        objects=table(),
        grant="GRANT app_owner TO {user} WITH INHERIT TRUE, SET FALSE",
        attack=DELETE,
        watch=ROWS,
        since=16,
    ),
    Case(
        name="set_alone",
        level="ddl",
        code="PG.TABLE.OWN",
        about="SET ROLE app_owner",
        objects=table(),
        grant="GRANT app_owner TO {user} WITH INHERIT FALSE, SET TRUE",
        attack=AS_OWNER,
        watch=ROWS,
        since=16,
    ),
    Case(
        name="admin_alone",  # neither inherited nor to become, until it grants itself both
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="app_owner",
        objects=table(),
        grant="GRANT app_owner TO {user} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        attack=("GRANT app_owner TO {user} WITH INHERIT TRUE, SET TRUE", DELETE),
        watch=ROWS,
        since=16,
    ),
    Case(
        name="set_then_inherit_alone",  # a role to become, which inherits from one that nobody may become
        level="ddl",
        code="PG.TABLE.OWN",
        about="{case}_1",
        objects=table("CREATE ROLE {case}_1; GRANT app_owner TO {case}_1 WITH INHERIT TRUE, SET FALSE"),
        grant="GRANT {case}_1 TO {user} WITH INHERIT FALSE, SET TRUE",
        attack=("SET ROLE {case}_1", DELETE),
        watch=ROWS,
        since=16,
    ),
    Case(
        name="admin_by_set_role",
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="app_owner",
        objects=table("CREATE ROLE {case}_1; GRANT app_owner TO {case}_1 WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"),
        grant="GRANT {case}_1 TO {user} WITH INHERIT FALSE, SET TRUE",
        attack=("SET ROLE {case}_1", "GRANT app_owner TO {user} WITH INHERIT TRUE", "RESET ROLE", DELETE),
        watch=ROWS,
        since=16,
    ),
    Case(
        name="admin_by_set_role_before_16",
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="app_owner",
        objects=table("CREATE ROLE {case}_1 NOINHERIT; GRANT app_owner TO {case}_1 WITH ADMIN OPTION;")
        + "GRANT CONNECT ON DATABASE shop TO {user}; ALTER ROLE {user} NOINHERIT",
        grant="GRANT {case}_1 TO {user}",
        attack=("SET ROLE {case}_1", "GRANT app_owner TO outsider"),
        watch="SELECT pg_has_role('outsider', 'app_owner', 'MEMBER')",
        undo="REVOKE app_owner FROM outsider",
        until=15,
    ),
    Case(
        name="admin_of_predefined",
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="pg_execute_server_program",
        objects="",
        grant="GRANT pg_execute_server_program TO {user} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        attack=(
            "GRANT pg_execute_server_program TO {user} WITH INHERIT TRUE",
            "COPY (SELECT 'written') TO PROGRAM 'cat >{folder}/data/{case}.txt'",
        ),
        watch="SELECT size FROM pg_stat_file('{folder}/data/{case}.txt', true)",
        since=16,
    ),
    Case(
        name="admin_inherited",
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="app_owner",
        objects=table("CREATE ROLE {case}_1; GRANT app_owner TO {case}_1 WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"),
        grant="GRANT {case}_1 TO {user} WITH INHERIT TRUE, SET FALSE",
        attack=("GRANT app_owner TO {user} WITH INHERIT TRUE", DELETE),
        watch=ROWS,
        since=16,
    ),
    Case(
        name="admin_option",
        level="admin",
        code="PG.ROLE.ADMIN_OPTION",
        about="app_ro",
        objects="CREATE ROLE {case}_door LOGIN",
        grant="GRANT app_ro TO {user} WITH ADMIN OPTION",
        attack="GRANT app_ro TO {case}_door",
        watch="SELECT count(*) FROM pg_auth_members WHERE member = '{case}_door'::regrole",
    ),
    Case(
        name="writing_group",
        level="write",
        code="PG.TABLE.WRITE",
        about="app",
        objects=table("CREATE ROLE {case}_rw; GRANT UPDATE ON app.{case} TO {case}_rw"),
        grant="GRANT {case}_rw TO {user}",
        attack="UPDATE app.{case} SET note = 'changed'",
        watch=ROWS,
    ),
    Case(
        name="password_of_another",  # everybody may change the own password, so whoever becomes somebody stays it
        level="admin",
        code="PG.ROLE.LOGIN",
        about="{case}_app",
        objects="CREATE ROLE {case}_app LOGIN PASSWORD '{password}'",
        grant="GRANT {case}_app TO {user}",
        attack=("SET ROLE {case}_app", "ALTER ROLE CURRENT_USER PASSWORD 'mine from now on'"),
        watch="SELECT rolpassword FROM pg_authid WHERE rolname = '{case}_app'",
    ),
    Case(
        name="login_of_another",
        level="write",
        code="PG.TABLE.WRITE",
        about="SET ROLE {case}_app",
        objects=table(
            "CREATE ROLE {case}_app LOGIN; GRANT app_ro TO {case}_app; GRANT DELETE ON app.{case} TO {case}_app"
        )
        + "; GRANT CONNECT ON DATABASE shop TO {user}; ALTER ROLE {user} NOINHERIT",
        grant="GRANT {case}_app TO {user}",
        attack=("SET ROLE {case}_app", DELETE),
        watch=ROWS,
    ),
]
