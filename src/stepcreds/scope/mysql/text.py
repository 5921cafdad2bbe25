"""What the text of a view names, as the server writes it out: the relations it reads, and the functions it calls.

Read token by token, from MariaDB 10.11's VIEW_DEFINITION: all names but those of common table expressions are quoted,
relations stand with their database, and what is quoted before a bracket is a stored function. Where that does not hold,
nothing is guessed: the text is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_NAME = r"`(?:[^`]|``)+`"
_TOKEN = re.compile(rf"({_NAME}(?:\.{_NAME})*)|('(?:[^'\\]|\\.|'')*')|([\w$@]+)|(\S)", re.DOTALL)
_PART = re.compile(_NAME)
_ADVANCES, _LOOKS_AT = ("nextval", "setval"), ("lastval",)
# The end of a list of relations.
_ENDS = ("where", "group", "having", "order", "limit", "union", "except", "intersect", "window", "values")
_MOST_PARTS = 3  # of a column, or of a function in a package


class Reading(NamedTuple):
    """What a text names, each with its database first."""

    calls: frozenset[tuple[str, ...]] = frozenset()  # of stored functions
    relations: frozenset[tuple[str, ...]] = frozenset()
    sequences: frozenset[tuple[str, ...]] = frozenset()  # that it advances


class _Token(NamedTuple):
    names: tuple[str, ...] = ()
    word: str = ""  # in small letters; a mark; "'" for a string


class _Level:
    """What stands between two brackets."""

    def __init__(self, clause: str = "", *, expects: bool = False, sequence: str = "") -> None:
        self.clause = clause  # "with", "select", "from", "rest"; "" before them, or no query
        self.expects = expects  # the next name is a relation's
        self.sequence = sequence  # the function whose first argument is a sequence


def read(text: str, database: str) -> Reading | None:
    """What `text`, of a view in `database`, names; None if it is not understood."""
    reader = _Reader(database)
    tokens = [*_tokens(text), _Token()]
    # Each bracket is taken with the word before it, and each name with what follows.
    for before, token, after in zip([_Token(), *tokens], tokens, tokens[1:], strict=False):
        understood = reader.name(token.names, after.word) if token.names else reader.word(token.word, before, after)
        if not understood:
            return None
    return reader.reading()


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        name, string, word, mark = match.groups()
        if name:
            yield _Token(tuple(part[1:-1].replace("``", "`") for part in _PART.findall(name)))
        else:
            yield _Token(word="'" if string else word.lower() if word else mark * (mark not in "'\"`") or "?")


class _Reader:
    def __init__(self, database: str) -> None:
        self._database = database
        self._levels = [_Level()]
        self._calls: set[tuple[str, ...]] = set()
        self._relations: set[tuple[str, ...]] = set()
        self._sequences: set[tuple[str, ...]] = set()
        self._alone: set[str] = set()  # aliases, among others
        self._pairs: set[tuple[str, ...]] = set()  # a column of an alias, or a relation where none was expected

    def reading(self) -> Reading | None:
        if len(self._levels) != 1:
            return None
        aliases = self._alone | {names[-1] for names in self._relations}
        more = {names for names in self._pairs if names[0] not in aliases}
        return Reading(frozenset(self._calls), frozenset(self._relations | more), frozenset(self._sequences))

    def name(self, names: tuple[str, ...], after: str) -> bool:
        """Whether it can stand here."""
        here = self._levels[-1]
        if len(names) > _MOST_PARTS or here.clause == "with":
            return False
        if after == "(":
            self._calls.add(names if len(names) > 1 else (self._database, *names))
        elif here.sequence:
            of_two = names if len(names) > 1 else (self._database, *names)
            (self._sequences if here.sequence in _ADVANCES else self._relations).add(of_two)
            here.sequence = ""
        elif len(names) == 1:
            self._alone.add(names[0])
        elif here.expects or len(names) == _MOST_PARTS:
            self._relations.add(names[:2])
        else:
            self._pairs.add(names)
        here.expects = False
        return True

    def word(self, word: str, before: _Token, after: _Token) -> bool:
        """Whether it can stand here."""
        here = self._levels[-1]
        if word == "(":
            takes = before.word if before.word in (*_ADVANCES, *_LOOKS_AT) else ""
            self._levels.append(_Level("from" if here.expects else "", expects=here.expects, sequence=takes))
        elif word == ")":
            self._levels.pop()
        elif word == "," and here.clause == "from":
            here.expects = True
            return True
        elif word == "with" and not here.clause and after.word != "rollup":
            here.clause = "with"  # followed by a name that is not quoted
        elif word == "select":
            here.clause = "select"
        elif word in _ENDS and here.clause:
            here.clause = "rest"
        elif (word == "from" and here.clause == "select") or (
            word in ("join", "straight_join") and here.clause != "select"
        ):
            here.clause = "from"
            here.expects = True
            return True
        elif word == "'" and here.clause == "with":
            return False
        here.expects = False
        return bool(self._levels) and word != "?"
