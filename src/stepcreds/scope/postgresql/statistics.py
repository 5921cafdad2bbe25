"""Asks pg_stat_statements which statements it counted for a user, as that user itself; it judges none of them.

The issued user sees the texts of its own statements; they go no further than `used`.
"""
# ruff: noqa: S608 - identifiers are quoted, and everything else is a constant of this file or a number

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stepcreds.databases.interface import Session
from stepcreds.databases.messages import Row, ServerError

BY: Final = "pg_stat_statements"
_MOST: Final = 1000  # different statements
LONGEST: Final = 20_000  # characters of one: more than any of ours; of a longer one nobody knows what it calls
_TIMEOUT: Final = "SET statement_timeout = '1s'"
# Where it is, what it counts, and as whom the user's sessions begin (ALTER ROLE … SET role). Always one row.
WHERE: Final = f"""SELECT (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = '{BY}'), current_setting('{BY}.track', true), current_setting('{BY}.track_utility', true),
 (SELECT substring(c FROM 6) FROM pg_roles r, unnest(r.rolconfig) AS c
 WHERE r.rolname = session_user AND starts_with(c, 'role=')), EXISTS (SELECT FROM pg_auth_members m
 JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = session_user)"""
# All but the server's own functions that only compute or read, advance a sequence, or give a time or a random value.
_UNSURE: Final = """SELECT DISTINCT proname FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace
 OR provolatile = 'v' AND proname NOT IN ('nextval', 'setval', 'currval', 'lastval', 'random', 'setseed', 'uuidv4',
 'uuidv7', 'gen_random_uuid', 'clock_timestamp', 'timeofday', 'pg_sleep')"""
_OURS_NOW: Final = """userid = (SELECT oid FROM pg_roles WHERE rolname = current_user)
 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""

Key = tuple[str | None, str | None]  # queryid and toplevel
Counts = Mapping[Key, tuple[int, int]]  # calls and rows


class Base(NamedTuple):
    """What had been counted before the command for the role as which its sessions begin, and others' may too."""

    role: str
    counts: Counts


class Place(NamedTuple):
    view: str  # quoted, with its schema
    info: str
    track: str
    utility: bool
    role: str  # as which the user's sessions begin; "" itself
    member: bool  # whether there is a role that it may take


class Text(NamedTuple):
    text: str | None  # None: the server does not have it any more
    calls: int
    rows: int


class Counted(NamedTuple):
    """What the server answered. Told apart later: the credential is still alive when it is asked."""

    version: str
    place: Place
    own: list[Text]
    as_role: list[Text]
    unsure: frozenset[str]
    gaps: tuple[str, ...]


def base(session: Session) -> Base | None:
    """To be asked before the command. None where nothing counts, or sessions begin as the issued user itself.

    Raises `DatabaseError`.
    """
    place = _place(session)
    return Base(place.role, _counts(session, place)) if place is not None and place.role else None


def ask(session: Session, before: Base | None, since: float) -> Counted | None:
    """To be asked when nobody can do anything as this user any more. None: nothing counts, or not what it did.

    `before` is `base` of the same credential, `since` when that was issued (epoch seconds). Raises `DatabaseError`.
    """
    place = _place(session)
    if place is None or (place.role and (before is None or before.role != place.role)):
        return None
    own = (
        f"SELECT left(query, {LONGEST}), calls, rows FROM {place.view}"
        f" WHERE userid = (SELECT oid FROM pg_roles WHERE rolname = session_user) LIMIT {_MOST}"
    )
    info = f"SELECT dealloc, extract(epoch FROM stats_reset) FROM {place.info}"
    *answers, known = session.query_all([_TIMEOUT, own, _UNSURE, info])
    _, texts, names = _rows(answers)
    own_texts = [Text(text, _number(calls), _number(rows)) for text, calls, rows in texts]
    as_role = _meanwhile(session, place, before) if before is not None and place.role else []
    # The extension's version 1.9 has that view; a server that was upgraded may lack it.
    forgotten, reset = (None, None) if isinstance(known, ServerError) else known[0]
    gaps = tuple(_gaps(place, len(own_texts) == _MOST, forgotten, reset is not None and float(reset) > since))
    unsure = frozenset(str(name) for (name,) in names)
    return Counted(session.server_version, place, own_texts, as_role, unsure, gaps)


def _place(session: Session) -> Place | None:
    ((row,),) = _answers(session, [WHERE])
    schema, track, utility, role, member = row
    if not schema or track not in ("top", "all"):
        return None
    return Place(
        f'{quoted(schema)}."{BY}"', f'{quoted(schema)}."{BY}_info"', track, utility == "on", role or "", member == "t"
    )


def _counts(session: Session, place: Place) -> Counts:
    """As the role itself: nobody else sees what it ran."""
    asked = (_TIMEOUT, f"SET ROLE {quoted(place.role)}", counting(place), "SET ROLE NONE")
    _, _, rows, _ = _answers(session, asked)
    return {(queryid, toplevel): (_number(calls), _number(count)) for queryid, toplevel, calls, count in rows}


def counting(place: Place) -> str:
    return f"SELECT queryid, toplevel, calls, rows FROM {place.view}(false) WHERE {_OURS_NOW}"


def _meanwhile(session: Session, place: Place, before: Base) -> list[Text]:
    """What was counted for the role since `before`. One that was forgotten and came again counts from its return."""
    grown: dict[Key, tuple[int, int]] = {}
    for key, (calls, rows) in _counts(session, place).items():
        was_calls, was_rows = before.counts.get(key, (0, 0))
        if calls != was_calls:
            grown[key] = (calls, rows) if calls < was_calls else (calls - was_calls, max(0, rows - was_rows))
    if not grown:
        return []
    ids = ", ".join(sorted({str(int(queryid)) for queryid, _ in grown if queryid})[:_MOST])
    query = (
        f"SELECT queryid, toplevel, left(query, {LONGEST}) FROM {place.view} WHERE {_OURS_NOW} AND queryid IN ({ids})"
    )
    _, found, _ = _answers(session, [f"SET ROLE {quoted(place.role)}", query, "SET ROLE NONE"])
    texts = {(queryid, toplevel): text for queryid, toplevel, text in found}
    return [Text(texts.get(key), calls, rows) for key, (calls, rows) in grown.items()]


def _gaps(place: Place, is_cut: bool, forgotten: str | None, was_reset: bool) -> Iterator[str]:
    yield "statements that failed"
    if place.track == "top":
        yield "what functions, triggers and DO blocks did"
    if not place.utility:
        yield "everything but SELECT, INSERT, UPDATE, DELETE and MERGE (track_utility is off)"
    if place.role:
        yield f"of {place.role} everybody's statements of that time are counted"
    if place.member:
        yield "what it did as another role that it took (SET ROLE)"
    if is_cut:
        yield f"more than {_MOST} different statements"
    if _number(forgotten):
        yield "statements that the server forgot, to make room for others"
    if was_reset:
        yield "what was counted before the server's statistics were reset, during the step"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _number(value: str | None) -> int:
    return int(float(value or 0))


def _answers(session: Session, statements: Sequence[str]) -> list[list[Row]]:
    return _rows(session.query_all(statements))


def _rows(answers: Iterable[list[Row] | ServerError]) -> list[list[Row]]:
    found = []
    for answer in answers:
        if isinstance(answer, ServerError):
            raise answer
        found.append(answer)
    return found
