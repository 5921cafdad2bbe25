"""What a post-mortem is made of: sentences, each with its nature and the records it rests on; it concludes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from stepcreds.clock import rfc3339
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import text_of
from stepcreds.printable import one_line
from stepcreds.review.dossier import Chapter
from stepcreds.review.selection import are_signed

# counterfactual: what would have been, had something been otherwise. limit: what no ledger can know.
Nature = Literal["recorded", "unknown", "counterfactual", "limit"]
LONGEST: Final = 300  # characters of a text from outside
MARGIN: Final = 5.0  # seconds by which clocks may differ

# Around a text from outside, so that each form (Markdown, HTML, plain) sets it off in its own way.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKED: Final = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")


class Evidence(NamedTuple):
    """One record that a sentence rests on."""

    kind: str
    time: str
    file: str
    line: int  # counted from 1
    event_uid: str
    signed: bool | None  # None: nobody checked


class Said(NamedTuple):
    """One sentence or a few. `text` is for `plain`, or for `mapped`."""

    nature: Nature
    text: str
    evidence: tuple[Evidence, ...] = ()


class Answer(NamedTuple):
    """What is known to one of the six questions."""

    question: str
    said: tuple[Said, ...]


def quoted(text: str) -> str:
    """A text from outside, inside of a sentence."""
    return f"{_OPEN}{one_line(text, LONGEST).replace(_OPEN, '?').replace(_CLOSE, '?')}{_CLOSE}"


def listed(texts: Iterable[str]) -> str:
    return ", ".join(map(quoted, texts))


def mapped(text: str, outside: Callable[[str], str], ours: Callable[[str], str] = lambda part: part) -> str:
    """`text` with what came from outside changed by `outside`, and our own words by `ours`."""
    parts = _MARKED.split(text)
    return "".join(outside(part) if number % 2 else ours(part) for number, part in enumerate(parts))


def plain(text: str) -> str:
    return mapped(text, lambda part: part)


def when(epoch: float | None) -> str:
    return "an unknown time" if epoch is None else rfc3339(epoch)


def lasting(seconds: float) -> str:
    """`45 ms`, `83.2 s`, `12 min 4 s`, `3 h 20 min`: what a reader takes in at once."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def rests_on(chapter: Chapter, *records: Record) -> tuple[Evidence, ...]:
    """These records, without those that are not there."""
    return tuple(_evidence(chapter, record) for record in records if record)


def _evidence(chapter: Chapter, record: Record) -> Evidence:
    seq = record.get("seq")
    number = seq if isinstance(seq, int) else -1
    signed = are_signed(chapter, (record,))
    kind, time, uid = (text_of(record, name) for name in ("kind", "time", "event_uid"))
    return Evidence(kind, time, chapter.source.name, number + 1, uid, signed)
