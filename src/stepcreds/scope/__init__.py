"""What a credential can really do, held against its profile; and the only maker of a `Grant`.

What is delivered has been looked at, or says in words that nobody looked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from stepcreds.clock import Clock
from stepcreds.config.model import Profile
from stepcreds.errors import DatabaseError, UnmeasuredError
from stepcreds.measurement import Finding, Measured, Measurement, NotMeasured
from stepcreds.model import Grant, Lease
from stepcreds.scope.interface import Engine, Examination
from stepcreds.scope.judgement import judge
from stepcreds.secret import Secret

TIMEOUT = 30.0  # seconds, for one look at one database


def not_measured(profile: Profile) -> NotMeasured | None:
    """Why nobody is to look at what a credential of `profile` can do; None where somebody is."""
    if profile.measure == "off":
        return NotMeasured("the profile says measure: off")
    if profile.database is None:
        return NotMeasured("there is no database to ask")
    return None


def measure(profile: Profile, username: str, password: Secret, clock: Clock) -> Measured:
    """What the credential can do at the profile's database, each finding held against what the profile declares.

    Raises `UnmeasuredError` where it could not be found out; never for what was found: see `refusal.check`.
    """
    url = profile.database
    engine = engine_for(url.engine, clock) if url is not None else None
    if url is None or engine is None:
        raise UnmeasuredError.of(profile.name, "nobody can measure what a credential of this engine can do")
    began = clock.monotonic()
    try:
        examination = engine.examine(url, username, password, named=named(profile), timeout=TIMEOUT)
    except DatabaseError as error:
        raise UnmeasuredError.of(profile.name, error.what, cause=error.cause, fix=error.fix) from None
    return held_against(profile, examination, clock.monotonic() - began, clock.now())


def held_against(profile: Profile, examination: Examination, seconds: float, time: float) -> Measured:
    """`examination` as a measurement: every finding judged, excess first."""
    findings = judge(examination.findings, profile)
    return Measured(
        findings,
        examination.not_examined,
        examination.server,
        seconds,
        examination.round_trips,
        time,
        digest(findings),
        examination.notes,
    )


def named(profile: Profile) -> frozenset[str]:
    """The relations and columns that the profile speaks of one by one."""
    allowed = (entry.what.partition(" ")[2] for entry in profile.allow)
    return frozenset((*profile.tables, *profile.columns, *allowed))


def digest(findings: Iterable[Finding]) -> str:
    """SHA-256 (hex) of what the findings give power over, whatever the order, the counts and the examples."""
    powers = sorted([each.code, each.subject, each.level, each.via] for each in findings)
    return hashlib.sha256(json.dumps(powers, separators=(",", ":")).encode()).hexdigest()


def engine_for(name: str, clock: Clock) -> Engine | None:
    """The engine that can look at a database of this kind; None where there is none. Imported when asked for."""
    if name == "postgresql":
        from stepcreds.scope.postgresql import PostgreSQL

        return PostgreSQL(clock)
    if name in ("mysql", "mariadb"):
        from stepcreds.scope.mysql import MySQL

        return MySQL(clock)
    return None


def grant(profile: Profile, lease: Lease, measurement: Measurement) -> Grant:
    """`lease` as something that may be delivered: `deliver` takes nothing else, and nothing else makes one."""
    return Grant(profile, lease, measurement)
