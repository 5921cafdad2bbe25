"""Checks ledger files, each by itself and then beside each other; the rules of one chain are in chain.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from stepcreds.errors import LedgerError
from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.reading import stored_lines

MAX_FINDINGS = 100  # for one file: one that is nothing but garbage is not listed line by line


@dataclass(frozen=True)
class Verified:
    """What was checked in one file, and what is wrong with it."""

    file: str
    chain_uid: str  # "" where there is none
    entries: int
    head: str  # hash of the last line
    closed: bool
    findings: tuple[Finding, ...]


def verify(files: Iterable[Path]) -> Iterator[Verified]:
    """Each file in turn. Two files that hold one chain are a finding of the second."""
    seen: dict[str, Verified] = {}
    for file in files:
        result = _verify_file(file)
        other = seen.setdefault(result.chain_uid, result)
        if other is result or not result.chain_uid:
            yield result
            continue
        same = (other.head, other.entries) == (result.head, result.entries)
        meaning = f"the same chain as in {other.file}: " + ("a copy" if same else "a fork, or an older state put back")
        finding = Finding("folder", result.file, 0, "same-chain", meaning, "unknown" if same else "tampered")
        yield Verified(**{**vars(result), "findings": (*result.findings, finding)})


def _verify_file(file: Path) -> Verified:
    chain = Chain(str(file))
    try:
        findings = list(islice(chain.check(stored_lines(file)), MAX_FINDINGS))
    except LedgerError as error:
        findings = [Finding("file", str(file), 0, "unreadable", error.what, "unknown")]
    if len(findings) == MAX_FINDINGS:
        meaning = f"{MAX_FINDINGS} findings; the rest of the file was not checked"
        findings.append(Finding("file", str(file), 0, "more", meaning, "unknown"))
    return Verified(str(file), chain.uid, chain.entries, chain.head, chain.closed, tuple(findings))
