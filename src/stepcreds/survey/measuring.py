"""Measures one credential: at its own database as a step would, and on request at every other that lets it in."""

from __future__ import annotations

from stepcreds import scope
from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.databases.stream import Deadline
from stepcreds.errors import DatabaseError, StepcredsError
from stepcreds.measurement import Measured
from stepcreds.printable import one_line
from stepcreds.scope.interface import Examination
from stepcreds.secret import Secret

MOST_DATABASES = 100


def measure(profile: Profile, username: str, password: Secret, clock: Clock, *, everywhere: bool = False) -> Measured:
    """What the credential can do. With `everywhere` at each other database of a PostgreSQL server, too.

    A database that lets it in and cannot be measured is named in `not_examined`. Raises `UnmeasuredError` where
    the profile's own cannot be.
    """
    began = clock.monotonic()
    measured = scope.measure(profile, username, password, clock)
    url = profile.database
    if not everywhere or url is None or url.engine != "postgresql":
        return measured
    seen = {place.database for place in scope.places(url, profile)}
    others = [name for name in _databases(url, username, password, clock) if name not in seen]
    looks = [
        Examination(measured.findings, measured.not_examined, measured.server, measured.round_trips + 1, measured.notes)
    ]
    unseen = []
    engine = scope.engine_for(url.engine, clock)
    for name in others[:MOST_DATABASES]:
        try:
            assert engine is not None  # noqa: S101 - it has just measured
            place = url._replace(database=name)
            looks.append(engine.examine(place, username, password, named=scope.named(profile), timeout=scope.TIMEOUT))
        except DatabaseError as error:
            unseen.append(f"the database {one_line(name)}, which lets it in: {one_line(error.what)}")
    if len(others) > MOST_DATABASES:
        unseen.append(f"{len(others) - MOST_DATABASES} more databases that let it in")
    merged = scope.merged(looks)
    merged = merged._replace(not_examined=(*merged.not_examined, *unseen))
    return scope.held_against(profile, merged, clock.monotonic() - began, clock.now())


def without_way_out(error: StepcredsError) -> StepcredsError:
    """`error`, without the advice to a step that it need not be measured: this is all about measuring."""
    error.fix = error.fix.partition("Or accept that nobody looks")[0].rstrip()
    return error


def unmeasurable(profile: Profile, clock: Clock) -> str:
    """Why no credential of `profile` can be measured, so that none need be issued; "" where it can."""
    if profile.database is None:
        return "there is no database to ask"
    if scope.engine_for(profile.database.engine, clock) is None:
        return "nobody can measure what a credential of this engine can do"
    return ""


def _databases(url: DatabaseURL, username: str, password: Secret, clock: Clock) -> list[str]:
    """The databases of the server that let this user in, but for the one that was asked."""
    from stepcreds.databases.wire import connect

    with connect(url, username, password, Deadline(clock, scope.TIMEOUT)) as session:
        rows = session.query(
            "SELECT datname::pg_catalog.text FROM pg_catalog.pg_database"
            " WHERE datallowconn AND datname <> pg_catalog.current_database()"
            " AND pg_catalog.has_database_privilege(session_user, oid, 'CONNECT') ORDER BY 1"
        )
    return [name for (name,) in rows if name is not None]
