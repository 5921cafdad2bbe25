"""Code that runs with somebody else's rights: definer routines that it may call, definer views that it may use.

A call of a stored function in a view runs with the rights of the view's definer, so that a SELECT can write. What the
text of a view says is visible to holders of SHOW VIEW; that of a routine to its definer and to administrators.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from stepcreds.measurement import Finding
from stepcreds.scope.mysql_places import SYSTEM
from stepcreds.scope.mysql_privileges import EVERYTHING
from stepcreds.scope.mysql_rights import Rights, Rows
from stepcreds.scope.mysql_secrets import SECRETS
from stepcreds.scope.mysql_silence import hidden

_READS, _WRITES = ("SELECT", "SHOW VIEW"), ("INSERT", "UPDATE", "DELETE")
_SHIPPED = ("mariadb.sys@localhost", "mysql.sys@localhost")  # definers of what comes with the server in `sys`
_NAME = r"`((?:[^`]|``)*)`"
# The server writes stored functions and tables with their database, and loadable functions without.
_CALL = re.compile(rf"{_NAME}\.{_NAME}\(")
_SEQUENCE = re.compile(rf"\b(?:nextval|setval)\({_NAME}\.{_NAME}", re.IGNORECASE)
_TABLE = re.compile(rf"\b(?:from|join)\s*\(*\s*{_NAME}\.{_NAME}", re.IGNORECASE)
_STRING = re.compile(rf"({_NAME})|'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_ALIAS = re.compile(rf"{_NAME}\.{_NAME} {_NAME}")
_MOST_QUESTIONS, _MOST_ROUTINES = 20, 20
_ROUTINE_FIX = "Do not grant it EXECUTE there; or let the routine run with the caller's rights: SQL SECURITY INVOKER"
_TABLES = (
    "SELECT 'table', TABLE_SCHEMA, TABLE_NAME, '', '', '', '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
)
_ROUTINES = (
    "SELECT 'routine', ROUTINE_SCHEMA, ROUTINE_NAME, DEFINER, ROUTINE_TYPE, SHA2(ROUTINE_DEFINITION, 256),"
    " CAST(LAST_ALTERED AS CHAR) FROM information_schema.ROUTINES"
    " WHERE SECURITY_TYPE = 'DEFINER' AND DEFINER <> CURRENT_USER()"
)
_VIEWS = (
    "SELECT 'view', TABLE_SCHEMA, TABLE_NAME, DEFINER, IS_UPDATABLE, VIEW_DEFINITION, '' FROM information_schema.VIEWS"
    " WHERE SECURITY_TYPE = 'DEFINER' AND DEFINER <> CURRENT_USER()"
)


def questions(rights: Rights, databases: Sequence[str]) -> list[str]:
    """The statements to ask in this role; [] where such code could give nothing, or nothing more."""
    if rights.everywhere:
        return []
    asked = []
    if not rights.names.isdisjoint(("EXECUTE", *EVERYTHING)):
        asked.append(_ROUTINES)
    others = [each for each in databases if each not in SYSTEM]
    asked += [_TABLES + string(each) for each in others if rights.only_parts(each)]
    mine = [each for each in others if rights.at((*_READS, *_WRITES), each)]
    # Whether a view can be written through makes the server open its tables: asked only where it matters.
    views = _VIEWS if any(rights.at(_WRITES, each) for each in mine) else _VIEWS.replace("IS_UPDATABLE", "'NO'")
    if len(mine) > _MOST_QUESTIONS:
        asked.append(views)
    else:  # one by one, because the server then looks into that folder alone
        asked += [f"{views} AND TABLE_SCHEMA = {string(database)}" for database in mine]
    return asked


def string(text: str) -> str:
    """`text` as a string, with the `sql_mode` of a measuring session."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def found(rights: Rights, rows: Rows) -> tuple[list[Finding], list[str]]:
    """Findings, and in words what could not be examined."""
    findings: list[Finding] = list(hidden(rights, rows))
    routines: list[Finding] = []
    unseen: dict[str, int] = {}
    for kind, *rest in rows:
        database, name, definer, detail, body, altered = ("" if value is None else str(value) for value in rest)
        if database in SYSTEM and (definer in _SHIPPED or kind == "view"):
            continue
        if kind == "routine" and rights.at(("EXECUTE",), database, name, detail):
            routines.append(_routine(database, name, definer, detail, body, altered))
            if not body:
                unseen["routine"] = unseen.get("routine", 0) + 1
        elif kind == "view" and rights.at((*_READS, *_WRITES), database, name):
            writes = detail == "YES" and rights.at(_WRITES, database, name)
            findings += _view(rights, f"{database}.{name}", definer, body, writes=writes, database=database)
            if not body:
                unseen[database] = unseen.get(database, 0) + 1
    return findings + _together(routines, rights.named), list(_unseen(unseen))


