"""What files say beside each other: one chain in two of them, two chains of one job attempt, one that is not there.

A file's name begins with words for people, and ends with a hash of the job attempt and the number of its chain.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Certainty, Finding
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.reading import stored_lines
from stepcreds.review.sources import Source

_NUMBERED = re.compile(r"(.+?)(?:\.([1-9][0-9]{0,8}))?\.jsonl")
_DIGEST = re.compile(r".*-([0-9a-f]{12})")


class Member(NamedTuple):
    """What is to be known of one file."""

    source: Source
    uid: str
    entries: int
    head: str
    closed: bool
    job: Mapping[str, str]  # record.job_identity of it; {} where it is not on record


class Family:
    """The files that were read so far. Memory holds a few lines for each file."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Member] = {}
        self._by_job: dict[str, list[Member]] = {}

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
            relatives = self._by_job.setdefault(repr(sorted(member.job.items())), [])
            findings += [finding for each in relatives if (finding := _of_two(each, member)) is not None]
            relatives.append(member)
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
        before = member.source.path.with_name(f"{stem}.{number - 1}.jsonl" if number > 2 else f"{stem}.jsonl")
        if digest and number > 1 and not before.exists():
            yield "gap", f"the chain before it, {before.name}, is not here: it was removed, or not copied", "unknown"


def _of_two(one: Member, other: Member) -> Finding | None:
    """Two chains of one job attempt: the second is begun when the first is closed, and has the next number."""
    first, second = sorted((one, other), key=lambda member: _parts(member)[1])
    (stem, number), (its_stem, its_number) = _parts(first), _parts(second)
    if stem != its_stem or number == its_number:
        meaning = f"another chain of the job attempt in {one.source.name}, and by its name not the one after it"
        return Finding("folder", other.source.name, 0, "second-chain", meaning, "unknown")
    if its_number == number + 1 and not first.closed:
        meaning = f"the job attempt went on in {second.source.name}, which nobody begins before this chain is closed"
        return Finding("folder", first.source.name, 0, "not-closed", meaning, "tampered")
    return None


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
    match = _NUMBERED.fullmatch(PurePosixPath(member.source.name).name)
    return (match[1], int(match[2] or 1)) if match else (member.source.name, 1)
