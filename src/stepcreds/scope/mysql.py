"""What a credential of MySQL can do, as the server itself answers."""

from __future__ import annotations

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.errors import DatabaseError
from stepcreds.scope.interface import Examination
from stepcreds.secret import Secret


class MySQL:
    """The `Engine` of MySQL."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def examine(
        self, url: DatabaseURL, username: str, password: Secret, *, named: frozenset[str], timeout: float
    ) -> Examination:
        raise DatabaseError("not built yet")
