"""What a credential of PostgreSQL can do, as its server answers: one connection, one transaction, one round trip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import Row, ServerError
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import Connection, connect
from stepcreds.errors import DatabaseError
from stepcreds.printable import one_line
from stepcreds.scope.interface import Examination
from stepcreds.scope.postgresql import (
    catalogs,
    code,
    findings_catalogs,
    findings_code,
    findings_columns,
    findings_places,
    findings_relations,
    findings_roles,
    findings_server,
    objects,
    relations,
)
from stepcreds.scope.postgresql import reach as postgresql_reach
from stepcreds.scope.postgresql.seen import Record, Seen, counted
from stepcreds.secret import Secret

OLDEST, NEWEST = 14, 18
_CANCELED = "57014"  # query_canceled
_MOST_ASKED = 5
_PAUSE = 0.01  # seconds
_AREAS = (
    findings_roles,
    findings_relations,
    findings_columns,
    findings_places,
    findings_server,
    findings_code,
    findings_catalogs,
)


class PostgreSQL:
    """The `Engine` of PostgreSQL 14 to 18; of a newer one it says what it saw, and that it is newer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def examine(
        self, url: DatabaseURL, username: str, password: Secret, *, named: frozenset[str], timeout: float
    ) -> Examination:
        deadline = Deadline(self._clock, timeout)
        with connect(url, username, password, deadline) as session:
            major = major_of(session.server_version)
            server = f"PostgreSQL {one_line(session.server_version.split(' ')[0], 20)}"
            asking = questions(major, username, named)
            statements = [*postgresql_reach.ORDERLY, *asking.values(), "COMMIT"]
            answers, asked = _all_answered(session, statements, deadline)
        try:
            records = {
                name: [json.loads(str(row[0])) for row in rows]
                for name, rows in zip(asking, answers[len(postgresql_reach.ORDERLY) :], strict=False)
                if name not in postgresql_reach.KEPT
            }
            (who,), (reach,) = records["session"], records["reach"]
            if not (who["expected"] and who["plain"]):
                raise _somebody_else()
            seen = Seen.of(who, reach, records, named)
            findings = tuple(finding for area in _AREAS for finding in area.findings(seen))
            not_examined = tuple(_not_examined(seen, reach, major))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            raise DatabaseError(
                f"an answer of another form came ({type(error).__name__})",
                cause="something in between changes statements or answers, or it is no PostgreSQL",
                docs="database",
            ) from None
        notes, others = tuple(_notes(who)), tuple(seen.other_databases)
        return Examination(findings, not_examined, server, asked, notes, other_databases=others)


def major_of(version: str) -> int:
    """Of "16.14 (Debian 16.14-1)", "19beta1", "18devel". Raises `DatabaseError` for one nobody can measure."""
    digits = "".join(takewhile(str.isdigit, version))
    if not digits:
        raise DatabaseError(
            f"the server does not say which PostgreSQL it is: {one_line(version, 40)!a}", docs="database"
        )
    major = int(digits)
    if major < OLDEST:
        raise DatabaseError(
            f"PostgreSQL {major} is not supported: privileges are measured on {OLDEST} and newer",
            fix=f"upgrade the server: there are no security fixes for PostgreSQL {major} any more",
            docs="database",
        )
    return major


def _somebody_else() -> DatabaseError:
    return DatabaseError(
        "the server took the login for another user's: what that one can do says nothing of the credential",
        cause="a pooler between logs in as a user of its own, or the role came with a session_authorization",
        fix="give the profile the address of the server itself",
        docs="database",
    )


def _relations_in(named: frozenset[str]) -> set[str]:
    """All that could be a relation's full name: each name, and what is before each dot of it (a column's relation)."""
    parts = [each.split(".") for each in named]
    return {".".join(each[:end]) for each in parts for end in range(2, len(each) + 1)}


def questions(major: int, username: str, named: frozenset[str]) -> dict[str, str]:
    """The statements by name, in the order in which they are asked: those of the reach keep what the others use."""
    return {
        "session": postgresql_reach.session(username),
        **postgresql_reach.reach(major, _relations_in(named)),
        "roles": postgresql_reach.roles(),
        "memberships": postgresql_reach.memberships(major),
        "probe": postgresql_reach.probe(),
        "relations": relations.relations(major, named=bool(named)),
        "columns": relations.columns(),
        "future": relations.future(),
        "schemas": objects.schemas(),
        "databases": objects.databases(),
        "foreign": objects.foreign(),
        "tablespaces": objects.tablespaces(),
        "languages": objects.languages(),
        "large_objects": objects.large_objects(),
        "parameters": objects.parameters(major),
        "owned": objects.owned(),
        "elsewhere": objects.elsewhere(),
        "functions": code.functions(),
        "handed_on": code.handed_on(),
        "secrets": catalogs.secrets(),
        "catalogs": catalogs.catalogs(),
        "views": catalogs.views(),
        "options": catalogs.options(),
    }


def _all_answered(session: Connection, statements: list[str], deadline: Deadline) -> tuple[list[list[Row]], int]:
    """The rows of each, and how often they were asked.

    One that fails makes the whole fail: what nobody saw is never taken for harmless. But a time-out that the role came
    with may have stopped us before ours took its place.
    """
    asked = 0
    while True:
        asked += 1
        answers = session.query_all(statements)
        failed = next((answer for answer in answers if isinstance(answer, ServerError)), None)
        if failed is None:
            return [answer for answer in answers if not isinstance(answer, ServerError)], asked
        if failed.sqlstate != _CANCELED or asked == _MOST_ASKED or not deadline.pause(_PAUSE):
            raise failed


def _not_examined(seen: Seen, reach: Record, major: int) -> Iterator[str]:
    if major > NEWEST:
        yield f"what PostgreSQL {major} has and {NEWEST} has not: it was asked what {NEWEST} would be"
    if seen.almighty:
        yield "anything but that it is a superuser's"
        return
    if reach["more"]:
        yield f"what it could do as {counted(reach['more'], 'more role')} that it could give to itself"
    yield "pg_hba.conf: who may log in from where, and without a password"
    yield "what functions, triggers and extensions do when they are called"


def _notes(who: Record) -> Iterator[str]:
    if who["standby"]:
        yield "the server is a read-only standby: nothing can be written there, whatever the privileges say"