def _together(routines: list[Finding], named: frozenset[str]) -> list[Finding]:
    """Each by itself, unless they are many: then only those that the profile names."""
    apart = [each for each in routines if len(routines) <= _MOST_ROUTINES or each.subject in named]
    rest: dict[str, list[str]] = {}
    for each in routines:
        if each not in apart:
            rest.setdefault(each.database, []).append(each.subject)
    for database, names in rest.items():
        what = f"call {len(names)} routines of {database}, which run with the rights of those who defined them"
        names.sort()
        subject = f"{database} sha256:{_digest(*names)}"  # another for each change of any of them
        several = Finding("MY.ROUTINE.DEFINER", "admin", what, subject, tuple(names[:3]), len(names))
        apart.append(several._replace(fix=_ROUTINE_FIX, database=database))
    return apart


def _unseen(counts: dict[str, int]) -> Iterator[str]:
    for where, number in counts.items():
        if where == "routine":
            yield (
                f"the code of {number} definer routine{'s' * (number > 1)}, which it may call and not see: a change"
                " is noticed by its time, which whoever changes the code can set"
            )
        else:
            yield (
                f"what {number} definer view{'s' * (number > 1)} of {where} read and call: it may not see their text"
                " (SHOW VIEW)"
            )


def _routine(database: str, name: str, definer: str, kind: str, digest: str, altered: str) -> Finding:
    state = f"sha256:{digest[:16]}" if digest else f"altered:{altered.replace(' ', 'T')}"
    what = f"call the {kind.lower()} {database}.{name}, which runs with the rights of {definer}"
    subject = f"{database}.{name} {kind.lower().replace(' ', '-')} {definer} {state}"
    return Finding("MY.ROUTINE.DEFINER", "admin", what, subject, fix=_ROUTINE_FIX, database=database)


def _view(rights: Rights, view: str, definer: str, body: str, *, writes: bool, database: str) -> Iterator[Finding]:
    """What the view gives beyond what the grants say of it."""
    body = _STRING.sub(lambda match: match[1] or "''", body)
    calls = sorted({f"{_unquoted(match[1])}.{_unquoted(match[2])}" for match in _CALL.finditer(body)})
    if calls:
        what = f"call {', '.join(calls[:3])} by using the view {view}, with the rights of {definer}"
        fix = f"Make the view without the call, or with the caller's rights: ALTER SQL SECURITY INVOKER VIEW {view}"
        subject = f"{view} view {definer} sha256:{_digest(body)}"
        yield Finding("MY.VIEW.CALLS", "admin", what, subject, tuple(calls[:3]), len(calls), "", fix, database)
    fix = f"Make the view run with the caller's rights: ALTER SQL SECURITY INVOKER VIEW {view}"
    tables = _tables(body)
    secret = sorted(f"mysql.{table}" for other, table in tables if other == "mysql" and table in SECRETS)
    if secret:
        what = f"read {', '.join(secret)} through the view {view}, with the rights of {definer}"
        yield Finding("MY.SECRET.READ", "admin", what, view, fix=fix, database="mysql")
    for other in sorted({_unquoted(match[1]) for match in _SEQUENCE.finditer(body)}):
        if not rights.whole(("INSERT",), other):
            what = f"advance a sequence of {other} by reading the view {view}, with the rights of {definer}"
            yield Finding("MY.VIEW.WRITE", "write", what, f"{view} {other}", fix=fix, database=other)
    others = sorted({other for other, _ in tables} - {database} - ({"mysql"} if secret else set()))
    if writes and not body:
        what = f"change, through the view {view} and with the rights of {definer}, tables that it may not know"
        yield Finding("MY.VIEW.WRITE", "write", what, view, fix="GRANT SHOW VIEW as well, so that its text can be seen")
    for other in others:
        if writes and not rights.whole(_WRITES, other):
            what = f"change data of {other} through the view {view}, with the rights of {definer}"
            yield Finding("MY.VIEW.WRITE", "write", what, f"{view} {other}", fix=fix, database=other)
        elif not rights.whole(_READS, other):
            what = f"read what the view {view} shows of {other}, with the rights of {definer}"
            yield Finding("MY.VIEW.READ", "read", what, f"{view} {other}", fix=fix, database=other)


def _tables(body: str) -> set[tuple[str, str]]:
    aliases = {match[3] for match in _ALIAS.finditer(body)}  # `extract(year from `o`.`day`)` names no database
    found = {(match[1], match[2]) for match in _TABLE.finditer(body) if match[1] not in aliases}
    return {(_unquoted(database), _unquoted(table)) for database, table in found}


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _unquoted(name: str) -> str:
    return name.replace("``", "`")
