"""Two looks at what a DDL command may leave behind: one before it, one after it, both as the issued user itself."""

from __future__ import annotations

from collections.abc import Callable

from stepcreds.clock import Clock
from stepcreds.config.model import Profile
from stepcreds.databases.interface import Session
from stepcreds.measurement import Change
from stepcreds.scope.left_behind import State, left_behind
from stepcreds.secret import Secret


def first_look(
    profile: Profile,
    username: str,
    password: Secret,
    clock: Clock,
    *,
    timeout: float,
    last: Callable[[Session], None] | None = None,
) -> State:
    """What is there before the command; nothing for an engine that tells afterwards whose everything is.

    `last` is called with the look's own session, if that is PostgreSQL's, and is to raise nothing.

    Raises `DatabaseError`.
    """
    url = profile.database
    if url is None or url.engine != "postgresql":
        return {}
    from stepcreds.scope.postgresql.state import look

    return look(url, username, password, clock, timeout=timeout, last=last)


def second_look(
    profile: Profile, username: str, password: Secret, before: State, clock: Clock, *, timeout: float
) -> tuple[Change, ...]:
    """What outlives the user that was not there at the first look, what widens somebody's power first.

    To be asked before the user is removed. Raises `DatabaseError`.
    """
    url = profile.database
    if url is None:
        return ()
    if url.engine == "postgresql":
        return left_behind(before, first_look(profile, username, password, clock, timeout=timeout))
    from stepcreds.scope.mysql.left import definer_objects

    return definer_objects(url, username, password, clock=clock, timeout=timeout)
