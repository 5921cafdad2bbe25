"""Looks at what a plan's statements do not ask about a database, with its administrator; it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.model import Profile
from stepcreds.printable import one_line
from stepcreds.setup.answers import Answers
from stepcreds.setup.connections import server
from stepcreds.setup.live.administrator import open_session, where
from stepcreds.setup.live.check import Drift
from stepcreds.setup.live.survey import DatabaseState, Survey

_EXAMPLES = 3


class Inspection(NamedTuple):
    """A query whose rows, of one text each, are what is wrong."""

    code: str
    query: str
    what: str  # a sentence that the rows end
    why: str
    fix: str  # statements, or a sentence
    harmless: bool = False  # worth knowing, and no drift


class Examined(NamedTuple):
    """What was found beside the plan."""

    drift: tuple[Drift, ...]
    notes: tuple[str, ...]


def examine(survey: Survey, profiles: Iterable[Profile], answers: Answers, clock: Clock) -> Examined:
    """Look at every database that has an administrator. Raises `DatabaseError`."""
    drift: list[Drift] = []
    notes: list[str] = []
    for state in survey.databases:
        if state.administrator is None or not state.has_manager:
            continue
        here = [each for each in profiles if _is_of(each, state)]
        with open_session(state.plan, state.administrator, clock) as session:
            for inspection in _inspections(state, here, answers):
                rows = [str(row[0]) for row in session.console.rows(inspection.query)]
                what = f"{inspection.what} {_some(rows)}."
                if rows and inspection.harmless:
                    notes.append(f"{where(state.plan)}: {what}")
                elif rows:
                    drift.append(Drift(inspection.code, where(state.plan), what, inspection.why, inspection.fix))
    return Examined(tuple(drift), tuple(notes))


def _is_of(profile: Profile, state: DatabaseState) -> bool:
    url = profile.database
    return url is not None and (server(url), url.database) == (server(state.plan.url), state.plan.url.database)


def _inspections(state: DatabaseState, profiles: Sequence[Profile], answers: Answers) -> Iterable[Inspection]:
    manager = state.plan.manager
    if state.plan.url.engine != "postgresql":
        from stepcreds.setup.live.mysql_inspection import inspections as of_mysql

        return of_mysql(manager)
    from stepcreds.setup.live.postgresql_inspection import inspections
    from stepcreds.setup.postgresql.guard import GUARDED

    roles = {profile.name: answers.profiles[profile.name].role for profile in profiles}
    readers = tuple(dict.fromkeys(roles[each.name] for each in profiles if each.access == "read-only"))
    return inspections(manager, readers, (*(role for role in roles.values() if role not in readers), GUARDED))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"
