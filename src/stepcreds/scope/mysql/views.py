"""What a definer view gives beyond what the grants say of it: it reads, writes and calls with its definer's rights.

A SELECT can write: by a stored function that the view calls, by a sequence that it advances. The text tells, and
holders of SHOW VIEW see it. Without that nothing tells a harmless view from one that shows everybody's password hash:
SHOW CREATE VIEW and EXPLAIN are refused, and `information_schema` has the definer and the columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from stepcreds.measurement import Finding
from stepcreds.scope.mysql.places import closed
from stepcreds.scope.mysql.power import Place
from stepcreds.scope.mysql.rights import Rights
from stepcreds.scope.mysql.secrets import SECRETS
from stepcreds.scope.mysql.text import Reading, read

READS, WRITES = ("SELECT",), ("INSERT", "UPDATE", "DELETE")


class View(NamedTuple):
    """A definer view that the session may use."""

    database: str
    name: str
    definer: str
    text: str  # "" it may not see it
    writes: bool  # it may change rows through it

    @property
    def dotted(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def subject(self) -> str:
        """Another with each change of the text, where that is to be seen."""
        return f"{self.dotted} view {self.definer}" + (f" sha256:{digest(self.text)}" if self.text else "")

    @property
    def fix(self) -> str:
        return f"Make the view run with the caller's rights: ALTER SQL SECURITY INVOKER VIEW {self.dotted}"


def found(rights: Rights, views: Sequence[View]) -> Iterator[Finding]:
    """What they give."""
    unseen: dict[str, list[View]] = {}
    for view in views:
        reading = read(view.text, view.database)
        if not view.text:
            group = view.dotted if {view.subject, view.dotted} & rights.named else view.database
            unseen.setdefault(group, []).append(view)
        elif reading is None:
            what = f"use the view {view.dotted}, whose text is not understood here, with the rights of {view.definer}"
            yield Finding("MY.VIEW.UNSEEN", "admin", what, view.subject, fix=view.fix, database=view.database)
        else:
            yield from _seen(rights, view, reading)
    for some in unseen.values():
        yield _unseen(rights, some)


def _unseen(rights: Rights, views: Sequence[View]) -> Finding:
    """Whatever they do: nobody can say."""
    subjects = sorted(view.subject for view in views)
    names = sorted(view.dotted for view in views)
    database, number = views[0].database, len(views)
    of = f"the view {names[0]}" if number == 1 else f"{number} views of {database}"
    definers = _listed(sorted({view.definer for view in views}))
    return Finding(
        "MY.VIEW.UNSEEN",
        "admin",
        f"use {of} with the rights of {definers}: what that comes to cannot be said, for it may not see"
        f" {'its text' if number == 1 else 'their text'}",
        subjects[0] if number == 1 else f"{database} views sha256:{digest(*subjects)}",
        tuple(names[:3]),
        number,
        fix=f"Grant it SHOW VIEW ON {_place(rights, views)} as well, so that the text can be judged",
        database=database,
    )


def _place(rights: Rights, views: Sequence[View]) -> str:
    """Where SHOW VIEW is missing; no wider than what is held there."""
    database = views[0].database
    if rights.whole((*READS, *WRITES), database):
        return str(Place("database", closed(database.replace("\\", "\\\\"))))
    return str(Place("table", database, views[0].name)) if len(views) == 1 else "each of them"


def _seen(rights: Rights, view: View, reading: Reading) -> Iterator[Finding]:
    base = Finding("", "admin", "", view.subject, fix=view.fix, database=view.database)
    by = f"with the rights of {view.definer}"
    calls = sorted(".".join(names) for names in reading.calls)
    if calls:
        what = f"call {_listed(calls)} by using the view {view.dotted}, {by}"
        fix = f"Make the view without the call, or with the caller's rights: {view.fix.partition(': ')[2]}"
        base_of_calls = base._replace(code="MY.VIEW.CALLS", what=what, objects=tuple(calls[:3]), number=len(calls))
        yield base_of_calls._replace(fix=fix)
    servers = sorted(name for database, name in reading.relations if database == "mysql")
    secret = [f"mysql.{name}" for name in servers if name in SECRETS]
    if secret:
        what = f"read {', '.join(secret)} through the view {view.dotted}, {by}"
        yield base._replace(code="MY.SECRET.READ", what=what, database="mysql")
    if servers and view.writes:
        what = f"change, through the view {view.dotted} and {by}, tables that the server takes its rights from"
        yield base._replace(code="MY.SECRET.WRITE", what=what, database="mysql")
    for other in _databases(names for names in reading.sequences if not rights.table(("INSERT",), *names)):
        what = f"advance a sequence of {other} by reading the view {view.dotted}, {by}"
        subject = f"{view.subject} {other}"
        yield base._replace(code="MY.VIEW.WRITE", level="write", what=what, subject=subject, database=other)
    yield from _elsewhere(rights, view, reading, base, told=("mysql",) if secret or (servers and view.writes) else ())


def _elsewhere(
    rights: Rights, view: View, reading: Reading, base: Finding, *, told: Collection[str]
) -> Iterator[Finding]:
    """What it gives in other databases. In its own a view is what its grant is for."""
    relations = [names for names in reading.relations if names[0] not in (view.database, *told)]
    by = f"with the rights of {view.definer}"
    changed = _databases(names for names in relations if view.writes and not rights.table(WRITES, *names))
    shown = _databases(names for names in relations if not rights.table(READS, *names))
    for other in sorted({*changed, *shown}):
        its = base._replace(subject=f"{view.subject} {other}", database=other)
        if other in changed:
            what = f"change data of {other} through the view {view.dotted}, {by}"
            yield its._replace(code="MY.VIEW.WRITE", level="write", what=what)
        else:
            what = f"read what the view {view.dotted} shows of {other}, {by}"
            yield its._replace(code="MY.VIEW.READ", level="read", what=what)


def hidden_behind(view: View, visible: Collection[tuple[str, str]]) -> list[str]:
    """What the view reads in its own database that is not among `visible`, be it a table or a view again."""
    reading = read(view.text, view.database) or Reading()
    own = {(database, name) for database, name in reading.relations if database == view.database}
    return sorted(".".join(names) for names in own - {*visible})


def _databases(several: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted({names[0] for names in several})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def digest(*texts: str) -> str:
    """The first 128 bits of a hash: with 64, who writes two texts can make them share it."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
