"""One way in which a user of MariaDB has more power than its profile declares, and the server that it is tried on.

In every text `{user}` stands for the user's account, `{folder}` for a folder of the server's, `{victim}` for the number
of an administrator's open session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pymysql
from mariadb_server import Account, MariaDB, running, url_of

from stepcreds import scope
from stepcreds.clock import SystemClock
from stepcreds.config.model import Profile
from stepcreds.measurement import Measured

Texts = str | tuple[str, ...]
Act = Callable[[Any, MariaDB, Account], Any]  # a cursor of the user's; what it answers stands for what was read
NOTHING: Mapping[str, Any] = {}
WAIT = "SET lock_wait_timeout = 10"  # not a day, for a session that a failed test left open
SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")
# What every account of a case has to begin with, and what its profile declares.
READER = "GRANT SELECT, SHOW VIEW ON shop.* TO {user}"
TABLES = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.orders (id INT PRIMARY KEY, email VARCHAR(50))",
    "INSERT INTO shop.orders VALUES (1, 'ada@example.com'), (2, 'bob@example.com')",
    "CREATE DATABASE hr",
    "CREATE TABLE hr.salaries (id INT PRIMARY KEY, amount INT)",
    "INSERT INTO hr.salaries VALUES (1, 1000)",
)


class Case(NamedTuple):
    """Before `grant` the attack is refused and nothing is found; after it, the attack works and is found."""

    name: str
    codes: str  # all that is excess then, in order of the alphabet, with a blank between
    grant: Texts  # as root: the one thing too much
    attack: Texts | Act  # as the user
    watch: str = ""  # as root: a query whose answer the attack changes, or which it makes fail; "": the attack reads
    objects: Texts = ()  # as root: what is there to be attacked
    undo: Texts = ()  # as root: what would be seen by the cases that follow
    declared: Mapping[str, Any] = NOTHING  # of the profile, in place of read-only and the database `shop`
    base: Texts = READER
    via: str = ""  # of the finding


class Clean(NamedTuple):
    """A user that can do what its profile declares, and nothing else."""

    name: str
    grant: Texts
    can: str = "SELECT COUNT(*) FROM shop.orders"  # as the user: it works
    objects: Texts = ()
    undo: Texts = ()
    declared: Mapping[str, Any] = NOTHING


class Lab:
    """A server that the cases of one module share: each finds the same two databases, and nobody else's users."""

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        self._root = self._connect()
        self._victim = self._connect()

    def _connect(self) -> Any:
        return pymysql.connect(
            unix_socket=f"{self.server.folder}/socket", user="root", autocommit=True, init_command=WAIT
        )

    @contextmanager
    def account(self, objects: Texts, undo: Texts) -> Iterator[Account]:
        """A user with nothing, and after it nothing of its case."""
        account = Account(self.server)
        try:
            self.do(TABLES)
            self.do(objects)
            yield account
            self.do(undo, account)
        finally:
            self._clear()

    def _clear(self) -> None:
        for (database,) in self.do("SHOW DATABASES"):
            if database not in SYSTEM:
                self.do(f"DROP DATABASE `{database.replace('`', '``')}`")
        others = "SELECT User, is_role FROM mysql.user WHERE User NOT IN ('root', 'mariadb.sys', 'PUBLIC')"
        for name, role in self.do(others):
            quoted = f"`{name.replace('`', '``')}`"
            self.do(f"DROP ROLE {quoted}" if role == "Y" else f"DROP USER {quoted}@'%'")

    def do(self, texts: Texts, account: Account | None = None) -> list[Any]:
        """Run as root; the rows of the last."""
        with self._root.cursor() as cursor:
            return run(cursor, texts, self, account)

    def sees(self, query: str) -> Any:
        """What root sees now, an error's text where it meets one."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            try:
                return run(cursor, query, self, None)
            except pymysql.err.MySQLError as error:
                return str(error)

    def victim(self) -> int:
        """The number of an open session of root's."""
        try:
            self._victim.ping(reconnect=False)
        except pymysql.err.MySQLError:
            self._victim = self._connect()
        return int(self._victim.thread_id())

    def measure(self, account: Account, **declared: Any) -> Measured:
        url = url_of(self.server, database="shop")
        profile = Profile("case", "case", "mariadb/creds/case", url, "read-only")._replace(**declared)
        return scope.measure(profile, account.name, account.password, SystemClock())

    def close(self) -> None:
        self._root.close()
        self._victim.close()


def run(cursor: Any, texts: Texts, lab: Lab, account: Account | None) -> list[Any]:
    rows: list[Any] = []
    for text in (texts,) if isinstance(texts, str) else texts:
        statement = text.replace("{folder}", str(lab.server.folder))
        if account is not None:
            statement = statement.replace("{user}", f"'{account.name}'@'%'")
        if "{victim}" in statement:
            statement = statement.replace("{victim}", str(lab.victim()))
        cursor.execute(statement)
        rows = list(cursor.fetchall())
    return rows


@contextmanager
def lab_of(*options: str) -> Iterator[Lab]:
    with running(
        "--log-bin=binlog",
        "--binlog-format=MIXED",
        "--event-scheduler=OFF",
        "--log-bin-trust-function-creators=1",
        *options,
    ) as server:
        lab = Lab(server)
        try:
            yield lab
        finally:
            lab.close()
