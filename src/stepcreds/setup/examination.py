"""Looks at what a plan's statements do not ask about a database, with its administrator; it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.model import Profile
from stepcreds.printable import one_line
from stepcreds.setup.administrator import open_session, where
from stepcreds.setup.answers import Answers
from stepcreds.setup.check import Drift
from stepcreds.setup.connections import server
from stepcreds.setup.survey import DatabaseState, Survey

_EXAMPLES = 3


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
        found = _postgresql(state, here, answers, clock) if state.plan.url.engine == "postgresql" else ((), ())
        drift += found[0]
        notes += found[1]
    return Examined(tuple(drift), tuple(notes))


def _is_of(profile: Profile, state: DatabaseState) -> bool:
    url = profile.database
    return url is not None and (server(url), url.database) == (server(state.plan.url), state.plan.url.database)


def _postgresql(
    state: DatabaseState, profiles: Sequence[Profile], answers: Answers, clock: Clock
) -> tuple[Sequence[Drift], Sequence[str]]:
    from stepcreds.setup.postgresql_guard import GUARDED
    from stepcreds.setup.postgresql_inspection import questions

    roles = {profile.name: answers.profiles[profile.name].role for profile in profiles}
    readers = tuple(dict.fromkeys(roles[each.name] for each in profiles if each.access == "read-only"))
    others = (*(role for role in roles.values() if role not in readers), GUARDED)
    drift, notes = [], []
    assert state.administrator is not None  # noqa: S101 - `examine` has looked
    with open_session(state.plan, state.administrator, clock) as session:
        for question in questions(state.plan.manager, readers, others):
            rows = [str(row[0]) for row in session.console.rows(question.query)]
            if not rows:
                continue
            what = f"{question.what} {_some(rows)}."
            if question.harmless:
                notes.append(f"{where(state.plan)}: {what}")
            else:
                drift.append(Drift(question.code, where(state.plan), what, question.why, question.fix))
    return drift, notes


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"
