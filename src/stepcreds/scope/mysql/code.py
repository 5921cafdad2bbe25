"""Code that runs with somebody else's rights: definer routines that it may call, definer views that it may use.

The text of a routine is visible to its definer and to administrators, so that routines are told by name, owner and,
where there is one to be had, a hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from stepcreds.measurement import Finding
from stepcreds.scope.mysql.places import SYSTEM
from stepcreds.scope.mysql.privileges import EVERYTHING
from stepcreds.scope.mysql.rights import Rights, Rows
from stepcreds.scope.mysql.silence import hidden
from stepcreds.scope.mysql.views import READS, WRITES, View, digest, hidden_behind
from stepcreds.scope.mysql.views import found as found_in_views

_SHIPPED = ("mariadb.sys@localhost", "mysql.sys@localhost")  # definers of what comes with the server in `sys`
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
    mine = [each for each in others if rights.at((*READS, *WRITES), each)]
    # Whether a view can be written through makes the server open its tables: asked only where it matters.
    views = _VIEWS if any(rights.at(WRITES, each) for each in mine) else _VIEWS.replace("IS_UPDATABLE", "'NO'")
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
    routines: list[Finding] = []
    views: list[View] = []
    closed = 0  # routines whose code is not to be seen
    for kind, *rest in rows:
        database, name, definer, detail, body, altered = ("" if value is None else str(value) for value in rest)
        if database in SYSTEM and (definer in _SHIPPED or kind == "view"):
            continue
        if kind == "routine" and rights.at(("EXECUTE",), database, name, detail):
            routines.append(_routine(database, name, definer, detail, body, altered))
            closed += not body
        elif kind == "view" and rights.at((*READS, *WRITES), database, name):
            writes = detail == "YES" and rights.at(WRITES, database, name)
            views.append(View(database, name, definer, body, writes))
    findings = [*hidden(rights, rows), *found_in_views(rights, views), *_together(routines, rights.named)]
    return findings, [*_closed(closed), *_unseen(views), *_behind(rights, rows, views)]


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
        subject = f"{database} sha256:{digest(*names)}"  # another for each change of any of them
        several = Finding("MY.ROUTINE.DEFINER", "admin", what, subject, tuple(names[:3]), len(names))
        apart.append(several._replace(fix=_ROUTINE_FIX, database=database))
    return apart


def _closed(number: int) -> Iterator[str]:
    if number:
        yield (
            f"the code of {number} definer routine{'s' * (number > 1)}, which it may call and not see: a change"
            " is noticed by its time, which whoever changes the code can set"
        )


def _unseen(views: Sequence[View]) -> Iterator[str]:
    for database, number in Counter(view.database for view in views if not view.text).items():
        yield (
            f"what {number} definer view{'s' * (number > 1)} of {database} read and call: it may not see their text"
            " (SHOW VIEW), so that a change of it goes unnoticed"
        )


def _behind(rights: Rights, rows: Rows, views: Sequence[View]) -> Iterator[str]:
    """A view that is granted alone may read another, which does what nobody can see."""
    visible = {(str(database), str(name)) for kind, database, name, *_ in rows if kind == "table"}
    apart = [view for view in views if rights.only_parts(view.database)]
    names = sorted({name for view in apart for name in hidden_behind(view, visible)})
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield (
            f"what stands behind {', '.join(names[:3])}{more}, which definer views read and it may not see: a view"
            " there may call functions"
        )


def _routine(database: str, name: str, definer: str, kind: str, digest: str, altered: str) -> Finding:
    state = f"sha256:{digest[:32]}" if digest else f"altered:{altered.replace(' ', 'T')}"
    what = f"call the {kind.lower()} {database}.{name}, which runs with the rights of {definer}"
    subject = f"{database}.{name} {kind.lower().replace(' ', '-')} {definer} {state}"
    return Finding("MY.ROUTINE.DEFINER", "admin", what, subject, fix=_ROUTINE_FIX, database=database)
