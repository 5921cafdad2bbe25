"""What a credential can really do, held against its profile; and the only maker of a `Grant`.

What is delivered has been looked at, or says in words that nobody looked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from stepcreds.clock import Clock
from stepcreds.config.engines import ENGINES_BY_NAME
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import DatabaseError, UnmeasuredError
from stepcreds.measurement import Finding, Measured, Measurement, NotMeasured
from stepcreds.model import Grant, Lease
from stepcreds.scope.allowances import day, remarks
from stepcreds.scope.interface import Engine, Examination
from stepcreds.scope.judgement import judge
from stepcreds.secret import Secret

__all__ = ["engine_for", "grant", "held_against", "measure", "merged", "named", "not_measured", "places", "remarks"]

TIMEOUT = 30.0  # seconds, for one look at one database
# Too many connections, also of this user; starting up. MySQL's numbers for the first two are 1040, 1203 and 1226.
PASSING = ("53300", "57P03", "1040", "1203", "1226")
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds
MOST_NAMES = 10  # of databases that nobody looked into, in a sentence


def not_measured(profile: Profile) -> NotMeasured | None:
    """Why nobody is to look at what a credential of `profile` can do; None where somebody is."""
    if profile.measure == "off":
        return NotMeasured("the profile says measure: off")
    if profile.database is None:
        return NotMeasured("there is no database to ask")
    return None


def measure(profile: Profile, username: str, password: Secret, clock: Clock) -> Measured:
    """What the credential can do at the profile's databases, each finding held against what the profile declares.

    Raises `UnmeasuredError` where it could not be found out, at whichever of them; never for what was found: see
    `report.refusal`.
    """
    url = profile.database
    engine = engine_for(url.engine, clock) if url is not None else None
    if url is None or engine is None:
        raise UnmeasuredError.of(profile.name, "nobody can measure what a credential of this engine can do")
    began = clock.monotonic()
    try:
        looks = {
            place.database: _look(engine, place, username, password, named(profile), clock)
            for place in places(url, profile)
        }
    except DatabaseError as error:
        raise UnmeasuredError.of(profile.name, error.what, cause=error.cause, fix=error.fix) from None
    found = merged(looks)
    if found.experimental and profile.on_excess != "warn":
        fix = f"Take the result for what it may be worth: profiles.{profile.name}.on_excess: warn"
        raise UnmeasuredError.of(profile.name, found.experimental, fix=fix)
    return held_against(profile, found, clock.monotonic() - began, clock.now())


def _look(
    engine: Engine, url: DatabaseURL, username: str, password: Secret, names: frozenset[str], clock: Clock
) -> Examination:
    """One look; again where the server has no place free just now, which passes. Raises `DatabaseError`."""
    for pause in PAUSES:
        try:
            return engine.examine(url, username, password, named=names, timeout=TIMEOUT)
        except DatabaseError as error:  # noqa: PERF203 - each is another attempt
            if error.sqlstate not in PASSING:
                raise
            clock.sleep(pause)
    return engine.examine(url, username, password, named=names, timeout=TIMEOUT)


def places(url: DatabaseURL, profile: Profile) -> list[DatabaseURL]:
    """Where to look: at the URL's database, and at each other that is declared where one connection sees but one."""
    names = [url.database]
    if ENGINES_BY_NAME[url.engine].has_schemas:
        names += profile.databases
    return [url._replace(database=name) for name in dict.fromkeys(names)]


def merged(looks: Mapping[str, Examination]) -> Examination:
    """Several looks at one server, by the database that each was at, as one: what more than one saw is said once.

    What one of them only knew of another's database is left out: that one saw it.
    """
    first = next(iter(looks.values()))
    if len(looks) == 1:
        return first
    others = tuple(sorted({name for look in looks.values() for name in look.other_databases} - set(looks)))
    findings: dict[tuple[object, ...], Finding] = {}
    for each in (finding for look in looks.values() for finding in look.findings):
        place = (each.database, each.schema, each.table, each.columns)
        if each.code == "PG.DATABASE.CONNECT" and others:
            what = f"connect to {len(others)} other database{'s' * (len(others) > 1)}"
            findings.setdefault((each.code,), each._replace(what=what, objects=others[:3], number=len(others)))
        elif each.code != "PG.DATABASE.CONNECT" and not (each.code.startswith("PG.ELSEWHERE.") and place[0] in looks):
            findings.setdefault((each.code, each.subject, each.level, each.via, *place), each)
    return Examination(
        tuple(findings.values()),
        tuple(dict.fromkeys(text for look in looks.values() for text in look.not_examined)),
        first.server,
        sum(look.round_trips for look in looks.values()),
        tuple(dict.fromkeys(text for look in looks.values() for text in look.notes)),
        next((look.experimental for look in looks.values() if look.experimental), ""),
        others,
    )


def held_against(profile: Profile, examination: Examination, seconds: float, time: float) -> Measured:
    """`examination` as a measurement: every finding judged, excess first."""
    findings = judge(examination.findings, profile, day(time))
    doubt = (f"not to be relied on: {examination.experimental}",) if examination.experimental else ()
    return Measured(
        findings,
        (*_unseen_databases(examination.other_databases), *examination.not_examined),
        examination.server,
        seconds,
        examination.round_trips,
        time,
        digest(findings),
        (*doubt, *examination.notes),
    )


def _unseen_databases(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    what = "1 other database that lets it in" if len(names) == 1 else f"{len(names)} other databases that let it in"
    return (f"{what}: {', '.join(names[:MOST_NAMES])}{more} (stepcreds scope --all-databases looks there)",)


def named(profile: Profile) -> frozenset[str]:
    """The relations and columns that the profile speaks of one by one; nobody minds what else `allow` names."""
    allowed = (entry.what.partition(" ")[2] for entry in profile.allow)
    return frozenset((*profile.tables, *profile.columns, *allowed))


def digest(findings: Iterable[Finding]) -> str:
    """SHA-256 (hex) of what the findings give power over, whatever the order, the counts and the examples."""
    powers = sorted([each.code, each.subject, each.database, each.level, each.via] for each in findings)
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
