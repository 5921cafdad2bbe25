r"""Reads the lines of SHOW GRANTS by a small strict grammar; what does not fit it is kept as `unread`, never skipped.

Written from what MariaDB 10.11 prints with `sql_mode = ''` and `sql_quote_show_create = 1` (sql/sql_acl.cc), and from
MySQL's manual for MySQL 8 ("SHOW GRANTS Statement"). A line can hold the hash of the user's password.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NoReturn

from stepcreds.scope.mysql.power import Line, Place, Power

_TOKEN = re.compile(
    r"\s+|(?P<name>`(?:[^`]|``)*`)|(?P<text>'(?:[^'\\]|\\.|'')*')"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<sign>[@.,()*])",
    re.DOTALL,
)
# What may follow the user of a grant: how it logs in, and its limits. They give no power.
_TAIL = re.compile(
    "IDENTIFIED|BY|PASSWORD|VIA|USING|AS|OR|REQUIRE|NONE|SSL|X509|ISSUER|SUBJECT|CIPHER|AND|WITH|GRANT|OPTION"
    "|MAX_(QUERIES|UPDATES|CONNECTIONS)_PER_HOUR|MAX_USER_CONNECTIONS|MAX_STATEMENT_TIME"
)
_ROUTINES = ("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY")


def read_line(line: str) -> Line:
    """What the line says; a line that does not fit the grammar gives one power of the kind `unread`."""
    try:
        return _Reader(line).line()
    except _UnreadError:
        # Up to the user: its name differs from one issued user to the next, and behind it may stand a password's hash.
        beginning = re.sub(r"'.*|\".*", "'…", line.partition(" TO ")[0].partition(" FOR ")[0])
        return Line((Power("unread", beginning[:120]),))


class _UnreadError(Exception):
    """The line does not fit."""


class _Reader:
    def __init__(self, line: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None:
                _misfit()
            if match.lastgroup:
                self._tokens.append((match.lastgroup, match.group()))
            position = match.end()

    def line(self) -> Line:
        if self._skip("SET", "DEFAULT", "ROLE"):
            role, _ = self._account()
            self._demand("FOR")
            self._account()
            return self._whole(Line((), default_role=role))
        revokes = not self._skip("GRANT")
        if revokes:
            self._demand("REVOKE")
        if self._skip("PROXY", "ON"):
            of, _ = self._account()
            powers = [Power("proxy", of)]
        elif self._kind() in ("name", "text"):
            return self._roles()
        else:
            powers = self._privileges()
        self._demand("FROM" if revokes else "TO")
        own = self._account()[1]
        if self._tail():
            powers = [power._replace(grantable=True) for power in powers]
        return self._whole(Line(tuple(powers), own, revokes=revokes))

    def _roles(self) -> Line:
        roles = [self._account()[0]]
        while self._skip(","):
            roles.append(self._account()[0])
        self._demand("TO")
        own = self._account()[1]
        grantable = self._skip("WITH", "ADMIN", "OPTION")
        return self._whole(Line(tuple(Power("role", role, grantable=grantable) for role in roles), own))

    def _privileges(self) -> list[Power]:
        held: list[tuple[str, tuple[str, ...]]] = []
        while not held or self._skip(","):
            words = []
            while self._kind() == "word" and not self._at("ON"):
                words.append(self._take("word").upper())
            if not words:
                _misfit()
            held.append((" ".join(words), self._columns()))
        self._demand("ON")
        place = self._place()
        return [Power("privilege", name, place, columns) for name, columns in held]

    def _columns(self) -> tuple[str, ...]:
        if not self._skip("("):
            return ()
        columns = [_unquoted(self._take("name"))]
        while self._skip(","):
            columns.append(_unquoted(self._take("name")))
        self._demand(")")
        return tuple(sorted(columns))

    def _place(self) -> Place:
        if self._skip("*", ".", "*"):
            return Place()
        routine = ""
        if self._kind() == "word":
            routine = self._take("word").upper()
            routine += " BODY" if self._skip("BODY") else ""
            if routine not in (*_ROUTINES, "TABLE"):
                _misfit()
        database = _unquoted(self._take("name"))
        self._demand(".")
        if self._skip("*"):
            return Place("database", database)
        name = _unquoted(self._take("name"))
        return Place("routine", database, name, routine) if routine in _ROUTINES else Place("table", database, name)

    def _account(self) -> tuple[str, bool]:
        """A user, a role or PUBLIC as it stands in a statement, and whether it has a host, as every user has."""
        if self._skip("PUBLIC"):
            return "PUBLIC", False
        name = self._one_of("name", "text")
        return (f"{name}@{self._one_of('name', 'text')}", True) if self._skip("@") else (name, False)

    def _tail(self) -> bool:
        """What follows the user: True if it may hand on what it is given."""
        words: list[str] = []
        while self._tokens:
            kind, token = self._tokens.pop(0)
            plugin = kind == "word" and bool(words) and words[-1] in ("VIA", "OR")
            if kind not in ("text", "number") and not plugin and not (kind == "word" and _TAIL.fullmatch(token)):
                _misfit()
            words.append("" if plugin or kind != "word" else token)
        return ("GRANT", "OPTION") in pairwise(words)

    def _kind(self) -> str:
        return self._tokens[0][0] if self._tokens else ""

    def _at(self, *words: str) -> bool:
        found = [token.upper() for kind, token in self._tokens[: len(words)] if kind in ("word", "sign")]
        return found == list(words)

    def _skip(self, *words: str) -> bool:
        there = self._at(*words)
        if there:
            del self._tokens[: len(words)]
        return there

    def _demand(self, word: str) -> None:
        if not self._skip(word):
            _misfit()

    def _take(self, kind: str) -> str:
        return self._one_of(kind)

    def _one_of(self, *kinds: str) -> str:
        if self._kind() not in kinds:
            _misfit()
        return self._tokens.pop(0)[1]

    def _whole(self, line: Line) -> Line:
        if self._tokens:
            _misfit()
        return line


def _misfit() -> NoReturn:
    raise _UnreadError


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")
