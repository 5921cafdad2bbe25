"""The credentials that `ledger show` was asked for, out of however many: what is printed of each, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from stepcreds.cli.ledger_text import origin
from stepcreds.errors import LedgerError
from stepcreds.ledger.view import CredentialView
from stepcreds.review.dossier import Chapter
from stepcreds.review.selection import Selection, is_signed, was_tampered
from stepcreds.review.verification import Verified

ROOM = 1_000  # credentials that are kept beyond the limit, so that not every file has all of them sorted


class Shown(NamedTuple):
    """One credential as it is printed."""

    time: float  # epoch seconds
    signed: bool | None
    content: Any  # what the form made of it
    file: str = ""
    is_tampered: bool = False


class Seen(NamedTuple):
    """What one file has of what was asked for."""

    origin: tuple[str, str]
    unreadable: int  # lines
    number: int
    newest: list[Shown]


class Chosen:
    """`take` what `look` makes of each file; then `shown`, `alike` and the rest are known.

    `look` is called where the file is read, and that may be in another process.
    """

    def __init__(self, selection: Selection, form: Callable[[Chapter, CredentialView], Any], limit: int | None) -> None:
        self.count = 0  # credentials that were asked for
        self.chapters = 0  # files that could be read
        self.unreadable: list[tuple[str, int]] = []  # file, lines
        self.errors: list[LedgerError] = []
        self._selection = selection
        self._form = form
        self._limit = limit
        self._kept: list[Shown] = []
        self._origins: tuple[set[str], set[str]] = (set(), set())

    def look(self, chapter: Chapter) -> Seen:
        """What is to be known of one file."""
        taken = [each for each in chapter.view.credentials if self._selection.takes(chapter, each)]
        newest = sorted(taken, key=_time)[-self._limit if self._limit else 0 :]
        rows = [Shown(_time(each), is_signed(chapter, each), self._form(chapter, each)) for each in newest]
        return Seen(origin(chapter.view), chapter.view.unreadable, len(taken), rows)

    def take(self, verified: Verified, seen: Seen | LedgerError) -> None:
        """What `look` made of a file, or why there is nothing of it."""
        if isinstance(seen, LedgerError):
            self.errors.append(seen)
            return
        self.chapters += 1
        self.count += seen.number
        if seen.unreadable:
            self.unreadable.append((verified.file, seen.unreadable))
        for names, name in zip(self._origins, seen.origin, strict=True):
            if len(names) < 2:
                names.add(name)
        is_tampered = was_tampered(verified)
        self._kept += (each._replace(file=verified.file, is_tampered=is_tampered) for each in seen.newest)
        if self._limit and len(self._kept) > self._limit + ROOM:
            self._kept = self.shown()

    def shown(self) -> list[Shown]:
        """The newest, and the newest last."""
        return sorted(self._kept, key=lambda each: each.time)[-self._limit if self._limit else 0 :]

    def alike(self) -> list[str]:
        """The columns that have one value for all that was read, or was asked for."""
        asked = (self._selection.repository, self._selection.run)
        return [
            name
            for name, known, named in zip(("REPOSITORY", "RUN"), self._origins, asked, strict=True)
            if len(known) < 2 or named is not None
        ]


def _time(credential: CredentialView) -> float:
    return credential.time or 0.0
