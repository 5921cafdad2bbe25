"""Everything that the named ledgers say, and how far each of them is to be believed; it draws no conclusions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from stepcreds.errors import LedgerError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.view import ChainView, CredentialView
from stepcreds.printable import one_line
from stepcreds.review.sources import Source, absent
from stepcreds.review.verification import Verified, verify
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust

T = TypeVar("T")


@dataclass(frozen=True)
class Chapter:
    """One chain: what it says, and what is wrong with it."""

    source: Source
    view: ChainView
    verified: Verified


@dataclass(frozen=True)
class Dossier:
    """Many chains, and why others could not be read."""

    chapters: tuple[Chapter, ...]
    errors: tuple[LedgerError, ...]
    trust: Trust | None  # None: nobody looked at signatures
    lost: tuple[Verified, ...] = ()  # what was found of chains that cannot be read: their checkpoints, their store
    seals: Log | None = None  # that the chains were held against
    sealing: tuple[Finding, ...] = ()  # about the seals themselves, and about chains that only they know of

    @property
    def gone(self) -> tuple[Verified, ...]:
        """The chains of which nothing is here but checkpoints: they were removed, or not copied."""
        return tuple(each for each in (*(chapter.verified for chapter in self.chapters), *self.lost) if each.gone)

    @property
    def credentials(self) -> Iterator[tuple[Chapter, CredentialView]]:
        """Every credential with its chain, in the order of the files."""
        return ((chapter, credential) for chapter in self.chapters for credential in chapter.view.credentials)


def read(
    sources: Iterable[Source],
    trust: Trust | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    *,
    seals: Log | None = None,
) -> Dossier:
    """All of it, verified. One bad file does not hide the rest. `tell` is told how many files are done, of how many."""
    chapters, errors, lost = [], [], []
    listed, seen = list(sources), set()
    checked = verify(listed, trust, seals=seals, keep=True)
    for done, (source, verified) in enumerate(zip(listed, checked, strict=True), start=1):
        seen.add(verified.chain_uid)
        try:
            chapters.append(Chapter(source, read_chain(source.path), verified))
        except LedgerError as error:
            errors.append(absent(source, verified.findings) or error)
            lost.append(verified)
        tell(done, len(listed))
    sealing = (*seals.findings, *seals.missing(seen)) if seals is not None else ()
    return Dossier(tuple(chapters), tuple(errors), trust, tuple(lost), seals, sealing)


def glance(
    sources: Iterable[Source],
    look: Callable[[Chapter], T],
    trust: Trust | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[Verified, T | LedgerError]]:
    """What `look` makes of each chapter, each file read once and nothing else of it kept; or why there is none.

    `look` knows what is wrong with a chain by itself; what is wrong with it beside others has what it comes with. It
    may be called in another process, which hands on what it returns.
    """
    listed = list(sources)
    checked = verify(listed, trust, look=lambda source, verified, view: (look(Chapter(source, view, verified)),))
    for done, (source, verified) in enumerate(zip(listed, checked, strict=True), start=1):
        seen = verified.seen
        yield verified, seen[0] if isinstance(seen, tuple) else _unread(source, verified)
        tell(done, len(listed))


def _unread(source: Source, verified: Verified) -> LedgerError:
    try:
        read_chain(source.path)
    except LedgerError as error:
        return absent(source, verified.findings) or error
    return LedgerError(f"{one_line(source.name)} could not be read a moment ago, and can be now", docs="ledger")
