"""How rights are told: sorted by level, and as a phrase that follows "it can"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stepcreds.measurement import LEVELS, Level
from stepcreds.scope.mysql.power import Place
from stepcreds.scope.mysql.privileges import DATA, EVERYTHING

_PHRASES: Final = {
    "REFERENCES": "make foreign keys to",
    "INDEX": "make indexes",
    "EVENT": "make events",
    "TRIGGER": "make triggers",
    "CREATE TEMPORARY TABLES": "make temporary tables",
    "EXECUTE": "call routines",
    "ALL PRIVILEGES": "do everything",
    "ALL": "do everything",
}


def by_level(names: Sequence[str]) -> Iterator[tuple[Level, list[str]]]:
    """The worst first; ALL PRIVILEGES is one thing, of the level of the worst in it."""
    everything = [name for name in names if name in EVERYTHING]
    if everything:
        yield "ddl", everything
        return
    for level in reversed(LEVELS):
        some = [name for name in names if DATA.get(name) == level]
        if some:
            yield level, some


def verbs(names: Sequence[str]) -> str:
    told = [_PHRASES.get(name, name) for name in names]
    return " and ".join([", ".join(told[:-1])] * (len(told) > 1) + told[-1:])


def on(names: Sequence[str], place: Place) -> str:
    return f"{', '.join(names)} ON {place}"
