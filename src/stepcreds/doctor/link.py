"""What was found at one link of the chain; nothing here looks at anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from stepcreds.errors import StepcredsError
from stepcreds.vault.jwt_role import Row

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Link:
    """`found` says what was seen, or why nothing was looked at; `error` is there when something is to be changed.

    A `warning` holds, and a step gets through it: what is said there makes a failure worse, or brings one later.
    """

    name: str
    status: Status
    found: str
    error: StepcredsError | None = None
    rows: tuple[Row, ...] = ()

    @property
    def finding(self) -> bool:
        return self.status in ("warning", "failed")


class Remark(NamedTuple):
    """One thing to change at a link that holds."""

    cause: str  # what it is, and what it makes worse
    fix: str
    docs: str


def remarked(name: str, found: str, remarks: Sequence[Remark], rows: tuple[Row, ...] = ()) -> Link:
    """The link, which holds: a warning where there are remarks."""
    if not remarks:
        return Link(name, "ok", found, rows=rows)
    causes, fixes = (
        dict.fromkeys(texts) for texts in (zip(*((each.cause, each.fix) for each in remarks), strict=True))
    )
    error = StepcredsError(found, cause="\n".join(causes), fix="\n".join(fixes), docs=remarks[0].docs)
    return Link(name, "warning", found, error, rows)


class Report(Protocol):
    """Who is told, as soon as it is known."""

    def profile(self, name: str) -> None:
        """The links that follow are those of this profile."""
        ...

    def link(self, link: Link) -> None: ...

    def cut_short(self, error: StepcredsError) -> None:
        """Not every link is looked at; whoever reads the log has been told why."""
        ...

    def finish(self) -> bool:
        """There are no more links. False: what was to be kept of them could not be written."""
        ...


class NotLookedAtError(Exception):
    """There is nothing to find at this link, or no way to look; the text says why. Stays inside `doctor`."""


class BrokenError(Exception):
    """The link is broken: `error`, and the comparison that shows where. Stays inside `doctor`."""

    def __init__(self, found: str, error: StepcredsError, rows: tuple[Row, ...]) -> None:
        super().__init__(found)
        self.found = found
        self.error = error
        self.rows = rows
