"""Collects what is wrong with a configuration, so that all of it can be said at once; it judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterable

from stepcreds.errors import ConfigError, Problem

# A file of a million aliases would otherwise fill the CI's log with a million lines, after a long search for
# what each of them may have meant.
MOST = 100
_END = 1 << 30  # a line behind the last


class Problems:
    """The problems of one file, and where in it each key stands."""

    def __init__(self, file: str) -> None:
        self.file = file  # as it is to be shown
        self.positions: dict[str, tuple[int, int]] = {}  # dotted key -> line and column, both from 1
        self._found: list[tuple[int, int, Problem]] = []

    def at(self, line: int, column: int, key: str, what: str, fix: str = "") -> None:
        """Something is wrong at `line` and `column`, both from 1. Raises `ConfigError` when this is problem `MOST`."""
        self._found.append((line, column, Problem(f"{self.file}:{line}:{column}", key, what, fix)))
        if len(self._found) == MOST:
            self._found.append((_END, 0, Problem(self.file, "", "there may be more problems: reading stopped here")))
            self.raise_all()

    def add(self, key: str, what: str, fix: str = "") -> None:
        """Something is wrong with the dotted `key`; one that is not there stands where its parent does."""
        place = key
        while place and place not in self.positions:
            place = place.rpartition(".")[0]
        self.at(*self.positions.get(place, (1, 1)), key, what, fix)

    def outside(self, where: str, what: str, fix: str = "") -> None:
        """Something is wrong with what is not in the file: a variable, by its name."""
        self._found.append((0, 0, Problem(where, "", what, fix)))

    def raise_all(self) -> None:
        """Raises `ConfigError` if there is any problem, in the order of the file, then those outside it."""
        if not self._found:
            return
        in_order = sorted(self._found, key=lambda found: (not found[0], found[0], found[1]))
        raise ConfigError([problem for _, _, problem in in_order])


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` that is most like `word`, "" where none is like it."""
    import difflib  # heavy, and only needed when something is wrong

    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1)), "")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean "…"?` with the nearest of `known`, or which there are."""
    names = list(known)
    if not names:
        return "There are none."
    near = nearest(word, names)
    return f'Did you mean "{near}"?' if near else f"Use one of: {', '.join(names)}."
