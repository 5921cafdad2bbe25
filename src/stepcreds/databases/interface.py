"""What stepcreds asks of a database about a credential that is to die; each engine answers in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from stepcreds.config.model import DatabaseURL
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

if TYPE_CHECKING:
    from stepcreds.databases.messages import Row, ServerError


class Session(Protocol):
    """A session of PostgreSQL, as somebody else may ask it: the part of `wire.Connection` that stands for it."""

    server_version: str

    def query_all(self, statements: Sequence[str]) -> list[list[Row] | ServerError]:
        """See `wire.Connection.query_all`."""
        ...


class Sighting(NamedTuple):
    """What a witness saw of a user that should be gone. Only `absent` proves anything."""

    answer: Literal["absent", "present", "unknown"]
    detail: str = ""


class Engine(Protocol):
    """One kind of database. Every `timeout` is seconds for the whole call, the making of the connection included.

    But for `prepare` nothing here raises because of what a server did, said or left out: that is the answer.
    """

    def prepare(self, url: DatabaseURL) -> None:
        """Everything that can fail without a connection, so that it fails before a credential exists.

        Raises `DatabaseError` for a certificate file that cannot be used or an `sslmode` that nobody can fulfil,
        `UnsupportedError` for a driver that is not installed.
        """
        ...

    def lock(
        self,
        url: DatabaseURL,
        username: str,
        password: Secret,
        new_password: Secret,
        *,
        timeout: float,
        last: Callable[[Session], None] | None = None,
    ) -> Lock:
        """Shut the user out of the database, as that user: set `new_password`, end all its other sessions.

        It may be asked again after it was cut short: it then finds `new_password` already set, and goes on. `last` is
        called with the session that locked, when no other can do anything any more, where the engine is PostgreSQL; it
        is to raise nothing, and has what is left of `timeout`.
        """
        ...

    def try_login(self, url: DatabaseURL, username: str, password: Secret, *, timeout: float) -> LoginProof:
        """What the database says to a login with these; `refused` only if it said that this login cannot be."""
        ...

    def absent(self, url: DatabaseURL, username: str, password: Secret, *, dead_user: str, timeout: float) -> Sighting:
        """Whether the live user `username`, asked as a witness, sees anything of `dead_user` or of its sessions."""
        ...
