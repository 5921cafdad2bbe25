"""Measures one credential: at its own database as a step would, and on request at every other that lets it in."""

from __future__ import annotations

from stepcreds import scope
from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import DatabaseError, StepcredsError, UnmeasuredError
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
    url = profile.database
    engine = scope.engine_for(url.engine, clock) if url is not None else None
    if not everywhere or url is None or engine is None or url.engine != "postgresql":
        return scope.measure(profile, username, password, clock)

    def look(place: DatabaseURL) -> Examination:
        return engine.examine(place, username, password, named=scope.named(profile), timeout=scope.TIMEOUT)

    began = clock.monotonic()
    try:
        looks = {place.database: look(place) for place in scope.places(url, profile)}
    except DatabaseError as error:
        raise UnmeasuredError.of(profile.name, error.what, cause=error.cause, fix=error.fix) from None
    unseen = []
    others = dict.fromkeys(name for seen in looks.values() for name in seen.other_databases if name not in looks)
    for name in list(others)[:MOST_DATABASES]:
        try:
            looks[name] = look(url._replace(database=name))
        except DatabaseError as error:
            unseen.append(f"the database {one_line(name)}: {one_line(error.what)}")
    merged = scope.merged(looks)
    merged = merged._replace(
        not_examined=(*merged.not_examined, *unseen), other_databases=tuple(others)[MOST_DATABASES:]
    )
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
