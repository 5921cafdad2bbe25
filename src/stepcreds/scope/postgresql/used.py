"""What a command did of what its credential could: the statements that were counted for it, by kind; it asks nobody.

What stepcreds asked itself is told apart by its text. A lower bound: `Used.gaps` says what is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from stepcreds.databases import postgresql_lock
from stepcreds.measurement import LEVELS, Level, Statements, Used
from stepcreds.scope.postgresql import major_of, questions, reach, state
from stepcreds.scope.postgresql.statement_kinds import NOTHING, OTHER, kind_of
from stepcreds.scope.postgresql.statistics import BY, LONGEST, WHERE, Counted, Text, counting, quoted

# What differs between a statement and the text that is kept of it, in any version: constants, spaces, lists.
_SHAPELESS: Final = re.compile(
    r"'(?:[^']|'')*'|/\*.*?\*/|\$\d+|\b(?:\d+|true|false|TRUE|FALSE|null|NULL)\b|::[\w\"\[\]]+|[\s,-]+", re.DOTALL
)
_OWN_PASSWORD: Final = re.compile(r"ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256\$[^']*'")


def told(counted: Counted, username: str, named: frozenset[str]) -> Used:
    """What that comes to. `named` is as `Engine.examine` has it: it made our own questions what they were."""
    role = counted.place.role
    tally = _Tally(counted.unsure, _ours(counted, username, named))
    tally.add("", counted.own)
    tally.add(role, counted.as_role)
    statements = sorted(tally.statements(), key=lambda each: (-each.calls, each))
    return Used(tally.level, tuple(statements), (role,) if role else (), BY, counted.gaps)


class _Tally:
    """Counts by kind, without our own statements and those that need no power."""

    def __init__(self, unsure: frozenset[str], ours: frozenset[str]) -> None:
        self._unsure = unsure
        self._ours = ours
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self.level: Level = "info"

    def add(self, role: str, texts: Iterable[Text]) -> None:
        for each in texts:
            if each.text is not None and self._is_ours(each.text):
                continue
            kind = OTHER if each.text is None else kind_of(each.text, self._unsure)
            if kind == NOTHING:
                continue
            if each.text is not None and len(each.text) == LONGEST and kind.level == "read":
                kind = OTHER
            calls, rows = self._counts.get((kind.name, role), (0, 0))
            self._counts[kind.name, role] = (calls + each.calls, rows + each.rows)
            self.level = max(self.level, kind.level, key=LEVELS.index)

    def statements(self) -> Iterator[Statements]:
        return (Statements(kind, calls, rows, role) for (kind, role), (calls, rows) in self._counts.items())

    def _is_ours(self, text: str) -> bool:
        # A command that sets its own password so is found by the lock, which is refused then.
        return _OWN_PASSWORD.fullmatch(text) is not None or _shape(text) in self._ours


def _ours(counted: Counted, username: str, named: frozenset[str]) -> frozenset[str]:
    """The shapes of all that stepcreds asks as the issued user."""
    place, asked = counted.place, questions(major_of(counted.version), username, named).values()
    roles = (f"SET ROLE {place.role}", f"SET ROLE {quoted(place.role)}")  # the one that is counted as well
    others = (*reach.ORDERLY, *postgresql_lock.STATEMENTS, *state.QUERIES, WHERE, counting(place))
    return frozenset(map(_shape, (*asked, *others, *roles)))


def _shape(text: str) -> str:
    return _SHAPELESS.sub("", text)
