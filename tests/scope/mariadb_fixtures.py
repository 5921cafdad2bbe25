"""Users of MariaDB whose power exceeds what their profile declares, each with the attack that shows it; and clean ones."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import Any

import pymysql
from mariadb_case import READER, Case, Clean
from mariadb_server import Account, MariaDB

ORDERS = "SELECT * FROM shop.orders"
SALARIES = "SELECT * FROM hr.salaries"
CUT = "CREATE PROCEDURE shop.cut() SQL SECURITY {} DELETE FROM hr.salaries"
COUNT = "CREATE FUNCTION shop.counted() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM hr.salaries; RETURN 1; END"


def logged_in(server: MariaDB, name: str, password: str, *statements: str) -> Any:
    """What another user reads, who logs in with what the attack gave it."""
    connection = pymysql.connect(host="127.0.0.1", port=server.port, user=name, password=password, autocommit=True)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def takes_over_root(cursor: Any, server: MariaDB, account: Account) -> Any:
    cursor.execute("ALTER USER boss@'%' IDENTIFIED BY 'taken'")
    return logged_in(server, "boss", "taken", "SELECT * FROM mysql.global_priv")


def hands_on(statement: str, *before: str) -> Any:
    def act(cursor: Any, server: MariaDB, account: Account) -> Any:
        cursor.execute(statement)
        return logged_in(server, "friend", "f", *before, "SELECT * FROM shop.orders")

    return act


def binary_log(server: MariaDB, account: Account, *options: str) -> str:
    """All of the first binary log, as a replica gets it."""
    done = subprocess.run(
        [
            "mariadb-binlog",
            "--no-defaults",
            "--read-from-remote-server",
            "--host=127.0.0.1",
            f"--port={server.port}",
            f"--user={account.name}",
            f"--password={account.password.reveal()}",
            *options,
            "binlog.000001",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


def dumps_binary_log(cursor: Any, server: MariaDB, account: Account) -> Any:
    found = re.findall(r"INSERT INTO hr.salaries VALUES \(1, 1000\)", binary_log(server, account))
    if not found:
        raise pymysql.err.OperationalError("the server refused it")
    return found


def replays(cursor: Any, server: MariaDB, account: Account) -> Any:
    """A row event that somebody wrote elsewhere, for a table that the user has no right on."""
    text = subprocess.run(
        ["mariadb-binlog", "--no-defaults", *sorted(str(path) for path in server.folder.glob("data/binlog.0*"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    events = re.findall(r"BINLOG '\n(.*?)'", text, re.DOTALL)
    rows = [event for event in events if b"salaries" in base64.b64decode(event)]
    for event in (events[0], rows[-1]):
        cursor.execute(f"BINLOG '{event}'")


FRIEND = ("CREATE USER friend@'%' IDENTIFIED BY 'f'",)

CASES = [
    # What every reader of documentation grants first.
    Case(
        "select everywhere",
        "MY.GLOBAL.READ MY.SECRET.READ",
        "GRANT SELECT ON *.* TO {user}",
        "SELECT Priv FROM mysql.global_priv",
    ),
    Case(
        "select everywhere, by a pattern",
        "MY.DATABASE.READ MY.SECRET.READ",
        "GRANT SELECT ON `%`.* TO {user}",
        "SELECT Priv FROM mysql.global_priv",
    ),
    Case(
        "select in mysql",
        "MY.DATABASE.READ MY.SECRET.READ",
        "GRANT SELECT ON mysql.* TO {user}",
        "SELECT Priv FROM mysql.global_priv",
    ),
    Case(
        "select in mysql.user",
        "MY.SECRET.READ MY.TABLE.READ",
        "GRANT SELECT ON mysql.user TO {user}",
        "SELECT authentication_string FROM mysql.user",
    ),
    Case(
        "insert in mysql.db",
        "MY.SECRET.WRITE MY.TABLE.WRITE",
        "GRANT INSERT ON mysql.db TO {user}",
        "INSERT INTO mysql.db (Host, Db, User, Delete_priv) VALUES ('%', 'hr', 'somebody', 'Y')",
        "SELECT * FROM mysql.db WHERE User = 'somebody'",
        undo="DELETE FROM mysql.db WHERE User = 'somebody'",
    ),
    Case(
        "another database",
        "MY.DATABASE.READ",
        "GRANT SELECT ON hr.* TO {user}",
        SALARIES,
    ),
    # Of the server.
    Case(
        "FILE",
        "MY.SERVER.FILE",
        "GRANT FILE ON *.* TO {user}",
        (
            "SELECT 'mine' INTO OUTFILE '{folder}/mine'",
            "SELECT 1 FROM dual WHERE LOAD_FILE('{folder}/mine') = 'mine\n'",
        ),
    ),
    Case(
        "CREATE USER",
        "MY.SERVER.CREATE_USER",
        "GRANT CREATE USER ON *.* TO {user}",
        takes_over_root,
        objects=("CREATE USER boss@'%' IDENTIFIED BY 'b'", "GRANT ALL ON *.* TO boss@'%'"),
    ),
    Case(
        "SUPER",
        "MY.SERVER.SUPER",
        "GRANT SUPER ON *.* TO {user}",
        "SET GLOBAL slow_launch_time = 7",
        "SELECT @@GLOBAL.slow_launch_time",
        undo="SET GLOBAL slow_launch_time = DEFAULT",
    ),
    Case(
        "PROCESS",
        "MY.SERVER.PROCESS",
        "GRANT PROCESS ON *.* TO {user}",
        "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {victim}",
    ),
    Case(
        "RELOAD",
        "MY.SERVER.RELOAD",
        "GRANT RELOAD ON *.* TO {user}",
        "FLUSH TABLES WITH READ LOCK",
        "SET STATEMENT lock_wait_timeout = 0 FOR INSERT IGNORE INTO shop.orders VALUES (1, '')",
    ),
    Case(
        "CONNECTION ADMIN",
        "MY.SERVER.CONNECTION_ADMIN",
        "GRANT CONNECTION ADMIN ON *.* TO {user}",
        "KILL {victim}",
        "SELECT {victim}",
    ),
    Case(
        "SET USER",
        "MY.DATABASE.DDL MY.SERVER.SET_USER",
        "GRANT SET USER ON *.* TO {user}",
        ("CREATE DEFINER = root@localhost PROCEDURE shop.mine() DELETE FROM hr.salaries", "CALL shop.mine()"),
        SALARIES,
        base=(READER, "GRANT CREATE ROUTINE ON shop.* TO {user}"),
    ),
    Case(
        "FEDERATED ADMIN",
        "MY.SERVER.FEDERATED_ADMIN",
        "GRANT FEDERATED ADMIN ON *.* TO {user}",
        "CREATE SERVER mine FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'elsewhere', DATABASE 'x', USER 'y')",
        "SELECT Server_name FROM mysql.servers",
        undo="DROP SERVER IF EXISTS mine",
    ),
    Case(
        "BINLOG MONITOR",
        "MY.SERVER.BINLOG_MONITOR",
        "GRANT BINLOG MONITOR ON *.* TO {user}",
        "SHOW BINLOG EVENTS LIMIT 1",
    ),
    Case(
        "BINLOG ADMIN",
        "MY.SERVER.BINLOG_ADMIN",
        "GRANT BINLOG ADMIN ON *.* TO {user}",
        "SET GLOBAL expire_logs_days = 1",
        "SELECT @@GLOBAL.expire_logs_days",
        undo="SET GLOBAL expire_logs_days = DEFAULT",
    ),
    Case(
        "BINLOG REPLAY",
        "MY.SERVER.BINLOG_REPLAY",
        "GRANT BINLOG REPLAY ON *.* TO {user}",
        replays,
        SALARIES,
        objects=(
            "SET SESSION binlog_format = ROW",
            "INSERT INTO hr.salaries VALUES (2, 2000)",
            "SET SESSION binlog_format = DEFAULT",
            "DELETE FROM hr.salaries WHERE id = 2",
        ),
    ),
    Case(
        "REPLICATION SLAVE",
        "MY.SERVER.REPLICATION_SLAVE",
        "GRANT REPLICATION SLAVE ON *.* TO {user}",
        dumps_binary_log,
    ),
    Case(
        "REPLICATION SLAVE ADMIN",
        "MY.SERVER.REPLICATION_SLAVE_ADMIN",
        "GRANT REPLICATION SLAVE ADMIN ON *.* TO {user}",
        "CHANGE MASTER TO MASTER_HOST = 'mine', MASTER_USER = 'x'",
        "SHOW ALL SLAVES STATUS",
        undo="RESET SLAVE ALL",
    ),
    # In the declared database.
    Case(
        "insert",
        "MY.DATABASE.WRITE",
        "GRANT INSERT ON shop.* TO {user}",
        "INSERT INTO shop.orders VALUES (3, '')",
        ORDERS,
    ),
    Case(
        "everything",
        "MY.DATABASE.DDL",
        "GRANT ALL ON shop.* TO {user}",
        "DROP TABLE shop.orders",
        "SHOW TABLES FROM shop",
    ),
    Case(
        "delete from a table",
        "MY.TABLE.WRITE",
        "GRANT DELETE ON shop.orders TO {user}",
        "DELETE FROM shop.orders",
        ORDERS,
    ),
    Case(
        "update of a column",
        "MY.COLUMN.WRITE",
        "GRANT UPDATE (email) ON shop.orders TO {user}",
        "UPDATE shop.orders SET email = ''",
        ORDERS,
    ),
    Case("truncate", "MY.TABLE.DDL", "GRANT DROP ON shop.orders TO {user}", "TRUNCATE shop.orders", ORDERS),
    Case(
        "create",
        "MY.DATABASE.DDL",
        "GRANT CREATE ON shop.* TO {user}",
        "CREATE TABLE shop.mine (id INT)",
        "SHOW TABLES FROM shop",
    ),
    Case(
        "alter",
        "MY.TABLE.DDL MY.TABLE.WRITE",
        "GRANT ALTER, INSERT ON shop.orders TO {user}",
        "ALTER TABLE shop.orders DROP COLUMN email",
        ORDERS,
    ),
    Case(
        "index",
        "MY.TABLE.DDL",
        "GRANT INDEX ON shop.orders TO {user}",
        "CREATE INDEX mine ON shop.orders (email)",
        "SHOW INDEX FROM shop.orders",
    ),
    Case(
        "lock tables",
        "MY.DATABASE.WRITE",
        "GRANT LOCK TABLES ON shop.* TO {user}",
        "LOCK TABLES shop.orders WRITE",
        "SET STATEMENT lock_wait_timeout = 0 FOR SELECT * FROM shop.orders",
    ),
    Case(
        "foreign keys",
        "MY.DATABASE.DDL MY.DATABASE.WRITE MY.TABLE.WRITE",
        "GRANT REFERENCES ON shop.orders TO {user}",
        (
            "CREATE TABLE scratch.mine (id INT, FOREIGN KEY (id) REFERENCES shop.orders (id))",
            "INSERT INTO scratch.mine VALUES (1)",
        ),
        "SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = 'shop'",
        objects="CREATE DATABASE scratch",
        base="GRANT CREATE, INSERT ON scratch.* TO {user}",  # whoever may SELECT there needs no REFERENCES
        declared={"databases": ("shop", "scratch")},
    ),
    Case(
        "delete history",
        "MY.TABLE.WRITE",
        "GRANT DELETE HISTORY ON shop.kept TO {user}",
        "DELETE HISTORY FROM shop.kept",
        "SELECT * FROM shop.kept FOR SYSTEM_TIME ALL",
        objects=(
            "CREATE TABLE shop.kept (id INT) WITH SYSTEM VERSIONING",
            "INSERT INTO shop.kept VALUES (1)",
            "DELETE FROM shop.kept",
        ),
    ),
    Case(
        "trigger",
        "MY.TABLE.DDL",
        "GRANT TRIGGER ON shop.orders TO {user}",
        "CREATE TRIGGER shop.mine BEFORE INSERT ON shop.orders FOR EACH ROW SIGNAL SQLSTATE '45000'",
        "REPLACE INTO shop.orders VALUES (3, '')",
    ),
    Case(
        "event",
        "MY.DATABASE.DDL",
        "GRANT EVENT ON shop.* TO {user}",
        "CREATE EVENT shop.mine ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "SHOW EVENTS FROM shop",
    ),
    Case(
        "create view",
        "MY.DATABASE.DDL",
        "GRANT CREATE VIEW ON shop.* TO {user}",
        "CREATE VIEW shop.mine AS SELECT email FROM shop.orders",
        "SHOW TABLES FROM shop",
    ),
    Case(
        "create routine",
        "MY.DATABASE.DDL",
        "GRANT CREATE ROUTINE ON shop.* TO {user}",
        "CREATE PROCEDURE shop.mine() SELECT 1",
        "SHOW PROCEDURE STATUS WHERE Db = 'shop'",
    ),
    Case(
        "alter routine, which makes it run as its definer",
        "MY.ROUTINE.DDL",
        "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE shop.cut TO {user}",
        ("ALTER PROCEDURE shop.cut SQL SECURITY DEFINER", "CALL shop.cut()"),
        SALARIES,
        objects=CUT.format("INVOKER"),
    ),
    # By roles, PUBLIC and the anonymous user.
    Case(
        "a role that is not active",
        "MY.DATABASE.WRITE",
        "GRANT writers TO {user}",
        ("SET ROLE writers", "DELETE FROM shop.orders"),
        ORDERS,
        objects=("CREATE ROLE writers", "GRANT DELETE ON shop.* TO writers"),
        via="SET ROLE writers",
    ),
    Case(
        "a default role",
        "MY.DATABASE.WRITE",
        ("GRANT writers TO {user}", "SET DEFAULT ROLE writers FOR {user}"),
        "DELETE FROM shop.orders",
        ORDERS,
        objects=("CREATE ROLE writers", "GRANT DELETE ON shop.* TO writers"),
        via="default role writers",
    ),
    Case(
        "a role in a role, with a name to be quoted",
        "MY.TABLE.WRITE",
        "GRANT `out``er` TO {user}",
        ("SET ROLE `out``er`", "DELETE FROM shop.orders"),
        ORDERS,
        objects=(
            "CREATE ROLE `out``er`",
            "CREATE ROLE `in'ner`",
            "GRANT `in'ner` TO `out``er`",
            "GRANT DELETE ON shop.orders TO `in'ner`",
        ),
        via="SET ROLE out`er",
    ),
    Case(
        "a role that may call a definer's procedure",
        "MY.ROUTINE.DEFINER",
        "GRANT callers TO {user}",
        ("SET ROLE callers", "CALL shop.cut()"),
        SALARIES,
        objects=(CUT.format("DEFINER"), "CREATE ROLE callers", "GRANT EXECUTE ON PROCEDURE shop.cut TO callers"),
        via="SET ROLE callers",
    ),
    Case(
        "PUBLIC",
        "MY.TABLE.WRITE",
        "GRANT DELETE ON shop.orders TO PUBLIC",
        "DELETE FROM shop.orders",
        ORDERS,
        undo="REVOKE DELETE ON shop.orders FROM PUBLIC",
        via="PUBLIC",
    ),
    Case(
        "a role of PUBLIC",
        "MY.DATABASE.WRITE",
        "GRANT writers TO PUBLIC",
        "DELETE FROM shop.orders",
        ORDERS,
        objects=("CREATE ROLE writers", "GRANT DELETE ON shop.* TO writers"),
        undo="REVOKE writers FROM PUBLIC",
        via="PUBLIC",
    ),
    Case(
        "the anonymous user's database",
        "MY.HIDDEN.DATABASE",
        ("CREATE USER ''@'%' IDENTIFIED BY 'x'", "GRANT ALL ON test.* TO ''@'%'"),
        "CREATE TABLE test.mine (id INT)",
        "SHOW TABLES FROM test",
        objects="CREATE DATABASE test",
        undo="DROP USER ''@'%'",
    ),
    Case(
        "the anonymous user's rights where it has but a table",
        "MY.HIDDEN.DATABASE",
        ("CREATE USER ''@'%' IDENTIFIED BY 'x'", "GRANT ALL ON shop.* TO ''@'%'"),
        "DELETE FROM shop.more",
        "SELECT * FROM shop.more",
        objects=("CREATE TABLE shop.more (id INT)", "INSERT INTO shop.more VALUES (1)"),
        base="GRANT SELECT ON shop.orders TO {user}",
        undo="DROP USER ''@'%'",
    ),
    # Handing on.
    Case(
        "grant option",
        "MY.GRANT.OPTION",
        "GRANT SELECT ON shop.* TO {user} WITH GRANT OPTION",
        hands_on("GRANT SELECT ON shop.* TO friend@'%'"),
        objects=FRIEND,
    ),
    Case(
        "grant option for a column",
        "MY.GRANT.OPTION",
        "GRANT SELECT (id, email) ON shop.orders TO {user} WITH GRANT OPTION",
        hands_on("GRANT SELECT (id, email) ON shop.orders TO friend@'%'"),
        objects=FRIEND,
    ),
    Case(
        "admin option",
        "MY.GRANT.ROLE",
        "GRANT readers TO {user} WITH ADMIN OPTION",
        hands_on("GRANT readers TO friend@'%'", "SET ROLE readers"),
        objects=(
            *FRIEND,
            "CREATE ROLE readers",
            "GRANT SELECT ON shop.* TO readers",
        ),
    ),
    # Patterns.
    Case(
        "an underscore",
        "MY.DATABASE.READ",
        "GRANT SELECT ON `shop_a`.* TO {user}",
        "SELECT * FROM shopXa.keys_of_others",
        objects=("CREATE DATABASE shop_a", "CREATE DATABASE shopXa", "CREATE TABLE shopXa.keys_of_others SELECT 1"),
        declared={"databases": ("shop", "shop_a")},
    ),
    Case(
        "a percent sign",
        "MY.DATABASE.WRITE",
        "GRANT INSERT ON `sh%p`.* TO {user}",
        "INSERT INTO shop.orders VALUES (3, '')",
        ORDERS,
        base="GRANT SELECT ON shop.orders TO {user}",  # one on shop.* would go before the pattern
    ),
    # Code with somebody else's rights.
    Case(
        "a view that advances a sequence",
        "MY.VIEW.WRITE",
        "CREATE VIEW shop.next AS SELECT NEXTVAL(shop.numbers) AS n",
        "SELECT * FROM shop.next",
        "SELECT next_not_cached_value FROM shop.numbers",
        objects="CREATE SEQUENCE shop.numbers NOCACHE",
    ),
    Case(
        "a view that shows another database",
        "MY.VIEW.READ",
        "CREATE VIEW shop.pay AS SELECT * FROM hr.salaries",
        "SELECT * FROM shop.pay",
    ),
    Case(
        "a definer's procedure",
        "MY.ROUTINE.DEFINER",
        "GRANT EXECUTE ON PROCEDURE shop.cut TO {user}",
        "CALL shop.cut()",
        SALARIES,
        objects=CUT.format("DEFINER"),
    ),
    Case(
        "a definer's function, by a right on the database",
        "MY.ROUTINE.DEFINER",
        "GRANT EXECUTE ON shop.* TO {user}",
        "SELECT shop.counted()",
        SALARIES,
        objects=COUNT,
    ),
    Case(
        "a definer's package",
        "MY.ROUTINE.DEFINER",
        ("SET sql_mode = ORACLE", "GRANT EXECUTE ON PACKAGE BODY shop.tools TO {user}", "SET sql_mode = DEFAULT"),
        "CALL shop.tools.cut()",
        SALARIES,
        objects=(
            "SET sql_mode = ORACLE",
            "CREATE PACKAGE shop.tools AS PROCEDURE cut; END",
            "CREATE PACKAGE BODY shop.tools AS PROCEDURE cut AS BEGIN DELETE FROM hr.salaries; END; END",
            "SET sql_mode = DEFAULT",
        ),
    ),
    Case(
        "a view that calls a function that writes",
        "MY.VIEW.CALLS",
        "CREATE VIEW shop.tally AS SELECT shop.counted() AS n",
        "SELECT * FROM shop.tally",
        SALARIES,
        objects=COUNT,
    ),
    Case(
        "a view that shows password hashes",
        "MY.SECRET.READ",
        "CREATE VIEW shop.people AS SELECT o.id, p.Priv FROM shop.orders o JOIN mysql.global_priv p",
        "SELECT Priv FROM shop.people",
    ),
    Case(
        "a view that shows password hashes, of a STRAIGHT_JOIN",
        "MY.SECRET.READ",
        "CREATE VIEW shop.people AS SELECT o.id, p.Priv FROM shop.orders o STRAIGHT_JOIN mysql.global_priv p",
        "SELECT Priv FROM shop.people",
    ),
    Case(
        "a view that shows password hashes, in a common table expression of a subquery",
        "MY.SECRET.READ",
        "CREATE VIEW shop.people AS SELECT (WITH p AS (SELECT Priv FROM mysql.global_priv) SELECT MAX(Priv) FROM p) AS m",
        "SELECT m FROM shop.people",
    ),
    Case(
        "a view that calls a function of its database, by its name alone",
        "MY.VIEW.CALLS",
        ("USE shop", "CREATE VIEW tally AS SELECT counted() AS n"),
        "SELECT * FROM shop.tally",
        SALARIES,
        objects=COUNT,
    ),
    Case(
        "a view that calls a function of a package",
        "MY.VIEW.CALLS",
        ("SET sql_mode = ORACLE", "CREATE VIEW shop.tally AS SELECT hr.tools.counted() AS n", "SET sql_mode = DEFAULT"),
        "SELECT * FROM shop.tally",
        SALARIES,
        objects=(
            "SET sql_mode = ORACLE",
            "CREATE PACKAGE hr.tools AS FUNCTION counted RETURN INT; END",
            "CREATE PACKAGE BODY hr.tools AS FUNCTION counted RETURN INT AS BEGIN DELETE FROM hr.salaries; RETURN 1; END; END",
            "SET sql_mode = DEFAULT",
        ),
    ),
    Case(
        "a view that advances a sequence of another database",
        "MY.VIEW.WRITE",
        "CREATE VIEW shop.next AS SELECT NEXTVAL(hr.numbers) AS n",
        "SELECT * FROM shop.next",
        "SELECT next_not_cached_value FROM hr.numbers",
        objects="CREATE SEQUENCE hr.numbers NOCACHE",
    ),
    Case(
        "a view that shows everybody's statements",
        "MY.VIEW.READ",
        "CREATE VIEW shop.others AS SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'root'",
        "SELECT * FROM shop.others",
    ),
    Case(
        "a view by which it grants itself rights",
        "MY.SECRET.WRITE",
        "CREATE VIEW shop.rights AS SELECT * FROM mysql.db",
        "INSERT INTO shop.rights (Host, Db, User, Delete_priv) VALUES ('%', 'hr', 'somebody', 'Y')",
        "SELECT * FROM mysql.db WHERE User = 'somebody'",
        undo="DELETE FROM mysql.db WHERE User = 'somebody'",
        base="GRANT SELECT, INSERT, SHOW VIEW ON shop.* TO {user}",
        declared={"access": "read-write"},
    ),
    # Views whose text it may not see.
    Case(
        "an unseen view that calls a function that writes",
        "MY.VIEW.UNSEEN",
        "CREATE VIEW shop.tally AS SELECT shop.counted() AS n",
        "SELECT * FROM shop.tally",
        SALARIES,
        objects=COUNT,
        base="GRANT SELECT ON shop.* TO {user}",
    ),
    Case(
        "an unseen view that shows password hashes",
        "MY.VIEW.UNSEEN",
        "CREATE VIEW shop.people AS SELECT User, Priv FROM mysql.global_priv",
        "SELECT Priv FROM shop.people",
        base="GRANT SELECT ON shop.* TO {user}",
    ),
    Case(
        "an unseen view, of which it may read one column",
        "MY.VIEW.UNSEEN",
        "GRANT SELECT (amount) ON shop.pay TO {user}",
        "SELECT amount FROM shop.pay",
        objects="CREATE VIEW shop.pay AS SELECT * FROM hr.salaries",
        base="GRANT SELECT ON shop.orders TO {user}",
    ),
    Case(
        "an unseen view by which it changes another database",
        "MY.VIEW.UNSEEN",
        "CREATE VIEW shop.pay AS SELECT * FROM hr.salaries",
        "DELETE FROM shop.pay",
        SALARIES,
        base="GRANT DELETE ON shop.* TO {user}",
        declared={"access": "read-write"},
    ),
    Case(
        "an unseen view of a role",
        "MY.VIEW.UNSEEN",
        "GRANT readers TO {user}",
        ("SET ROLE readers", "SELECT * FROM shop.pay"),
        objects=(
            "CREATE VIEW shop.pay AS SELECT * FROM hr.salaries",
            "CREATE ROLE readers",
            "GRANT SELECT ON shop.pay TO readers",
        ),
        base="GRANT SELECT ON shop.orders TO {user}",
        via="SET ROLE readers",
    ),
    Case(
        "a view that writes in another database",
        "MY.VIEW.WRITE",
        "GRANT UPDATE ON shop.* TO {user}",
        "UPDATE shop.pay SET amount = 9",
        SALARIES,
        objects="CREATE VIEW shop.pay AS SELECT * FROM hr.salaries",
        declared={"access": "read-write"},
    ),
]

READ = "GRANT SELECT ON shop.* TO {user}"
CLEAN = [
    Clean("a database", READ),
    Clean("a database and its views", READER, "SHOW CREATE VIEW shop.v", "CREATE VIEW shop.v AS SELECT 1"),
    Clean("with limits", (READ, "ALTER USER {user} WITH MAX_USER_CONNECTIONS 5 MAX_STATEMENT_TIME 60")),
    Clean("a table", "GRANT SELECT ON shop.orders TO {user}"),
    Clean(
        "columns, and only these are declared",
        "GRANT SELECT (id, email) ON shop.orders TO {user}",
        declared={"columns": ("shop.orders.id", "shop.orders.email")},
    ),
    Clean(
        "one table, and only that is declared",
        "GRANT SELECT ON shop.orders TO {user}",
        declared={"tables": ("shop.orders",)},
    ),
    Clean(
        "an escaped name, beside another that would fit",
        "GRANT SELECT ON `shop\\_a`.* TO {user}",
        "SELECT * FROM shop_a.t",
        ("CREATE DATABASE shop_a", "CREATE TABLE shop_a.t (id INT)", "CREATE DATABASE shopXa"),
        declared={"databases": ("shop_a",)},
    ),
    Clean(
        "a name with an underscore that fits no other",
        "GRANT SELECT ON `shop_a`.* TO {user}",
        "SELECT * FROM shop_a.t",
        ("CREATE DATABASE shop_a", "CREATE TABLE shop_a.t (id INT)"),
        declared={"databases": ("shop_a",)},
    ),
    Clean(
        "a name to be quoted",
        "GRANT SELECT ON `we``ird \"d\\\\b'`.* TO {user}",
        "SELECT * FROM `we``ird \"d\\b'`.`t.'1`",
        ("CREATE DATABASE `we``ird \"d\\b'`", "CREATE TABLE `we``ird \"d\\b'`.`t.'1` (id INT)"),
        declared={"databases": ("we`ird \"d\\b'",)},
    ),
    Clean(
        "two databases",
        (READ, "GRANT SELECT ON hr.* TO {user}"),
        "SELECT * FROM hr.salaries",
        declared={"databases": ("shop", "hr")},
    ),
    Clean(
        "a role that reads",
        ("GRANT readers TO {user}", "SET DEFAULT ROLE readers FOR {user}"),
        objects=("CREATE ROLE readers", "GRANT SELECT ON shop.* TO readers"),
    ),
    Clean(
        "PUBLIC reads",
        ("GRANT SELECT ON shop.* TO PUBLIC",),
        undo="REVOKE SELECT ON shop.* FROM PUBLIC",
    ),
    Clean(
        "temporary tables",
        (READ, "GRANT CREATE TEMPORARY TABLES ON shop.* TO {user}"),
        "CREATE TEMPORARY TABLE shop.mine (id INT)",
    ),
    Clean("the names of databases", (READ, "GRANT SHOW DATABASES ON *.* TO {user}"), "SHOW DATABASES LIKE 'hr'"),
    Clean(
        "a procedure with the caller's rights",
        (READ, "GRANT EXECUTE ON shop.* TO {user}"),
        "CALL shop.cut()",
        "CREATE PROCEDURE shop.cut() SQL SECURITY INVOKER SELECT COUNT(*) FROM shop.orders",
    ),
    Clean(
        "a definer's procedure that it may see and not call",
        (READER, "GRANT ALTER ROUTINE ON PROCEDURE shop.cut TO {user}"),
        "SHOW CREATE VIEW shop.v",
        (CUT.format("DEFINER"), "CREATE VIEW shop.v AS SELECT 1"),
        declared={"access": "ddl"},
    ),
    Clean(
        "views that look dangerous and are not",
        READER,
        "SELECT * FROM shop.days",
        (
            "CREATE VIEW shop.days AS SELECT EXTRACT(YEAR FROM o.email) AS y, 'from `mysql`.`user`' FROM shop.orders AS o",
            "CREATE SQL SECURITY INVOKER VIEW shop.theirs AS SELECT * FROM hr.salaries",
        ),
    ),
    Clean(
        "definer views of many kinds",
        READER,
        "SELECT * FROM shop.totals",
        (
            "CREATE VIEW shop.joined AS SELECT o.id, p.email FROM shop.orders o LEFT JOIN shop.orders p USING (id)",
            "CREATE VIEW shop.totals AS SELECT LEFT(email, 1) AS first, COUNT(*) AS n, GROUP_CONCAT(email SEPARATOR '`') AS some"
            " FROM shop.orders GROUP BY 1 WITH ROLLUP HAVING COUNT(*) > 0",
            "CREATE VIEW shop.ranked AS SELECT o.id, RANK() OVER (PARTITION BY o.email ORDER BY o.id) AS r FROM shop.orders o, shop.joined",
            "CREATE VIEW shop.tree AS WITH RECURSIVE t AS (SELECT 1 AS n UNION SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
            "CREATE VIEW shop.both AS (SELECT id FROM shop.orders) UNION ALL SELECT x.id FROM (SELECT id FROM shop.joined) AS x",
            "CREATE VIEW shop.parts AS SELECT j.x FROM shop.orders o, JSON_TABLE(o.email, '$[*]' COLUMNS (x INT PATH '$')) AS j",
            "CREATE VIEW shop.some AS SELECT id FROM shop.orders WHERE id IN (1, (SELECT MAX(id) FROM shop.joined))",
        ),
    ),
    Clean(
        "a view whose aliases are called as databases and functions are",
        READER,
        "SELECT * FROM shop.v",
        (
            COUNT,
            "CREATE TABLE shop.`counted(` (`hr.salaries` INT, `a``b` INT)",
            "CREATE VIEW shop.v AS SELECT mysql.email AS `from`, hr.`a``b` AS `shop``.``counted``()`, '`shop`.`counted`()' AS s,"
            " 'it''s \\\\' AS b FROM shop.orders AS mysql, shop.`counted(` AS hr",
        ),
    ),
    Clean(
        "a view with the caller's rights, whose text it may not see",
        READ,
        "SELECT * FROM shop.v",
        "CREATE SQL SECURITY INVOKER VIEW shop.v AS SELECT * FROM shop.orders",
    ),
    Clean(
        "one view, and only that is declared",
        "GRANT SELECT, SHOW VIEW ON shop.v TO {user}",
        "SELECT * FROM shop.v",
        "CREATE VIEW shop.v AS SELECT id FROM shop.orders",
        declared={"tables": ("shop.v",)},
    ),
    Clean(
        "a view of a table of another database that is declared as well",
        ("GRANT SELECT, SHOW VIEW ON shop.v TO {user}", "GRANT SELECT ON hr.salaries TO {user}"),
        "SELECT * FROM shop.v",
        "CREATE VIEW shop.v AS SELECT * FROM hr.salaries",
        declared={"tables": ("shop.v", "hr.salaries"), "databases": ("shop", "hr")},
    ),
    Clean(
        "writes, also through a view of its own database",
        "GRANT SELECT, INSERT, UPDATE, DELETE, SHOW VIEW ON shop.* TO {user}",
        "UPDATE shop.v SET email = ''",
        "CREATE VIEW shop.v AS SELECT * FROM shop.orders",
        declared={"access": "read-write"},
    ),
    Clean(
        "changes tables and reads nothing",
        "GRANT CREATE, ALTER, INDEX, REFERENCES ON shop.* TO {user}",
        "CREATE INDEX i ON shop.orders (email)",
        declared={"access": "ddl"},
    ),
]
