"""A database as its administrator sees it: which statements of the plan are missing there, and running them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.login_url import LoginURL
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.stream import Deadline, UnreachableError, place
from stepcreds.errors import DatabaseError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.setup.live.console import Console, StatementError
from stepcreds.setup.plan import DatabasePlan, Statement

_NO_DATABASE = "3D000"  # PostgreSQL; at MariaDB and MySQL an administrator logs in to no database
PATIENCE = 120.0  # seconds for all statements of one database: GRANT ON ALL TABLES may have many to go through


class Administrator(NamedTuple):
    """Who may change a server, and how it is reached from here."""

    login: LoginURL
    variable: str  # of the environment, which holds the URL

    def __repr__(self) -> str:
        return f"Administrator({self.variable!r})"

    def at(self, plan: DatabasePlan) -> DatabaseURL:
        """Where the administrator finds the database of `plan`."""
        return self.login.url._replace(database=plan.url.database, engine=plan.url.engine)


class Found(NamedTuple):
    """What a database of the plan needs."""

    missing: tuple[Statement, ...]
    has_manager: bool  # whether the user that Vault logs in as is there,
    manager_in_use: bool  # and whether somebody uses it
    left: tuple[tuple[Statement, str], ...] = ()  # what this administrator cannot change, and why
    refused: tuple[tuple[Statement, str], ...] = ()  # what would fail, and why, line by line


class Session:
    """The administrator at one database of the plan, from `open_session`."""

    def __init__(self, console: Console, plan: DatabasePlan) -> None:
        self.console = console
        self._plan = plan

    def look(self) -> Found:
        """A statement that cannot be asked about is missing where any other is. Raises `DatabaseError`."""
        asked = [statement for statement in self._plan.statements if statement.done]
        console, manager = self.console, self._plan.manager
        of_user = (console.user_exists(manager), console.user_in_use(manager), console.may_administer())
        *answers, exists, in_use, administers = console.ask([*(statement.done for statement in asked), *of_user])
        for statement, answer in zip(asked, answers, strict=True):
            if isinstance(answer, DatabaseError):
                raise _not_asked(statement, self._plan, answer)
        for answer in (exists, in_use, administers):
            if isinstance(answer, DatabaseError):
                raise answer
        done = [statement for statement, answer in zip(asked, answers, strict=True) if answer]
        missing = [statement for statement in self._plan.statements if statement not in done]
        # Whoever may only look is not told what others would leave as it is.
        left = self._left(missing) if administers else []
        needed = tuple(each for each in missing if each not in [statement for statement, _ in left])
        return Found(
            needed if any(each.done for each in needed) else (),
            exists is True,
            in_use is True,
            tuple(left),
            tuple(self._refused(needed)),
        )

    def _refused(self, needed: Sequence[Statement]) -> list[tuple[Statement, str]]:
        asked = [statement for statement in needed if statement.refused]
        reasons = self.console.texts([statement.refused for statement in asked])
        return [(each, reason) for each, reason in zip(asked, reasons, strict=True) if reason]

    def _left(self, missing: Sequence[Statement]) -> list[tuple[Statement, str]]:
        asked = [statement for statement in missing if statement.unless]
        reasons = self.console.texts([statement.unless for statement in asked])
        return [(each, one_line(reason)) for each, reason in zip(asked, reasons, strict=True) if reason]

    def run(self, password: Secret | None) -> None:
        """Run what is missing, and set the management user's password unless it is None. Raises `DatabaseError`."""
        statements = list(self.look().missing)
        # A user that is made for another reason than its password gets one that nobody knows.
        given = password or Secret(secrets.token_urlsafe(32))
        if password is not None:
            after = [position for position, each in enumerate(statements) if each.secret]
            statements.insert(after[-1] + 1 if after else 0, self.console.new_password(self._plan.manager))
        texts = [self.console.filled_in(each.sql, given) if each.secret else each.sql for each in statements]
        try:
            self.console.run(texts)
        except StatementError as error:
            done = 0 if self.console.in_one_transaction else error.position
            raise _failed(statements[error.position], self._plan, error, done, given) from None

    def close(self) -> None:
        self.console.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_session(plan: DatabasePlan, administrator: Administrator, clock: Clock) -> Session:
    """Log in. Raises `DatabaseError`, and `UnsupportedError` without the engine's driver."""
    url, deadline = administrator.at(plan), Deadline(clock, PATIENCE)
    try:
        if url.engine == "postgresql":
            from stepcreds.setup.live.postgresql_console import PostgreSQLConsole

            return Session(PostgreSQLConsole(url, administrator.login, deadline), plan)
        from stepcreds.setup.live.mysql_console import MySQLConsole

        return Session(MySQLConsole(url, administrator.login, deadline), plan)
    except DatabaseError as error:
        if error.sqlstate == _NO_DATABASE:
            raise _no_database(plan, error) from None
        unreachable = isinstance(error, UnreachableError)
        raise DatabaseError(
            f"The administrator of ${administrator.variable} is not let in: {error.what}",
            sqlstate=error.sqlstate,
            cause=error.cause,
            fix=error.fix if unreachable and error.fix else f"Look at the URL in ${administrator.variable}.",
            docs="setup-administrator",
        ) from None


def where(plan: DatabasePlan) -> str:
    """The database of `plan`, for a sentence."""
    return f"{place(plan.url.host, plan.url.port)}/{one_line(plan.url.database, 80)}".rstrip("/")


def _no_database(plan: DatabasePlan, error: DatabaseError) -> DatabaseError:
    name = '"' + plan.url.database.replace('"', '""') + '"'
    return DatabaseError(
        f"There is no database {one_line(plan.url.database, 80)} at {place(plan.url.host, plan.url.port)}",
        sqlstate=error.sqlstate,
        cause="The administrator was let in; the profiles' `database` names one that the server does not have. setup "
        "makes what a database needs, and no database.",
        fix=f"Correct `database` in stepcreds.yml, or make it: CREATE DATABASE {one_line(name, 200)}",
        docs="setup-no-database",
    )


def _not_asked(statement: Statement, plan: DatabasePlan, error: DatabaseError) -> DatabaseError:
    return DatabaseError(
        f"{where(plan)} does not say whether this is so already: {statement.why}",
        sqlstate=error.sqlstate,
        cause=error.what,
        fix=f"The query was:\n{statement.done}",
        docs="setup-statement",
    )


def _failed(
    statement: Statement, plan: DatabasePlan, error: StatementError, done: int, password: Secret
) -> DatabaseError:
    rest = "All statements for this database are one transaction: nothing of it is there."
    if done:
        rest = f"What came before it ({done}) is there, and will not be run again."
    statement_text = "" if statement.secret else f"The statement was:\n{statement.sql}"
    return DatabaseError(
        f"A statement failed at {where(plan)}: {statement.why}",
        sqlstate=error.sqlstate,
        cause=f"{error.what.replace(password.reveal(), '***')}. {rest}",
        fix=f"{error.fix}\n{statement_text}".strip(),
        docs="setup-statement",
    )
