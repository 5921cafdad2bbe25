"""What SHOW GRANTS does not show: rights of the anonymous user, and what everybody may do without a grant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stepcreds.measurement import Finding
from stepcreds.printable import one_line
from stepcreds.scope.mysql.places import fits
from stepcreds.scope.mysql.power import Power, Server
from stepcreds.scope.mysql.privileges import DATA, EVERYTHING
from stepcreds.scope.mysql.rights import Rights, Rows

_FOR_EVERYBODY = ("information_schema", "performance_schema")
_FIX = "As an administrator: SELECT * FROM mysql.db WHERE User = ''; and take away what is found there"
# Held for the server, they make every database visible (MariaDB's DB_ACLS and SHOW_DB_ACL).
_SEES_ALL = (*DATA, *EVERYTHING, "SHOW DATABASES")


class Silence(NamedTuple):
    """What is known of one credential."""

    powers: tuple[Power, ...]  # with all roles
    server: Server
    own: tuple[Power, ...]  # privileges that are in force without a role
    visible: tuple[str, ...]  # the databases that it sees without a role
    revokes: bool  # there are partial revokes

    def findings(self) -> Iterator[Finding]:
        """A database that it sees, and that no line of SHOW GRANTS has: a grant to ''@'%' holds for everybody.

        So does one to another account of the same name, if the host fits. MariaDB's default database `test` is one.
        """
        if self._sees_all(self.own):
            return
        for database in self.visible:
            if database not in _FOR_EVERYBODY and not any(self._explains(power, database) for power in self.own):
                what = f"use rights in {database} that SHOW GRANTS does not show, those of the anonymous user"
                yield Finding("MY.HIDDEN.DATABASE", "admin", what, database, fix=_FIX, database=database)

    def not_examined(self) -> Iterator[str]:
        names = {power.name for power in self.powers if power.kind == "privilege"}
        if self._sees_all(self.own):
            yield "rights of the anonymous user, which hold for everybody and which SHOW GRANTS does not show"
        else:
            yield "rights of the anonymous user in the databases above, which SHOW GRANTS does not show"
        yield "where tables of the engines FEDERATED, CONNECT and SPIDER reach"
        if names.intersection(("INSERT", "UPDATE", "DELETE", *EVERYTHING)):
            yield "the code of triggers on what it may change: it runs with the rights of whoever defined it"
        yield "loadable functions (CREATE FUNCTION … SONAME), which everybody may call"
        if self.revokes:
            yield "partial revokes: what they take away is told here all the same"

    def notes(self, username: str, account: str, *, read_only: bool) -> tuple[str, ...]:
        notes = [
            "as everybody, it may change its own password, end its own sessions, take named locks (GET_LOCK), and keep"
            " writers waiting with SELECT … FOR UPDATE where it may read"
        ]
        if read_only:
            notes.append("the server is read-only, for all but holders of READ_ONLY ADMIN")
        if account.rpartition("@")[0] != username:
            notes.append(f"the server takes this login for the account {one_line(account)}")
        return tuple(notes)

    def _sees_all(self, powers: tuple[Power, ...]) -> bool:
        everywhere = [power for power in powers if power.place.kind == "server"]
        return any(power.name in _SEES_ALL or power.grantable for power in everywhere)

    def _explains(self, power: Power, database: str) -> bool:
        if power.place.kind == "database":
            return fits(power.place.database, database, fold=self.server.fold)
        same = power.place.database.casefold() if self.server.fold else power.place.database
        return power.place.kind != "server" and same == (database.casefold() if self.server.fold else database)


def hidden(rights: Rights, rows: Rows) -> Iterator[Finding]:
    """Tables that it sees though nothing that it was granted is for them, in a database where it has but parts."""
    tables: dict[str, list[str]] = {}
    for kind, database, name, *_ in rows:
        if kind == "table" and not rights.anything(str(database), str(name)):
            tables.setdefault(str(database), []).append(f"{database}.{name}")
    for database, names in tables.items():
        what = f"use rights in {database} that SHOW GRANTS does not show, and that reach {len(names)} more tables"
        found = Finding("MY.HIDDEN.DATABASE", "admin", what, database, tuple(sorted(names)[:3]), len(names), fix=_FIX)
        yield found._replace(database=database)
