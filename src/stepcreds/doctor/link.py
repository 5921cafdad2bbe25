"""What was found at one link of the chain; nothing here looks at anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from stepcreds.errors import StepcredsError
from stepcreds.vault.jwt_role import Row


@dataclass(frozen=True)
class Link:
    """`found` says what was seen, or why nothing was looked at; `error` is there when the link is broken."""

    name: str
    status: Literal["ok", "failed", "skipped"]
    found: str
    error: StepcredsError | None = None
    rows: tuple[Row, ...] = ()


class Report(Protocol):
    """Who is told, as soon as it is known."""

    def profile(self, name: str) -> None:
        """The links that follow are those of this profile."""
        ...

    def link(self, link: Link) -> None: ...

    def finish(self, findings: int) -> None: ...


class NotLookedAtError(Exception):
    """There is nothing to find at this link, or no way to look; the text says why. Stays inside `doctor`."""


class BrokenError(Exception):
    """The link is broken: `error`, and the comparison that shows where. Stays inside `doctor`."""

    def __init__(self, found: str, error: StepcredsError, rows: tuple[Row, ...]) -> None:
        super().__init__(found)
        self.found = found
        self.error = error
        self.rows = rows
