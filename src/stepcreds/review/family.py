"""What files say beside each other: one chain in two of them, two chains of one job attempt, one that is not there.

A file's name begins with words for people, and ends with a hash of the job attempt and the number of its chain.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Certainty, Finding
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.reading import stored_lines
from stepcreds.review.sources import Source, is_there

_NUMBERED = re.compile(r"(.+?)(?:\.([1-9][0-9]{0,8}))?\.jsonl", re.DOTALL)
_DIGEST = re.compile(r".*-([0-9a-f]{12})", re.DOTALL)


class Member(NamedTuple):
    """What is to be known of one file."""

    source: Source
    uid: str
    entries: int
    head: str
    closed: bool
    job: Mapping[str, str]  # record.job_identity of it; {} where it is not on record


class Family:
    """The files that were read so far, of all that there are to read. Memory holds a few lines for each file."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._by_uid: dict[str, Member] = {}
        self._by_job: dict[str, _Relatives] = {}

    def add(self, member: Member) -> list[Finding]:
        """What is wrong with it beside the others."""
        if not member.uid:
            return []
        findings = [Finding("folder", member.source.name, 0, *found) for found in self._of_itself(member)]
        other = self._by_uid.setdefault(member.uid, member)
        if other is not member:
            findings.append(_same_chain(other, member))
            return findings
        if member.job.get("run_id"):
            findings += self._by_job.setdefault(repr(sorted(member.job.items())), _Relatives()).add(member)
        return findings

    def _of_itself(self, member: Member) -> Iterator[tuple[str, str, Certainty]]:
        stem, number = _parts(member)
        digest = _DIGEST.fullmatch(stem)
        if digest and member.job and digest[1] != hashlib.sha256(canonical(dict(member.job))).hexdigest()[:12]:
            yield (
                "name",
                "the name of the file is that of another job attempt: the chain was put in its place",
                "tampered",
            )
        if not digest or number < 2:
            return
        before = f"{stem}.{number - 1}.jsonl" if number > 2 else f"{stem}.jsonl"
        if before not in self._names and not _is_beside(member.source, before):
            yield "gap", f"the chain before it, {before}, is not here: it was removed, or not copied", "unknown"

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(source.chain for source in self._sources if is_there(source.path))


class _Relatives:
    """The chains of one job attempt: the next is begun when one is closed, and has the next number.

    However many there are, one that is added is held against two of them.
    """

    def __init__(self) -> None:
        self._count = 0
        self._by_stem: dict[str, dict[int, Member]] = {}  # by number the first
        self._sizes: Counter[str] = Counter()  # by stem
        self._twins: Counter[tuple[str, int]] = Counter()

    def add(self, member: Member) -> list[Finding]:
        """What is wrong with it beside the others."""
        stem, number = _parts(member)
        family = self._by_stem.setdefault(stem, {})
        twin = family.setdefault(number, member)
        others = (next(iter(each.values())) for name, each in islice(self._by_stem.items(), 2) if name != stem)
        stranger = twin if twin is not member else next(others, None)
        count = self._count - self._sizes[stem] + self._twins[stem, number]
        findings = [_second(member, stranger, count)] if stranger is not None else []
        if (before := family.get(number - 1)) is not None and not before.closed:
            findings.append(_not_closed(before, member))
        if (after := family.get(number + 1)) is not None and not member.closed:
            findings.append(_not_closed(member, after))
        self._sizes[stem] += 1
        self._twins[stem, number] += 1
        self._count += 1
        return findings


def _second(member: Member, other: Member, count: int) -> Finding:
    more = f" and in {count - 1} more" if count > 1 else ""
    meaning = f"another chain of the job attempt in {other.source.name}{more}, and by its name not the one after it"
    return Finding("folder", member.source.name, 0, "second-chain", meaning, "unknown")


def _is_beside(source: Source, name: str) -> bool:
    """Of files one may be named alone; beside one that was put together nothing tells of its relatives."""
    return not source.is_of_table and is_there(source.path.with_name(name))


def _not_closed(first: Member, second: Member) -> Finding:
    if first.source.is_of_table:
        meaning = f"the job attempt went on in {second.source.name}, and the end of this chain is in none of the "
        meaning += "Parquet files that were named"
        return Finding("folder", first.source.name, 0, "not-closed", meaning, "incomplete")
    meaning = f"the job attempt went on in {second.source.name}, which nobody begins before this chain is closed"
    return Finding("folder", first.source.name, 0, "not-closed", meaning, "tampered")


def _same_chain(one: Member, other: Member) -> Finding:
    name = other.source.name
    if (one.entries, one.head) == (other.entries, other.head):
        meaning = f"the same chain as in {one.source.name}: a copy"
        return Finding("folder", name, 0, "same-chain", meaning, "unknown")
    shorter, longer = sorted((one, other), key=lambda member: member.entries)
    if shorter.entries < longer.entries and _head_at(longer, shorter.entries) == shorter.head:
        count = longer.entries - shorter.entries
        records = "1 record" if count == 1 else f"{count} records"
        which = "an older state" if shorter is other else "a newer state"
        meaning = f"{which} of the chain in {one.source.name}, by {records}: a copy, or one that was put back"
        return Finding("folder", name, 0, "older-state", meaning, "unknown")
    meaning = f"the same chain as in {one.source.name}, with other records: a fork"
    return Finding("folder", name, 0, "fork", meaning, "tampered")


def _head_at(member: Member, size: int) -> str:
    try:
        line = next(islice(stored_lines(member.source.path), size - 1, size), b"") if size else b""
    except LedgerError:
        return ""
    return line_hash(line.rstrip(b"\n"))


def _parts(member: Member) -> tuple[str, int]:
    name = member.source.chain
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2] or 1)) if match else (name, 1)
