"""The statements for MariaDB on a real OpenBao and MariaDB: what they give, and that nothing survives revocation."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple

import hvac
import pymysql
import pytest
from mariadb_server import MariaDB, running, url_of

from stepcreds import scope
from stepcreds.clock import SystemClock
from stepcreds.config.model import Profile
from stepcreds.devstack.openbao import OpenBao
from stepcreds.errors import UnsupportedError
from stepcreds.measurement import Measured
from stepcreds.secret import Secret
from stepcreds.setup import connections, mysql, vault
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.plan import MANAGER_PASSWORD, DatabasePlan

MANAGER = "stepcreds_vault"
MANAGERS_OWN = "of-the-manager"
# Without those that were ended already and take a moment to go: they can run nothing.
SESSIONS = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s AND COMMAND <> 'Killed'"


class Issued(NamedTuple):
    """A live credential."""

    bench: Bench
    lease_id: str
    user: str
    password: Secret

    @contextmanager
    def connect(self) -> Iterator[Any]:
        connection = self.bench.login(self.user, self.password)
        try:
            yield connection
        finally:
            with suppress(pymysql.err.MySQLError):  # the server may have ended it
                connection.close()

    def run(self, *statements: str) -> Any:
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def refused(self, statement: str) -> int:
        """The number of the error that the statement meets."""
        with pytest.raises(pymysql.err.MySQLError) as error:
            self.run(statement)
        return int(error.value.args[0])

    def revoke(self) -> int:
        body = {"lease_id": self.lease_id, "sync": True}
        return int(self.bench.vault.adapter.put("/v1/sys/leases/revoke", json=body).status_code)

    def assert_dead(self) -> None:
        with pytest.raises(pymysql.err.OperationalError) as error:
            self.bench.login(self.user, self.password)
        assert error.value.args[0] == 1045
        assert self.bench.root("SELECT User FROM mysql.user WHERE User = %s", self.user) == []
        assert self.bench.root(SESSIONS, self.user) == []


class Bench:
    """An OpenBao and a MariaDB, prepared by nothing but the statements under test."""

    def __init__(self, openbao: OpenBao, server: MariaDB) -> None:
        self.server = server
        self.vault = hvac.Client(url=openbao.address, token=openbao.root_token.reveal(), timeout=60)
        self._root = pymysql.connect(unix_socket=f"{server.folder}/socket", user="root", autocommit=True)

    def root(self, statement: str, *values: object) -> list[Any]:
        with self._root.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def login(self, user: str, password: Secret) -> Any:
        return pymysql.connect(
            host="127.0.0.1", port=self.server.port, user=user, password=password.reveal(), autocommit=True
        )

    def done(self, plan: DatabasePlan) -> list[bool]:
        return [bool(self.root(statement.done)[0][0]) for statement in plan.statements]

    def apply(self, plan: DatabasePlan) -> None:
        for statement in plan.statements:
            self.root(statement.sql.replace(MANAGER_PASSWORD, MANAGERS_OWN))

    def prepare(self, profiles: Sequence[Profile], answers: Answers) -> DatabasePlan:
        """Everything that `profiles` need, in the database and in OpenBao."""
        url = profiles[0].database
        assert url is not None
        plan = mysql.database_plan(url, profiles, answers)
        self.apply(plan)
        (connection,) = connections.connections(profiles, answers)
        self.vault.sys.enable_secrets_engine("database", path=connection.mount)
        body = {**connections.body(connection, answers, ["*"]), "password": MANAGERS_OWN}
        self.vault.write_data(connection.path, data=body)
        for profile in profiles:
            creation, revocation = mysql.role_statements(profile, answers)
            role = vault.database_role(profile, connection=connection.name, creation=creation, revocation=revocation)
            self.vault.write_data(profile.creds.replace("/creds/", "/roles/"), data=role)
        return plan

    @contextmanager
    def issue(self, profile: Profile) -> Iterator[Issued]:
        answer = self.vault.read(profile.creds)
        data = answer["data"]
        issued = Issued(self, answer["lease_id"], data["username"], Secret(data["password"]))
        try:
            yield issued
        finally:
            issued.revoke()

    def measure(self, profile: Profile, issued: Issued) -> Measured:
        return scope.measure(profile, issued.user, issued.password, SystemClock())

    def close(self) -> None:
        for mount in self.vault.sys.list_mounted_secrets_engines()["data"]:
            if mount.startswith("db"):
                self.vault.sys.disable_secrets_engine(mount)
        self.vault.adapter.close()
        self._root.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OpenBao, MariaDB]]:
    with OpenBao() as openbao, running() as server:
        yield openbao, server


@pytest.fixture(scope="module")
def bench(servers: tuple[OpenBao, MariaDB]) -> Iterator[Bench]:
    """With the three profiles of a shop."""
    made = Bench(*servers)
    for statement in (
        "CREATE DATABASE shop_a",
        "CREATE TABLE shop_a.orders (id INT PRIMARY KEY, email VARCHAR(50))",
        "INSERT INTO shop_a.orders VALUES (1, 'ada@example.com')",
        "CREATE DATABASE shopXa",
        "CREATE TABLE shopXa.orders (id INT)",
    ):
        made.root(statement)
    made.prepare(list(profiles_of(made.server).values()), ANSWERS)
    yield made
    made.close()


def profile_of(server: MariaDB, name: str, access: Any, database: str = "shop_a", **more: Any) -> Profile:
    url = url_of(server, database=database, engine=more.pop("engine", "mariadb"))
    return Profile(name, f"app-{name}", f"{more.pop('mount', 'db')}/creds/{name}", url, access, **more)


def profiles_of(server: MariaDB) -> dict[str, Profile]:
    return {
        "verify": profile_of(server, "verify", "read-only"),
        "backfill": profile_of(server, "backfill", "read-write"),
        "migrate": profile_of(server, "migrate", "ddl"),
        "index": profile_of(server, "index", "ddl"),
        "column": profile_of(server, "column", "read-only", columns=("shop_a.orders.id",)),
    }


def answers_of(names: Sequence[str], **more: Any) -> Answers:
    profiles = {name: ProfileAnswers({}, "", guard=name == "index") for name in names}
    return Answers("github", "https://issuer", "sub", {}, profiles, **more)


ANSWERS = answers_of(["verify", "backfill", "migrate", "index", "column"])


@pytest.fixture
def profiles(bench: Bench) -> dict[str, Profile]:
    return profiles_of(bench.server)


class Storm:
    """Four threads that work with a credential, and log in again whenever they are thrown out."""

    def __init__(self, issued: Issued) -> None:
        self._issued = issued
        self._stop = threading.Event()
        self._connected = threading.Barrier(5)
        self.survivors = 0  # how many could still work at the end
        self._threads = [threading.Thread(target=self._work) for _ in range(4)]

    def __enter__(self) -> Storm:
        """Returns when all four are at work."""
        for thread in self._threads:
            thread.start()
        self._connected.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        first = True
        while not self._stop.is_set():
            with suppress(pymysql.err.MySQLError, OSError), self._issued.connect() as connection:
                cursor = connection.cursor()
                if first:
                    first = False
                    self._connected.wait(20)
                while not self._stop.is_set():
                    cursor.execute("SELECT COUNT(*) FROM shop_a.orders")
                cursor.execute("SELECT COUNT(*) FROM shop_a.orders")
                self.survivors += 1


def survivors(bench: Bench, profile: Profile, trials: int) -> list[tuple[int, int, int]]:
    """What revoking answered, sessions at the server right after it, and clients that could go on."""
    seen = []
    for _ in range(trials):
        with bench.issue(profile) as issued:
            with Storm(issued) as storm:
                status = issued.revoke()
                left = bench.root(SESSIONS, issued.user)
            seen.append((status, len(left), storm.survivors))
            issued.assert_dead()
    return seen


class TestGiving:
    def test_a_reader_reads_and_nothing_else(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["verify"]) as issued:
            assert issued.run("SELECT COUNT(*) FROM shop_a.orders") == ((1,),)
            for statement in (
                "DELETE FROM shop_a.orders",
                "INSERT INTO shop_a.orders VALUES (2, '')",
                "CREATE TABLE shop_a.mine (id INT)",
                "DROP TABLE shop_a.orders",
                "SELECT * FROM shopXa.orders",
                "SELECT * FROM mysql.global_priv",
            ):
                assert issued.refused(statement) in (1142, 1044), statement
            assert bench.measure(profiles["verify"], issued).excess == ()

    def test_its_statements_and_sessions_are_limited(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["verify"]) as issued:
            assert issued.run("SELECT @@max_statement_time") == ((1800,),)
            sessions = [bench.login(issued.user, issued.password) for _ in range(10)]
            with pytest.raises(pymysql.err.OperationalError, match="max_user_connections"):
                bench.login(issued.user, issued.password)
            for session in sessions:
                session.close()

    def test_a_writer_writes(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["backfill"]) as issued:
            issued.run("INSERT INTO shop_a.orders (id) VALUES (3)", "DELETE FROM shop_a.orders WHERE id = 3")
            assert issued.refused("TRUNCATE shop_a.orders") == 1142
            assert bench.measure(profiles["backfill"], issued).excess == ()

    def test_a_migration_changes_tables_and_defines_nothing(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["migrate"]) as issued:
            issued.run("CREATE TABLE shop_a.fresh (id INT)", "DROP TABLE shop_a.fresh")
            assert (
                issued.refused("CREATE TRIGGER shop_a.t BEFORE INSERT ON shop_a.orders FOR EACH ROW SET @a = 1") == 1142
            )
            assert issued.refused("CREATE VIEW shop_a.v AS SELECT 1") == 1142
            assert issued.refused("CREATE PROCEDURE shop_a.p() SELECT 1") == 1044
            assert bench.measure(profiles["migrate"], issued).excess == ()

    def test_a_guarded_migration_has_no_data_and_drops_nothing(
        self, bench: Bench, profiles: dict[str, Profile]
    ) -> None:
        with bench.issue(profiles["index"]) as issued:
            issued.run("CREATE INDEX mail ON shop_a.orders (email)", "ALTER TABLE shop_a.orders ADD COLUMN n INT")
            for statement in (
                "SELECT * FROM shop_a.orders",
                "DELETE FROM shop_a.orders",
                "DROP TABLE shop_a.orders",
                "TRUNCATE shop_a.orders",
                "RENAME TABLE shop_a.orders TO shop_a.gone",
                "CREATE TABLE shop_a.copy SELECT * FROM shop_a.orders",
            ):
                assert issued.refused(statement) == 1142, statement
            assert bench.measure(profiles["index"], issued).excess == ()

    def test_columns_are_all_that_is_declared(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["column"]) as issued:
            assert issued.run("SELECT id FROM shop_a.orders") == ((1,),)
            assert issued.refused("SELECT email FROM shop_a.orders") == 1143
            assert bench.measure(profiles["column"], issued).excess == ()


class TestEnding:
    def test_clients_that_reconnect_without_end_do_not_survive(
        self, bench: Bench, profiles: dict[str, Profile]
    ) -> None:
        assert set(survivors(bench, profiles["verify"], 25)) == {(204, 0, 0)}

    def test_a_changed_password_and_an_open_transaction_do_not_help(
        self, bench: Bench, profiles: dict[str, Profile]
    ) -> None:
        with bench.issue(profiles["backfill"]) as issued, issued.connect() as connection:
            cursor = connection.cursor()
            cursor.execute("SET PASSWORD = PASSWORD('mine')")
            cursor.execute("BEGIN")
            cursor.execute("UPDATE shop_a.orders SET email = 'mine'")
            assert issued.revoke() == 204
            with pytest.raises(pymysql.err.MySQLError):
                cursor.execute("COMMIT")
            issued._replace(password=Secret("mine")).assert_dead()
        assert bench.root("SELECT email FROM shop_a.orders") == [("ada@example.com",)]

    def test_a_user_that_somebody_dropped_already_is_no_error(self, bench: Bench, profiles: dict[str, Profile]) -> None:
        with bench.issue(profiles["verify"]) as issued:
            bench.root("DROP USER %s@'%%'", issued.user)
            assert issued.revoke() == 204
            issued.assert_dead()

    def test_control_the_engines_default_leaves_every_session_at_work(
        self, bench: Bench, profiles: dict[str, Profile]
    ) -> None:
        profile = profiles["backfill"]._replace(creds="db/creds/control")
        creation, _ = mysql.role_statements(profiles["backfill"], ANSWERS)
        role = vault.database_role(profile, connection="shop_a", creation=creation, revocation=[])
        bench.vault.write_data("db/roles/control", data=role)
        bench.root(f"GRANT SELECT ON mysql.* TO {MANAGER}@'%'")  # without it, the default fails altogether
        bench.root(f"GRANT GRANT OPTION ON *.* TO {MANAGER}@'%'")
        try:
            with bench.issue(profile) as issued, issued.connect() as connection:
                cursor = connection.cursor()
                cursor.execute("USE shop_a")
                assert issued.revoke() == 204
                cursor.execute("INSERT INTO orders (id) VALUES (9)")
                assert cursor.execute("DELETE FROM orders WHERE id = 9") == 1
        finally:
            bench.root(f"REVOKE SELECT ON mysql.* FROM {MANAGER}@'%'")  # noqa: S608
            bench.root(f"REVOKE GRANT OPTION ON *.* FROM {MANAGER}@'%'")


class TestOnce:
    def test_each_statement_is_asked_for_and_may_be_run_again(self, bench: Bench) -> None:
        profiles = list(profiles_of(bench.server).values())
        answers = answers_of([profile.name for profile in profiles], manager="another")
        plan = mysql.database_plan(url_of(bench.server), profiles, answers)
        assert set(bench.done(plan)) == {False}
        for position, statement in enumerate(plan.statements):
            bench.root(statement.sql.replace(MANAGER_PASSWORD, MANAGERS_OWN))
            assert bench.done(plan) == [number <= position for number in range(len(plan.statements))]
        bench.apply(plan)
        bench.root("REVOKE GRANT OPTION ON `shop\\_a`.* FROM another")
        assert bench.done(plan) == [True, True, False, True]

    def test_the_management_user_has_nothing_that_it_does_not_hand_on(self, bench: Bench) -> None:
        lines = [row[0] for row in bench.root(f"SHOW GRANTS FOR {MANAGER}@'%'")]
        assert [line.partition(" TO ")[0] for line in lines] == [
            "GRANT CREATE USER, CONNECTION ADMIN ON *.*",
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, SHOW VIEW ON `shop\\_a`.*",
            "GRANT SELECT (`id`) ON `shop_a`.`orders`",
        ]

    def test_only_the_password_is_secret(self, bench: Bench) -> None:
        plan = mysql.database_plan(url_of(bench.server), list(profiles_of(bench.server).values()), ANSWERS)
        assert [statement.secret for statement in plan.statements] == [
            MANAGER_PASSWORD in statement.sql for statement in plan.statements
        ]
        assert [statement.secret for statement in plan.statements] == [True, False, False, False]


HOSTILE = [
    "o'brien",
    'say "so"',
    "b`tick``s",
    "100%_sure",
    "back\\slash\\_",
    "--comment /* x */ #",
    "a.b/c",
    "DROP TABLE x",
    "ünïcödé-数据库",
    "{name}",
    "%",
    "x" * 64,
]


@pytest.fixture(scope="module")
def hostile(bench: Bench) -> Iterator[dict[str, Profile]]:
    """A profile for each of the names, through one connection whose user has such a name too."""
    profiles = {}
    for number, name in enumerate(HOSTILE):
        quoted = name.replace("`", "``")
        bench.root(f"CREATE DATABASE `{quoted}`")
        bench.root(f"CREATE TABLE `{quoted}`.`{quoted}` (`{quoted}` INT)")
        profiles[name] = profile_of(
            bench.server, f"p{number}", "read-only", "shop_a", databases=(name,), mount="db-hostile"
        )
    names = [profile.name for profile in profiles.values()]
    plan = bench.prepare(list(profiles.values()), answers_of(names, manager="hostile_vault"))
    assert set(bench.done(plan)) == {True}
    yield profiles
    for name in HOSTILE:
        quoted = name.replace("`", "``")
        bench.root(f"DROP DATABASE `{quoted}`")


def test_columns_of_a_guarded_migration(bench: Bench) -> None:
    profile = profile_of(bench.server, "index", "ddl", tables=("shop_a.orders",), columns=("shop_a.other.id",))
    assert mysql.creation(profile, guard=True) == [
        "GRANT CREATE, ALTER, INDEX, REFERENCES ON `shop_a`.`orders` TO '{{name}}'@'%'",
        "GRANT REFERENCES (`id`) ON `shop_a`.`other` TO '{{name}}'@'%'",
    ]


class TestNames:
    @pytest.mark.parametrize("name", HOSTILE, ids=ascii)
    def test_a_name_that_can_be_written_gives_its_own_database(
        self, bench: Bench, hostile: dict[str, Profile], name: str
    ) -> None:
        quoted = name.replace("`", "``")
        with bench.issue(hostile[name]) as issued:
            assert issued.run(f"SELECT `{quoted}` FROM `{quoted}`.`{quoted}`") == ()  # noqa: S608
            visible = {row[0] for row in issued.run("SHOW DATABASES")}
            assert visible == {"information_schema", name}
            assert bench.measure(hostile[name], issued).excess == ()
            assert issued.revoke() == 204
            issued.assert_dead()

    @pytest.mark.parametrize("name", ["o'clock", "b`tack", "99%_sure", "back\\lash", "ünï"])
    def test_tables_and_columns_are_quoted_too(self, bench: Bench, name: str) -> None:
        quoted = name.replace("`", "``")
        profile = profile_of(
            bench.server, "p", "read-write", name, tables=(f"{name}.{name}",), columns=(f"{name}.other.{name}",)
        )
        plan = mysql.database_plan(url_of(bench.server), [profile], answers_of(["p"], manager=name))
        bench.root(f"CREATE DATABASE `{quoted}`")
        bench.root(f"CREATE TABLE `{quoted}`.`{quoted}` (`{quoted}` INT)")
        bench.root(f"CREATE TABLE `{quoted}`.other (`{quoted}` INT)")
        try:
            assert set(bench.done(plan)) == {False}
            bench.apply(plan)
            assert bench.done(plan) == [True] * 4
        finally:
            bench.root(f"DROP DATABASE `{quoted}`")
            bench.root("DROP USER IF EXISTS %s@'%%'", name)

    @pytest.mark.parametrize("name", ["", "x" * 65, "blank ", "nul\0", "\U0001f600", "\ud800", "_" * 33])
    def test_what_is_no_name_is_refused(self, bench: Bench, name: str) -> None:
        profile = profile_of(bench.server, "p", "read-only", "shop_a", databases=(name,))
        if not name:
            profile = profile_of(bench.server, "p", "read-only", "")
        with pytest.raises(UnsupportedError) as refused:
            mysql.role_statements(profile, answers_of(["p"]))
        if not name:
            assert refused.value.what == "The profile 'p' names a server and no database on it."
            assert refused.value.cause == (
                "Rights on all databases are rights on the server's own, and on everybody's password hashes."
            )
            return
        assert refused.value.what == f"{name!a} cannot be a name in MariaDB."
        assert refused.value.cause == (
            "A name has 1 to 64 characters of the Unicode BMP, with the backslashes before '_' and '%' in the name of a"
            " database, and does not end with a blank."
        )

    @pytest.mark.parametrize("name", ["a;b", "{{name}}", "a}}"])
    @pytest.mark.parametrize("make", ["database", "table", "column", "manager"])
    def test_what_means_something_to_the_engine_is_refused(self, bench: Bench, name: str, make: str) -> None:
        more: dict[str, Any] = {
            "database": {"databases": (name,)},
            "table": {"tables": (f"shop.{name}",)},
            "column": {"columns": (f"shop.orders.{name}",)},
            "manager": {},
        }[make]
        profile = profile_of(bench.server, "p", "read-only", **more)
        answers = answers_of(["p"], **({"manager": name} if make == "manager" else {}))
        with pytest.raises(UnsupportedError) as refused:
            mysql.database_plan(url_of(bench.server), [profile], answers)
        assert refused.value.what == f"{name!a} cannot stand in a statement for Vault's database engine."
        assert refused.value.cause == (
            "The engine cuts statements at ';', and fills in what stands between '{{' and '}}', in quotes too."
        )

    def test_the_engine_cuts_a_statement_at_a_semicolon_inside_quotes(
        self, bench: Bench, profiles: dict[str, Profile]
    ) -> None:
        """Why such names are refused."""
        creation = [
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
            "GRANT SELECT ON `a;b`.* TO '{{name}}'@'%'",
        ]
        profile = profiles["verify"]._replace(creds="db/creds/cut")
        role = vault.database_role(profile, connection="shop_a", creation=creation, revocation=mysql.revocation())
        bench.vault.write_data("db/roles/cut", data=role)
        with pytest.raises(hvac.exceptions.VaultError, match="near '`a'"):
            bench.vault.read("db/creds/cut")

    @pytest.mark.parametrize(
        "more", [{"tables": ("hr.salaries",)}, {"columns": ("shop_a.orders.id", "hr.salaries.id")}]
    )
    def test_a_table_of_a_database_that_is_not_declared_is_refused(self, bench: Bench, more: dict[str, Any]) -> None:
        """Measuring would find its rights there, and end every user that is issued."""
        with pytest.raises(UnsupportedError) as refused:
            mysql.role_statements(profile_of(bench.server, "p", "read-only", **more), answers_of(["p"]))
        assert refused.value.what == (
            "The profile 'p' names tables of the database 'hr', which is not among its databases."
        )
        assert refused.value.fix == "Add the database to `databases`, or take the tables away."
        declared = profile_of(bench.server, "p", "read-only", **more, databases=("shop_a", "hr"))
        assert "`hr`.`salaries`" in mysql.role_statements(declared, answers_of(["p"]))[0][-1]

    @pytest.mark.parametrize(
        ("more", "what"),
        [
            ({"tables": ("orders",)}, "'orders' is not of the form database.table."),
            ({"columns": ("shop.orders",)}, "'shop.orders' is not of the form database.table.column."),
        ],
    )
    def test_a_table_needs_its_database(self, bench: Bench, more: dict[str, Any], what: str) -> None:
        with pytest.raises(UnsupportedError) as refused:
            mysql.role_statements(profile_of(bench.server, "p", "read-only", **more), answers_of(["p"]))
        assert refused.value.what == what


@pytest.fixture(scope="module")
def plain(bench: Bench) -> Profile:
    profile = profile_of(bench.server, "plain", "read-write", engine="mysql", mount="db-mysql")
    plan = bench.prepare([profile], answers_of(["plain"], manager="mysql_vault"))
    assert set(bench.done(plan)) == {True}
    bench.apply(plan)
    return profile


class TestMySQL:
    """What is written for the scheme mysql://, on MariaDB: no MySQL was to be had."""

    def test_a_procedure_ends_the_sessions(self, bench: Bench, plain: Profile) -> None:
        assert set(survivors(bench, plain, 10)) == {(204, 0, 0)}

    def test_its_user_may_not_end_anybody_elses(self, bench: Bench, plain: Profile) -> None:
        with closing(bench.login("mysql_vault", Secret(MANAGERS_OWN))) as manager, manager.cursor() as cursor:
            cursor.execute("CALL stepcreds.end_sessions('root')")
        assert bench.root("SELECT 1") == [(1,)]

    def test_the_lists(self, plain: Profile) -> None:
        creation, revocation = mysql.role_statements(plain, answers_of(["plain"]))
        assert creation == [
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' WITH MAX_USER_CONNECTIONS 10",
            "GRANT SELECT, INSERT, UPDATE, DELETE, SHOW VIEW ON `shop\\_a`.* TO '{{name}}'@'%'",
        ]
        assert revocation == [
            "ALTER USER IF EXISTS '{{name}}'@'%' ACCOUNT LOCK",
            "CALL stepcreds.end_sessions('{{name}}')",
            "DROP USER IF EXISTS '{{name}}'@'%'",
            "CALL stepcreds.end_sessions('{{name}}')",
        ]


def test_the_lists_of_mariadb(bench: Bench, profiles: dict[str, Profile]) -> None:
    creation, revocation = mysql.role_statements(profiles["verify"], ANSWERS)
    assert creation == [
        "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' WITH MAX_USER_CONNECTIONS 10 MAX_STATEMENT_TIME 1800",
        "GRANT SELECT, SHOW VIEW ON `shop\\_a`.* TO '{{name}}'@'%'",
    ]
    assert revocation == [
        "ALTER USER IF EXISTS '{{name}}'@'%' ACCOUNT LOCK",
        "KILL USER '{{name}}'",
        "DROP USER IF EXISTS '{{name}}'@'%'",
        "KILL USER '{{name}}'",
    ]
