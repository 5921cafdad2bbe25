"""Turns what SHOW GRANTS gives into findings: by place and level, with the path that explains them. It asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from stepcreds.measurement import Finding
from stepcreds.scope.mysql.places import closed, is_pattern, literal, reached
from stepcreds.scope.mysql.power import Held, Place, Power, Server, dotted, plain
from stepcreds.scope.mysql.privileges import DATA, EVERYTHING, NOTHING, server_privilege
from stepcreds.scope.mysql.secrets import secret_table, secrets
from stepcreds.scope.mysql.words import by_level, on, verbs

_EXAMPLES = 3
_MOST_DATABASES = 20  # that are told one by one


def findings(held: Iterable[Held], server: Server) -> tuple[Finding, ...]:
    """Everything but the routines and views, whose code has to be looked at."""
    held = list(dict.fromkeys(held))
    found: list[Finding] = []
    for path in dict.fromkeys((each.via, each.role) for each in held):
        powers = [each.power for each in held if (each.via, each.role) == path]
        found += _of_path(powers, server, *path)
    return tuple(found)


def _of_path(powers: Sequence[Power], server: Server, via: str, role: str) -> Iterator[Finding]:
    privileges = [power for power in powers if power.kind == "privilege"]
    for finding in (
        *_special(powers),
        *_of_server([power for power in privileges if power.place.kind == "server"]),
        *_of_databases([power for power in privileges if power.place.kind == "database"], server),
        *_of_tables([power for power in privileges if power.place.kind == "table"], server),
        *_of_routines([power for power in privileges if power.place.kind == "routine"]),
    ):
        yield finding._replace(via=via, fix=_fix(finding.fix, via, role))


def _fix(what: str, via: str, role: str) -> str:
    """`what` is "SELECT ON `shop`.*", or the name of another power; with a blank before it, a whole sentence."""
    if what.startswith(" "):
        return what.strip()
    if via == "PUBLIC":
        return f"REVOKE {what} FROM PUBLIC"
    return f"Do not grant it {what}" if not role else f"Do not grant it the role {role}, or the role {what}"


def _special(powers: Iterable[Power]) -> Iterator[Finding]:
    for power in powers:
        if power.kind == "unread":
            what = f"do what the server says in words that are not understood here: {power.name}"
            fix = " Look at its SHOW GRANTS; what is read here is what MariaDB 10.11 and MySQL 8 write"
            yield Finding("MY.UNREAD.LINE", "admin", what, power.name, fix=fix)
        elif power.kind == "proxy":
            account = power.name.replace("`", "")
            what = f"act as {account}, where its way to log in allows for proxies"
            yield Finding("MY.PROXY.USER", "admin", what, account, fix=f"PROXY ON {power.name}")
        elif power.kind == "role" and power.grantable:
            what = f"make anybody a member of the role {plain(power.name)}, also for after this credential is gone"
            yield Finding("MY.GRANT.ROLE", "admin", what, plain(power.name), fix=f"{power.name} WITH ADMIN OPTION")
    for place in dict.fromkeys(power.place for power in powers if power.grantable and power.kind == "privilege"):
        where = dotted(place)
        what = f"hand on its rights on {where} to other users, who keep them when this credential is gone"
        database = literal(place.database) if place.kind == "database" else place.database
        yield Finding("MY.GRANT.OPTION", "admin", what, where, database=database, fix=f"GRANT OPTION ON {place}")


def _of_server(powers: Sequence[Power]) -> Iterator[Finding]:
    names = [power.name for power in powers if power.name != NOTHING]
    if any(name in EVERYTHING for name in names):
        yield Finding("MY.SERVER.ALL", "admin", "do everything on the server", fix="ALL PRIVILEGES ON *.*")
        return
    for name in names:
        if name not in DATA:
            level, what = server_privilege(name)
            code = re.sub(r"[^A-Z0-9]+", "_", name.upper())
            yield Finding(f"MY.SERVER.{code}", level, what, fix=f"{name} ON *.*")
    for level, some in by_level(names):
        yield Finding(f"MY.GLOBAL.{level.upper()}", level, f"{verbs(some)} in all databases", fix=on(some, Place()))
    yield from secrets(names, "all databases", fix=on(names, Place()))


def _of_databases(powers: Sequence[Power], server: Server) -> Iterator[Finding]:
    for place, here in _by_place(powers):
        names, pattern = [power.name for power in here], place.database
        databases = reached(pattern, server.databases, fold=server.fold)
        if is_pattern(pattern):
            yield _pattern(pattern, databases)
        if not pattern.strip("%") or len(databases) > _MOST_DATABASES:
            where = f"every database whose name fits {pattern}"
            yield from _at(names, where, Finding("MY.DATABASE", "info", "", pattern), place)
            if "mysql" in databases:
                yield from secrets(names, where, fix=on(names, place))
            continue
        for database in databases:
            at = f"the database {database}"
            if database == "mysql":
                yield from secrets(names, at, fix=on(names, place))
            yield from _at(names, at, Finding("MY.DATABASE", "info", "", database, database=database), place)


def _pattern(pattern: str, databases: Sequence[str]) -> Finding:
    what = f"use its rights on {pattern} in every database whose name fits it, in which _ and % fit anything"
    examples = tuple(databases[:_EXAMPLES])
    fix = f" Write the name with its wildcards escaped: {Place('database', closed(pattern))}"
    return Finding("MY.PATTERN.NAMES", "info", what, pattern, examples, len(databases), fix=fix, database=pattern)


def _of_tables(powers: Sequence[Power], server: Server) -> Iterator[Finding]:
    tables: dict[tuple[str, tuple[str, ...], str], list[Power]] = {}
    for name, mine in _by_place(powers):
        table = dotted(name)
        whole = tuple(power.name for power in mine if not power.columns)
        if name.database == "mysql":
            yield from secret_table(name, [power.name for power in mine])
        if whole:
            tables.setdefault((name.database, whole, table if table in server.named else ""), []).append(mine[0])
        for power in mine:
            if power.columns:
                yield _column(power, table)
    for (database, names, own), several in tables.items():
        at = Finding("MY.TABLE", "info", "", own or database, database=database, table=own)
        at = at._replace(
            objects=tuple(sorted(dotted(power.place) for power in several)[:_EXAMPLES]), number=len(several)
        )
        where = own or (dotted(several[0].place) if len(several) == 1 else f"{len(several)} tables of {database}")
        yield from _at(names, where, at, several[0].place)


def _column(power: Power, table: str) -> Finding:
    level = DATA.get(power.name)
    columns = tuple(f"{table}.{column}" for column in power.columns)
    what = f"{verbs([power.name])} {len(columns)} column{'s' * (len(columns) > 1)} of {table}"
    fix = f"{power.name} ({', '.join(power.columns)}) ON {power.place}"
    code = f"MY.COLUMN.{level.upper()}" if level else "MY.UNKNOWN.PRIVILEGE"
    found = Finding(code, level or "admin", what, table, columns[:_EXAMPLES], len(columns), fix=fix)
    return found._replace(database=power.place.database, table=table, columns=columns)


def _of_routines(powers: Sequence[Power]) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Power]] = {}
    for power in powers:
        if power.name != NOTHING:
            groups.setdefault((power.place.database, power.name), []).append(power)
    for (database, name), several in groups.items():
        where = dotted(several[0].place) if len(several) == 1 else f"{len(several)} routines of {database}"
        at = Finding("MY.ROUTINE", "info", "", database, database=database, number=len(several))
        at = at._replace(objects=_examples(several))
        yield from _at([name], where, at, several[0].place)


def _by_place(powers: Sequence[Power]) -> Iterable[tuple[Place, list[Power]]]:
    places: dict[Place, list[Power]] = {}
    for power in powers:
        if power.name != NOTHING:
            places.setdefault(power.place, []).append(power)
    return places.items()


def _examples(several: Sequence[Power]) -> tuple[str, ...]:
    """In an order of our own: SHOW GRANTS has none."""
    return tuple(sorted(dotted(power.place) for power in several)[:_EXAMPLES])


def _at(names: Sequence[str], where: str, finding: Finding, place: Place) -> Iterator[Finding]:
    """A finding for each level of what may be done at one place; `finding` has all but that."""
    for level, some in by_level(names):
        preposition = " on" if place.kind != "database" else " in"
        what = f"{verbs(some)}{preposition} {where}"
        yield finding._replace(code=f"{finding.code}.{level.upper()}", level=level, what=what, fix=on(some, place))
    for name in names:
        if name not in DATA and name not in EVERYTHING:
            what = f"use the privilege {name} on {where}, which is taken for the worst"
            yield finding._replace(code="MY.UNKNOWN.PRIVILEGE", level="admin", what=what, fix=on([name], place))
