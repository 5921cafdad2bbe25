"""Databases as stepcreds meets them at the end of a step: locking a user out, and seeing that it stays out."""

from __future__ import annotations

from stepcreds.clock import Clock, SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.interface import Engine


def engine_for(url: DatabaseURL | None, clock: Clock | None = None) -> Engine | None:
    """The engine that can lock and prove for `url`; None where there is no login that could be asked.

    Nothing of an engine is imported before it is asked for: a step with Redis pays for no PostgreSQL.
    """
    name = url.engine if url is not None else ""
    if name == "postgresql":
        from stepcreds.databases.postgresql import PostgreSQL

        return PostgreSQL(clock or SystemClock())
    if name in ("mysql", "mariadb"):
        from stepcreds.databases.mysql import MySQL

        return MySQL(clock or SystemClock())
    return None
