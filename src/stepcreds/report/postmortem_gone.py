"""Ledgers that are gone, or cut, and of which checkpoints are here: what those say, and whether it excludes them.

A checkpoint says how long the chain was, and when. What the chain told of, it does not say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from stepcreds.ledger import checkpoint
from stepcreds.ledger.view import epoch_of
from stepcreds.report.postmortem_words import MARGIN, Said, quoted, when
from stepcreds.review.checkpoints import CheckpointFile, Read
from stepcreds.review.dossier import Chapter, Dossier
from stepcreds.review.selection import is_tampered, was_tampered
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust, require_cryptography

FIRST: Final = 3  # records up to a chain's first checkpoint: it was opened, a credential was asked for, and issued
_JOBS: Final = 20  # a chain is of one; whoever writes the file can name more


class Gone(NamedTuple):
    """One such ledger, by those of its checkpoints that are to be believed most."""

    file: str  # of the ledger
    repository_id: str
    run: str
    attempt: str
    least: int  # records up to the checkpoint of the fewest
    size: int  # records up to that of the most
    first: float  # epoch seconds: the earliest of their times
    last: float
    signed: bool | None  # by a trusted key; None: nobody said which those are
    is_tampered: bool  # something is wrong with it that no crash leaves
    is_cut: bool  # something is in its place, or the beginning of it


def gone_of(sources: Iterable[Source], dossier: Dossier) -> list[Gone]:
    """Those of `dossier`, which was read from `sources`; as long as these are there.

    Whoever takes a ledger away could put something in its place that names nobody.
    """
    short = (each.verified for each in dossier.chapters if _is_short(each))
    found = {each.file: was_tampered(each) for each in (*dossier.gone, *dossier.lost, *short)}
    lost = [source for source in sources if source.name in found]
    return list(read_gone(lost, dossier.trust, {name for name, tampered in found.items() if tampered}))


def is_gone(source: Source) -> bool:
    """Whether there is nothing of it, but perhaps checkpoints."""
    try:
        return source.path.stat().st_size == 0
    except OSError:
        return True


def _is_short(chapter: Chapter) -> bool:
    return any(each.code == "beyond" for each in chapter.verified.findings) or (
        is_tampered(chapter) and not chapter.view.credentials
    )


def read_gone(sources: Iterable[Source], trust: Trust | None, tampered: Collection[str] = ()) -> Iterator[Gone]:
    """What the checkpoints beside each of `sources`, which are gone or cut, say."""
    if trust is not None:
        require_cryptography()
    for source in sources:
        jobs: dict[tuple[str, ...], Gone] = {}
        file = CheckpointFile(source.name, checkpoint.beside(source.path), trust, lambda finding: None)
        for read in file.read(lambda: None):
            said = read.said
            signed = None if trust is None else bool(read.keyid)
            key = (said.repository_id, said.run_id, said.run_attempt, str(signed))
            if key in jobs or len(jobs) < _JOBS or signed:
                jobs[key] = _with(jobs.get(key), source.name, read, signed)._replace(
                    is_tampered=source.name in tampered, is_cut=not is_gone(source)
                )
        # What nobody who counts has signed says nothing beside what somebody has.
        best = [each for each in jobs.values() if each.signed] or list(jobs.values())
        yield from best


def _with(known: Gone | None, file: str, read: Read, signed: bool | None) -> Gone:
    said, time = read.said, epoch_of(read.said.time) or 0.0
    if known is None:
        job = (said.repository_id, said.run_id, said.run_attempt)
        return Gone(file, *job, said.size, said.size, time, time, signed, is_tampered=False, is_cut=False)
    return known._replace(
        least=min(known.least, said.size),
        size=max(known.size, said.size),
        first=min(known.first, time),
        last=max(known.last, time),
    )


def is_excluded(each: Gone, at: float) -> bool:
    """Only where all of it is signed to be later: nothing says where its credentials were for, and what they could."""
    return _is_later(each, at) and not _doubt(each)


def nearest(ledgers: Iterable[Gone], run: str, at: float | None) -> list[Gone]:
    """Those of `run` first, then those whose checkpoints are the nearest to `at`, then the newest."""

    def order(each: Gone) -> tuple[bool, bool, float, float]:
        later = at is not None and _is_later(each, at)
        away = 0.0 if at is None else max(0.0, at - each.last, each.first - at)
        return each.run != run, later, away, -each.last

    return sorted(ledgers, key=order)


def title(each: Gone) -> str:
    """What is missing, and by whose word."""
    by = {
        True: "that Vault signed for",
        False: "by its checkpoints, which no trusted key signed",
        None: "by its checkpoints, whose signatures nobody checked",
    }[each.signed]
    what = "is not here as it was signed" if each.is_cut else "is not here"
    return (
        f"The ledger of run {quoted(each.run)} of repository {quoted(each.repository_id)} {what}: "
        f"{counted(each.size)} {by}, the last at {when(each.last)}"
    )


def reasons(each: Gone, at: float) -> tuple[Said, ...]:
    """Why it stands where it does."""
    times = f"from {when(each.first)} to {when(each.last)}"
    where = "is" if each.is_cut else "was"
    known = (
        f"Whom it would name is not known. Its checkpoints are {times}, and {quoted(each.file)} {where} beside them."
    )
    if _is_later(each, at) and (doubt := _doubt(each)):
        return Said("unknown", known), Said("unknown", f"That this is later excludes nobody: {doubt}.")
    return (Said("unknown", known),)


def told(ledgers: Sequence[Gone]) -> str:
    """Of the ledgers of one run, all gone: why there is nothing of it."""
    one = len(ledgers) == 1
    what = "cut" if any(each.is_cut for each in ledgers) else "gone"
    whose = f"Its ledger is {what}" if one else f"Its {len(ledgers)} ledgers are {what}"
    unsigned = ", which no trusted key signed" if all(each.signed is False for each in ledgers) else ""
    return f"{whose}: checkpoints of {counted(sum(each.size for each in ledgers))} are here{unsigned}."


def counted(records: int) -> str:
    return "1 record" if records == 1 else f"{records:,} records"


def _is_later(each: Gone, at: float) -> bool:
    return at < each.first - MARGIN


def _doubt(each: Gone) -> str:
    """Why its times say nothing; "" where they do."""
    if each.signed is None:
        return "nobody checked the signatures (--trust)"
    if not each.signed:
        return "no trusted key signed them"
    if each.is_tampered:
        return "it was tampered with"
    return "" if each.least <= FIRST else f"none is left of the first {each.least - 1} records"
