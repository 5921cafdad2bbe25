"""What a credential of MariaDB or MySQL can do, as the server itself answers.

SHOW GRANTS for the session as it logs in, and again with each of its roles active: on MariaDB the rights of a role are
readable only while it is. Run against MariaDB 10.11. MySQL 8 is written from its manual and counts as experimental.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.mysql_session import Session, open_session
from stepcreds.databases.stream import Deadline, place
from stepcreds.measurement import Finding
from stepcreds.scope.interface import Examination
from stepcreds.scope.mysql import code as mysql_code
from stepcreds.scope.mysql import silence as mysql_silence
from stepcreds.scope.mysql.findings import findings
from stepcreds.scope.mysql.grants import read_line
from stepcreds.scope.mysql.power import Held, Line, Power, Server, plain
from stepcreds.scope.mysql.product import WITH_PUBLIC, experimental, product_of
from stepcreds.scope.mysql.rights import Rights, Rows
from stepcreds.secret import Secret

# Names in backticks and strings with backslashes, whatever the server's defaults are; times that compare.
_PREPARE = (
    "SET SESSION sql_mode = '', sql_quote_show_create = 1, time_zone = '+00:00', lock_wait_timeout = 5",
    "SET ROLE NONE",
)
_LOOK = ("SHOW GRANTS", "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
_FACTS = "SELECT CURRENT_USER(), @@GLOBAL.read_only, @@lower_case_table_names"


class MySQL:
    """The `Engine` of MySQL and MariaDB."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def examine(
        self, url: DatabaseURL, username: str, password: Secret, *, named: frozenset[str], timeout: float
    ) -> Examination:
        """See `Engine.examine`. One round trip; one more for roles, and one more to look at routines and views."""
        deadline = Deadline(self._clock, timeout)
        with open_session(url, username, password, deadline, several=True) as session:
            product, version, server = product_of(session.version, place(url.host, url.port))
            examination = _Conversation(session, product, version, named).examination(username)
        return examination._replace(server=server, experimental=experimental(product, version))


class _State(NamedTuple):
    """What the session has with one role active, or with none."""

    role: str  # quoted; "" none
    via: str
    held: tuple[Held, ...]  # what no state before had
    rights: tuple[Power, ...]  # all privileges that are in force
    databases: tuple[str, ...]  # that it sees


class _Conversation:
    """One session with the server, and what has come of it."""

    def __init__(self, session: Session, product: str, version: tuple[int, int], named: frozenset[str]) -> None:
        self._session = session
        self._mariadb = product == "MariaDB"
        self._public = self._mariadb and version >= WITH_PUBLIC
        self._named = named
        self._round_trips = 0

    def examination(self, username: str) -> Examination:
        public = ("SHOW GRANTS FOR PUBLIC",) if self._public else ()
        answers = self._ask([*_PREPARE, _FACTS, *_LOOK, *public])[len(_PREPARE) :]
        ((account, read_only, fold),) = answers[0]
        lines = [*_lines(answers[1]), *(_lines(answers[3]) if public else ())]
        none = _state(lines, _names(answers[2]), "", "", set())
        states = [none, *self._with_roles(lines, none)]
        databases = tuple(dict.fromkeys(name for state in states for name in state.databases))
        server = Server(databases, int(str(fold)) != 0, self._named)
        code, unseen = self._code(states, server)
        held = [each for state in states for each in state.held]
        silence = mysql_silence.Silence(
            tuple(each.power for each in held), server, none.rights, none.databases, any(line.revokes for line in lines)
        )
        return Examination(
            (*findings(held, server), *code, *silence.findings()),
            (*unseen, *silence.not_examined()),
            "",
            self._round_trips,
            silence.notes(username, str(account), read_only=str(read_only) not in ("0", "OFF")),
        )

    def _ask(self, statements: Sequence[str]) -> list[Rows]:
        self._round_trips += 1
        return self._session.query_all(statements)

    def _with_roles(self, lines: Sequence[Line], none: _State) -> Iterator[_State]:
        """The state of each role that the session can make active: those that it was granted itself."""
        defaults = {line.default_role for line in lines if line.default_role}
        roles = [power.name for line in lines if line.own for power in line.powers if power.kind == "role"]
        roles = list(dict.fromkeys(roles))
        if not roles:
            return
        answers = self._ask([statement for role in roles for statement in (f"SET ROLE {role}", *_LOOK)])
        before = {each.power for each in none.held}
        for role, (_, grants, databases) in zip(roles, _in_threes(answers), strict=True):
            via = f"{'default role' if role in defaults else 'SET ROLE'} {plain(role)}"
            state = _state(_lines(grants), _names(databases), role, via, before)
            before |= {each.power for each in state.held}
            yield state

    def _code(self, states: Sequence[_State], server: Server) -> tuple[list[Finding], list[str]]:
        """Routines and views are listed for the rights that are in force, so each is asked for in its role."""
        asked: list[tuple[_State, list[str]]] = []
        for state in states:
            if not state.role or any(each.power.kind == "privilege" for each in state.held):
                questions = mysql_code.questions(Rights(state.rights, server), state.databases)
                if questions:
                    asked.append((state, questions))
        if not asked:
            return [], []
        answers = iter(
            self._ask([each for state, some in asked for each in (f"SET ROLE {state.role or 'NONE'}", *some)])
        )
        code: dict[tuple[str, str, str], Finding] = {}
        unseen: list[str] = []
        for state, questions in asked:
            next(answers)
            rows = [row for _ in questions for row in next(answers)]
            some, gaps = mysql_code.found(Rights(state.rights, server), rows)
            for finding in some:
                code.setdefault((finding.code, finding.subject, finding.database), finding._replace(via=state.via))
            unseen += gaps
        return list(code.values()), list(dict.fromkeys(unseen))


def _state(lines: Sequence[Line], databases: tuple[str, ...], role: str, via: str, before: Set[Power]) -> _State:
    held: list[Held] = []
    rights: list[Power] = []
    for line in lines:
        for power in line.powers:
            if power.kind == "privilege" and not line.revokes:
                rights.append(power)
            if power not in before and not line.revokes:
                held.append(Held(power, via if role else "" if line.own else "PUBLIC", role))
    return _State(role, via, tuple(held), tuple(rights), databases)


def _lines(rows: Rows) -> list[Line]:
    return [read_line(str(row[0])) for row in rows]


def _names(rows: Rows) -> tuple[str, ...]:
    return tuple(sorted(str(row[0]) for row in rows))


def _in_threes(answers: Sequence[Rows]) -> Iterator[tuple[Rows, Rows, Rows]]:
    for start in range(0, len(answers), 3):
        first, second, third = answers[start : start + 3]
        yield first, second, third
