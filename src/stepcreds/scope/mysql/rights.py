"""What a session may do at one place: its privileges, looked up as the server looks them up."""

from __future__ import annotations

from collections.abc import Sequence

from stepcreds.scope.mysql.places import fits
from stepcreds.scope.mysql.power import Power, Server
from stepcreds.scope.mysql.privileges import DATA, EVERYTHING

Rows = list[tuple[object, ...]]


class Rights:
    """What the session may do in one of its roles; privileges only."""

    def __init__(self, powers: Sequence[Power], server: Server) -> None:
        self._fold = server.fold
        self.named = server.named
        self.names = frozenset(power.name for power in powers)
        self._wide = [power for power in powers if power.place.kind in ("server", "database")]
        # A database -> what is held for something in it, and that -> what is held for it.
        self._in: dict[str, set[str]] = {}
        self._for: dict[tuple[str, str, str], set[str]] = {}
        self._full: set[tuple[tuple[str, str, str], str]] = set()  # what is held for all columns of a table
        for power in powers:
            place = power.place
            if place.kind in ("table", "routine"):
                self._in.setdefault(self._folded(place.database), set()).add(power.name)
                thing = self._thing(place.database, place.name, place.routine)
                self._for.setdefault(thing, set()).add(power.name)
                if not power.columns:
                    self._full.add((thing, power.name))

    @property
    def everywhere(self) -> bool:
        """Whether it may do everything on the server."""
        return any(power.name in EVERYTHING and power.place.kind == "server" for power in self._wide)

    def at(self, names: Sequence[str], database: str, name: str = "", routine: str = "") -> bool:
        """Whether it holds any of `names` for the database or something in it; for this table or routine, if named."""
        if self.whole(names, database):
            return True
        narrow = self._for.get(self._thing(database, name, routine)) if name else self._in.get(self._folded(database))
        return narrow is not None and not narrow.isdisjoint((*names, *EVERYTHING))

    def whole(self, names: Sequence[str], database: str) -> bool:
        """Whether it holds any of `names` for the whole database."""
        wanted = (*names, *EVERYTHING)
        return any(
            power.name in wanted
            and (power.place.kind == "server" or fits(power.place.database, database, fold=self._fold))
            for power in self._wide
        )

    def table(self, names: Sequence[str], database: str, table: str) -> bool:
        """Whether it holds any of `names` for this table or view, and all of its columns."""
        thing = self._thing(database, table, "")
        return self.whole(names, database) or any((thing, name) in self._full for name in (*names, *EVERYTHING))

    def anything(self, database: str, name: str) -> bool:
        """Whether it holds anything for this table or view, or for the database."""
        return not self.only_parts(database) or self._thing(database, name, "") in self._for

    def only_parts(self, database: str) -> bool:
        """Whether all that it holds there is for tables and routines."""
        return self._folded(database) in self._in and not any(
            (power.place.kind == "server" and power.name in (*DATA, *EVERYTHING))
            or (power.place.kind == "database" and fits(power.place.database, database, fold=self._fold))
            for power in self._wide
        )

    def _thing(self, database: str, name: str, routine: str) -> tuple[str, str, str]:
        """The names of routines ignore case, and a package is one with its body."""
        folded = name.lower() if routine or self._fold else name
        return self._folded(database), folded, routine.removesuffix(" BODY")

    def _folded(self, name: str) -> str:
        return name.casefold() if self._fold else name
