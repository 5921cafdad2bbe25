"""MariaDB's and MySQL's session of an administrator: asks what is there, and runs statements one by one."""

from __future__ import annotations

from collections.abc import Sequence

from stepcreds.config.login_url import LoginURL
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.mysql_session import RefusedError, open_session
from stepcreds.databases.stream import Deadline
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret
from stepcreds.setup.live.console import StatementError
from stepcreds.setup.mysql.names import literal
from stepcreds.setup.mysql.names import user as account
from stepcreds.setup.plan import MANAGER_PASSWORD, Statement

# No such database, table, column, grant, routine: what is asked about is not there yet.
_NOT_THERE = frozenset({1049, 1146, 1054, 1141, 1305})


class MySQLConsole:
    """`console.Console` for MariaDB and MySQL."""

    in_one_transaction = False

    def __init__(self, url: DatabaseURL, login: LoginURL, deadline: Deadline) -> None:
        self._session = open_session(url, login.user, login.password, deadline)

    def ask(self, queries: Sequence[str]) -> list[bool | DatabaseError]:
        return [self._truth(query) for query in queries]

    def texts(self, queries: Sequence[str]) -> list[str]:
        return [str(self._session.query(query)[0][0] or "") for query in queries]

    def may_administer(self) -> str:
        return "SELECT TRUE"  # nothing of a plan for MySQL is left as it is

    def rows(self, query: str) -> Sequence[Sequence[object]]:
        return self._session.query(query)

    def run(self, statements: Sequence[str]) -> None:
        for position, statement in enumerate(statements):
            try:
                self._session.query(statement)
            except DatabaseError as error:
                raise StatementError(error, position) from None

    def user_exists(self, name: str) -> str:
        return f"SELECT EXISTS (SELECT 1 FROM mysql.user WHERE User = {literal(name)} AND Host = '%')"  # noqa: S608 - quoted

    def user_in_use(self, name: str) -> str:
        # Who issued a user is not kept; Vault keeps its sessions.
        return f"SELECT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST WHERE USER = {literal(name)})"  # noqa: S608

    def filled_in(self, sql: str, password: Secret) -> str:
        return sql.replace(MANAGER_PASSWORD, password.reveal())

    def new_password(self, user: str) -> Statement:
        return Statement(
            f"ALTER USER {account(user)} IDENTIFIED BY '{MANAGER_PASSWORD}'",
            "",
            "A new password for the user that Vault logs in as; with the old one Vault no longer gets in.",
            secret=True,
        )

    def close(self) -> None:
        self._session.close()

    def _truth(self, query: str) -> bool | DatabaseError:
        try:
            rows = self._session.query(query)
        except RefusedError as error:
            return False if error.number in _NOT_THERE else error
        return bool(rows) and bool(rows[0][0])
