"""What an administrator's session of each database engine offers; `administrator` decides what is asked and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret
from stepcreds.setup.plan import Statement


class Console(Protocol):
    """One engine's session of an administrator. Everything raises `DatabaseError`."""

    in_one_transaction: bool  # whether `run` does all or nothing

    def ask(self, queries: Sequence[str]) -> list[bool | DatabaseError]:
        """The truth of each query; False where something that it names is not there yet."""
        ...

    def rows(self, query: str) -> Sequence[Sequence[object]]:
        """The rows of one query."""
        ...

    def run(self, statements: Sequence[str]) -> None:
        """Run all. Raises `StatementError`."""
        ...

    def texts(self, queries: Sequence[str]) -> list[str]:
        """The one text of each query, "" for null."""
        ...

    def may_administer(self) -> str:
        """A query for `ask`: whether this user could run statements of a plan at all."""
        ...

    def user_exists(self, name: str) -> str:
        """A query for `ask`."""
        ...

    def user_in_use(self, name: str) -> str:
        """A query for `ask`: whether somebody is logged in as that user, or it has issued users that are there."""
        ...

    def filled_in(self, sql: str, password: Secret) -> str:
        """A statement of the plan with `password` (letters, digits, `-` and `_`) in the place that it has for one."""
        ...

    def new_password(self, user: str) -> Statement:
        """The statement that gives `user` another password, with a place for it."""
        ...

    def close(self) -> None: ...


class StatementError(DatabaseError):
    """The statement number `position` (from 0) failed."""

    def __init__(self, error: DatabaseError, position: int, hint: str = "") -> None:
        super().__init__(error.what, sqlstate=error.sqlstate, fix=hint)
        self.position = position
