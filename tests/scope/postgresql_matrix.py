"""The matrix: each case on each major, measured before and after the one grant too much, and attacked before and after.

A test module of one major sets `MAJOR` and imports what is here: so that several workers share the majors among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from pg8000.exceptions import DatabaseError as ServerError
from postgresql_case import Case, Clean, role, statements
from postgresql_clean import CLEAN as ALONE
from postgresql_clean_code import CODE_IN_PLACE
from postgresql_clean_shown import SHOWN_IN_PLACE
from postgresql_fixtures_attributes import ATTRIBUTES
from postgresql_fixtures_behind import BEHIND
from postgresql_fixtures_code import CODE
from postgresql_fixtures_definers import DEFINERS
from postgresql_fixtures_foreign import FOREIGN
from postgresql_fixtures_future import FUTURE_POWER
from postgresql_fixtures_membership import MEMBERSHIP
from postgresql_fixtures_names import HOSTILE
from postgresql_fixtures_objects import OBJECTS
from postgresql_fixtures_outside import OUTSIDE
from postgresql_fixtures_places import PLACES
from postgresql_fixtures_predefined import PREDEFINED
from postgresql_fixtures_relations import RELATIONS
from postgresql_fixtures_sequences import SEQUENCES
from postgresql_fixtures_settings import SETTINGS
from postgresql_fixtures_shown import SHOWN
from postgresql_fixtures_tables import TABLES
from postgresql_fixtures_writers import WRITERS
from postgresql_majors import Lab, lab

from stepcreds.measurement import LEVELS, Finding

# A look takes longer than all the rest of a case. That the finding comes of the grant, one major shows.
ALSO_BEFORE = 18
CASES = [
    *ATTRIBUTES,
    *MEMBERSHIP,
    *PREDEFINED,
    *TABLES,
    *RELATIONS,
    *SEQUENCES,
    *OUTSIDE,
    *SHOWN,
    *PLACES,
    *OBJECTS,
    *FUTURE_POWER,
    *DEFINERS,
    *BEHIND,
    *WRITERS,
    *CODE,
    *FOREIGN,
    *SETTINGS,
    *HOSTILE,
]
CLEAN = [*ALONE, *CODE_IN_PLACE, *SHOWN_IN_PLACE]

__all__ = ["lab", "pytest_generate_tests", "test_no_more_than_declared", "test_power_beyond_the_profile"]


def on(major: int, cases: Sequence[Any]) -> list[Any]:
    """Those that this major has."""
    return [case for case in cases if case.since <= major <= case.until]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, cases in (("case", CASES), ("clean", CLEAN)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, on(metafunc.module.MAJOR, cases), ids=lambda case: str(case.name))


def test_power_beyond_the_profile(lab: Lab, case: Case) -> None:
    """It is found, and it is true: the same attack is refused before the grant and works after it."""
    user = role(case.name)
    lab.issue(user)
    try:
        lab.do(*statements(case.objects, lab, case.name))
        if case.harmless and case.objects and lab.major == ALSO_BEFORE:
            assert told(lab.measure(user, **case.declared).excess) == []
        control(lab, case)
        lab.do(*statements(case.grant, lab, case.name))
        excess = lab.measure(user, **case.declared).excess
        assert any(fits(finding, case) for finding in excess), told(excess)
        attack(lab, case)
    finally:
        lab.do(*statements(case.undo, lab, case.name))


def test_no_more_than_declared(lab: Lab, clean: Clean) -> None:
    """Nothing is found that the profile does not declare, of a credential that does work."""
    user = role(clean.name)
    lab.issue(user, clean.creation)
    try:
        lab.do(*statements(clean.setup, lab, clean.name))
        (query,) = statements(clean.can, lab, clean.name)
        with lab.login(user) as session:
            session.run(query)
        assert told(lab.measure(user, **clean.declared).excess) == []
    finally:
        lab.do(*statements(clean.undo, lab, clean.name))


def fits(finding: Finding, case: Case) -> bool:
    """Whether this is what the case is about."""
    about = case.about.replace("{case}", case.name)
    texts = (finding.subject, finding.what, finding.via, finding.database, finding.schema, *finding.objects)
    return (
        finding.code in case.code.split("|")
        and LEVELS.index(finding.level) >= LEVELS.index(case.level)
        and any(about in text for text in texts)
    )


def told(excess: Sequence[Finding]) -> list[str]:
    """For the reader of a failing test."""
    return [f"{each.level} {each.name}: {each.what} ({each.because}; {each.via}) {each.objects}" for each in excess]


def control(lab: Lab, case: Case) -> None:
    """Without the grant, the attack does nothing."""
    if case.before:  # what is to be attacked is not there yet
        case = case._replace(watch="")
    before = watched(lab, case)
    attempt = attempted(lab, case)
    assert attempt.state == case.refused, attempt.answer
    assert attempt.seen == before
    assert attempt.state or case.watch or attempt.answer != case.reads


def attack(lab: Lab, case: Case) -> None:
    """With the grant, it has its effect."""
    lab.do(*statements(case.before, lab, case.name))
    before = watched(lab, case)
    attempt = attempted(lab, case)
    assert attempt.state == "", attempt.answer
    if case.watch:
        assert attempt.seen != before
    else:
        assert attempt.answer == case.reads


class Attempt(NamedTuple):
    """How an attack went."""

    state: str  # SQLSTATE that ended it, "" where it ran to its end
    answer: Any  # the first value of the last statement; the message of an error
    seen: Any  # what the superuser saw while the attacker was still there


def attempted(lab: Lab, case: Case) -> Attempt:
    with lab.login(role(case.name)) as session:
        session.run("SET default_transaction_read_only = off")  # which is no boundary: whoever has it may take it away
        try:
            if callable(case.attack):
                answer = case.attack(lab, session)
            else:
                rows = [session.run(statement) for statement in statements(case.attack, lab, case.name)][-1]
                answer = rows[0][0] if rows else None
        except ServerError as error:
            attempt = Attempt(str(error.args[0]["C"]), error.args[0]["M"], watched(lab, case))
        else:
            attempt = Attempt("", answer, watched(lab, case))
        session.run("DISCARD TEMP")  # the server does it as well, at a time of its own choice: an undo may come before
    return attempt


def watched(lab: Lab, case: Case) -> Any:
    return [lab.ask(query) for query in statements(case.watch, lab, case.name)]
