"""PostgreSQL's session of an administrator: asks what is there, and runs statements in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stepcreds.config.login_url import LoginURL
from stepcreds.config.model import DatabaseURL
from stepcreds.databases import scram
from stepcreds.databases.messages import Row, ServerError
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import connect
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret
from stepcreds.setup.live.console import StatementError
from stepcreds.setup.plan import MANAGER_PASSWORD, Statement
from stepcreds.setup.postgresql.names import literal
from stepcreds.setup.postgresql.roles import new_password

# Nothing that somebody put into another schema may stand for what pg_catalog has: an administrator would run it.
_SETTINGS = (
    "SET search_path = pg_catalog, pg_temp",
    "SET standard_conforming_strings = on",
    "SET lock_timeout = '10s'",
)
# Undefined column, function, object, table, schema: what is asked about is not there yet.
_NOT_THERE = frozenset({"42703", "42883", "42704", "42P01", "3F000"})


class PostgreSQLConsole:
    """`console.Console` for PostgreSQL."""

    in_one_transaction = True

    def __init__(self, url: DatabaseURL, login: LoginURL, deadline: Deadline) -> None:
        self._connection = connect(url, login.user, login.password, deadline)
        for answer in self._connection.query_all(_SETTINGS):
            if isinstance(answer, ServerError):
                self.close()
                raise answer

    def ask(self, queries: Sequence[str]) -> list[bool | DatabaseError]:
        return [_truth(answer) for answer in self._connection.query_all(queries)]

    def texts(self, queries: Sequence[str]) -> list[str]:
        return [str(self._connection.query(query)[0][0] or "") for query in queries]

    def may_administer(self) -> str:
        return "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = session_user"

    def rows(self, query: str) -> list[Row]:
        return self._connection.query(query)

    def run(self, statements: Sequence[str]) -> None:
        position = 0
        try:
            self._connection.query("BEGIN")
            for position, statement in enumerate(statements):  # noqa: B007 - the last one is what failed
                self._connection.query(statement)
            self._connection.query("COMMIT")
        except DatabaseError as error:
            with suppress(DatabaseError):
                self._connection.query("ROLLBACK")
            raise StatementError(error, position, getattr(error, "hint", "")) from None

    def user_exists(self, name: str) -> str:
        return f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(name)})"  # noqa: S608 - quoted

    def user_in_use(self, name: str) -> str:
        # Vault keeps its sessions, and is a member of each user that it issued.
        user = literal(name)
        return (
            f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = {user})"  # noqa: S608 - quoted
            " OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member"
            " JOIN pg_roles r ON r.oid = m.roleid"
            f" WHERE u.rolname = {user} AND r.rolvaliduntil > now() AND r.rolvaliduntil < 'infinity')"
        )

    def filled_in(self, sql: str, password: Secret) -> str:
        # The verifier: the password itself reaches neither the server nor its log.
        return sql.replace(MANAGER_PASSWORD, scram.verifier(password))

    def new_password(self, user: str) -> Statement:
        return new_password(user)

    def close(self) -> None:
        self._connection.close()


def _truth(answer: list[Row] | ServerError) -> bool | DatabaseError:
    if isinstance(answer, ServerError):
        return False if answer.sqlstate in _NOT_THERE else answer
    return bool(answer) and answer[0][0] == "t"
