"""What is asked of an engine about a credential: all it can do as its server sees it, judged by nobody yet."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stepcreds.config.model import DatabaseURL
from stepcreds.measurement import Finding
from stepcreds.secret import Secret


class Examination(NamedTuple):
    """What one look at one database found. Every `Finding.standing` is still "within"."""

    findings: tuple[Finding, ...]
    not_examined: tuple[str, ...]
    server: str  # "PostgreSQL 16.14"
    round_trips: int  # after the login
    notes: tuple[str, ...] = ()
    experimental: str = ""  # why what was found is not to be relied on; "" where it is
    other_databases: tuple[str, ...] = ()  # that let it in, and of which this look saw nothing but that


class Engine(Protocol):
    """One kind of database."""

    def examine(
        self, url: DatabaseURL, username: str, password: Secret, *, named: frozenset[str], timeout: float
    ) -> Examination:
        """Connect as this user and ask the server what it can do, in one transaction that changes nothing.

        Relations in `named` ("app.orders", "app.orders.email" for its columns) get a finding of their own, so that a
        profile can be compared with them; all others are counted by schema. `timeout` is seconds for the whole call.

        Raises `DatabaseError` where the server cannot be reached, refuses the login, or gives an answer that cannot be
        understood: what nobody saw is never taken for harmless.
        """
        ...
