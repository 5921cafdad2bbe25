"""What a credential of PostgreSQL can do, as the server itself answers: one connection, one transaction, one round trip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import ServerError
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import Connection, connect
from stepcreds.errors import DatabaseError
from stepcreds.measurement import Finding
from stepcreds.printable import one_line
from stepcreds.scope import (
    postgresql_catalogs,
    postgresql_code,
    postgresql_findings_code,
    postgresql_findings_objects,
    postgresql_findings_relations,
    postgresql_findings_roles,
    postgresql_objects,
    postgresql_reach,
    postgresql_relations,
)
from stepcreds.scope.interface import Examination
from stepcreds.scope.postgresql_seen import Record, Seen
from stepcreds.secret import Secret

OLDEST, NEWEST = 14, 18


class PostgreSQL:
    """The `Engine` of PostgreSQL 14 to 18; of a newer one it says what it saw, and that it is newer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def examine(
        self, url: DatabaseURL, username: str, password: Secret, *, named: frozenset[str], timeout: float
    ) -> Examination:
        with connect(url, username, password, Deadline(self._clock, timeout)) as session:
            major = _major(session.server_version)
            preparing = [
                *postgresql_reach.ORDERLY,
                postgresql_reach.session(username),
                *postgresql_reach.reach(major, _relations_in(named)),
            ]
            questions = _questions(major)
            answers = _all_answered(session, [*preparing, *questions.values(), "COMMIT"])
            server = f"PostgreSQL {one_line(session.server_version.split(' ')[0], 20)}"
        try:
            who = json.loads(str(answers[len(postgresql_reach.ORDERLY)][0][0]))
            reached, admin = answers[len(postgresql_reach.ORDERLY) + 1][0]
            records = {
                name: [json.loads(str(row[0])) for row in rows]
                for name, rows in zip(questions, answers[len(preparing) :], strict=False)
            }
            seen = Seen.of(who, json.loads(str(reached)), json.loads(str(admin)), records, named)
            findings = tuple(_findings(seen))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DatabaseError(
                f"an answer of another form came ({type(error).__name__})",
                cause="something between stepcreds and the server changes statements or answers, or it is no PostgreSQL",
                docs="database",
            ) from None
        unseen, others = tuple(_not_examined(seen, major)), tuple(seen.other_databases)
        return Examination(findings, unseen, server, 1, tuple(_notes(who)), other_databases=others)


def _major(version: str) -> int:
    number = version.split(".", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    digits = number.rstrip("abcdefghijklmnopqrstuvwxyz0123456789") == "" and "".join(
        c for c in number.replace("beta", " ").replace("rc", " ").replace("devel", " ").split(" ")[0] if c.isdigit()
    )
    if not digits:
        raise DatabaseError(f"the server calls its version {one_line(version, 40)!r}", docs="database")
    if int(digits) < OLDEST:
        raise DatabaseError(
            f"PostgreSQL {int(digits)} is not supported: privileges are measured on {OLDEST} to {NEWEST}",
            fix=f"upgrade the server: PostgreSQL {int(digits)} gets no security fixes any more",
            docs="database",
        )
    return int(digits)


def _relations_in(named: frozenset[str]) -> set[str]:
    """All that could be a relation's full name: each name, and what is before each dot of it (a column's relation)."""
    parts = [each.split(".") for each in named]
    return {".".join(each[:end]) for each in parts for end in range(2, len(each) + 1)}


def _questions(major: int) -> dict[str, str]:
    return {
        "roles": postgresql_reach.roles(),
        "probe": postgresql_reach.probe(),
        "relations": postgresql_relations.relations(major),
        "columns": postgresql_relations.columns(),
        "future": postgresql_relations.future(),
        "schemas": postgresql_objects.schemas(),
        "databases": postgresql_objects.databases(),
        "foreign": postgresql_objects.foreign(),
        "tablespaces": postgresql_objects.tablespaces(),
        "languages": postgresql_objects.languages(),
        "large_objects": postgresql_objects.large_objects(),
        "parameters": postgresql_objects.parameters(major),
        "owned": postgresql_objects.owned(),
        "elsewhere": postgresql_objects.elsewhere(),
        "functions": postgresql_code.functions(),
        "handed_on": postgresql_code.handed_on(),
        "secrets": postgresql_catalogs.secrets(),
        "catalogs": postgresql_catalogs.catalogs(),
        "views": postgresql_catalogs.views(),
        "options": postgresql_catalogs.options(),
    }


def _all_answered(session: Connection, statements: list[str]) -> list[list[tuple[str | None, ...]]]:
    """The rows of each. One that fails makes the whole fail: what nobody saw is never taken for harmless."""
    answers: list[list[tuple[str | None, ...]]] = []
    for answer in session.query_all(statements):
        if isinstance(answer, ServerError):
            raise answer
        answers.append(answer)
    return answers


def _findings(seen: Seen) -> Iterator[Finding]:
    return chain(
        postgresql_findings_roles.findings(seen),
        postgresql_findings_relations.findings(seen),
        postgresql_findings_objects.findings(seen),
        postgresql_findings_code.findings(seen),
    )


def _not_examined(seen: Seen, major: int) -> Iterator[str]:
    if major > NEWEST:
        yield f"what PostgreSQL {major} has and {NEWEST} had not: it was asked as {NEWEST} would be"
    if seen.almighty:
        yield "anything but that it is a superuser's"
        return
    yield "pg_hba.conf: who may log in from where, and without a password"
    yield "what functions, triggers and extensions do when they are called"


def _notes(who: Record) -> Iterator[str]:
    if who["standby"]:
        yield "the server is a read-only standby: nothing can be written there, whatever the privileges say"
