"""Checks ledgers: each by itself, against what Vault has signed of it, and beside each other.

The rules of one chain are in ledger/chain.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.reading import stored_lines
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust

MAX_FINDINGS = 100  # for one file: one that is nothing but garbage is not listed line by line

# "not checked": there are checkpoints, and nobody said whose signatures count.
SigningState = Literal["signed", "partly signed", "unsigned", "not checked"]


@dataclass(frozen=True)
class Signing:
    """How far a chain's records are signed."""

    state: SigningState
    entries: int  # records up to the last checkpoint that a trusted key signed
    checkpoints: int  # that stand beside the chain


@dataclass(frozen=True)
class Verified:
    """What was checked in one file, and what is wrong with it."""

    file: str
    chain_uid: str  # "" where there is none
    entries: int
    head: str  # hash of the last line
    closed: bool
    signing: Signing
    findings: tuple[Finding, ...]


def verify(sources: Iterable[Source], trust: Trust | None = None) -> Iterator[Verified]:
    """Each in turn. Two files that hold one chain are a finding of the second."""
    seen: dict[str, Verified] = {}
    for source in sources:
        result = _verify_file(source, trust)
        other = seen.setdefault(result.chain_uid, result)
        if other is result or not result.chain_uid:
            yield result
            continue
        same = (other.head, other.entries) == (result.head, result.entries)
        meaning = f"the same chain as in {other.file}: " + ("a copy" if same else "a fork, or an older state put back")
        finding = Finding("folder", result.file, 0, "same-chain", meaning, "unknown" if same else "tampered")
        yield replace(result, findings=(*result.findings, finding))


def _verify_file(source: Source, trust: Trust | None) -> Verified:
    chain = Chain(source.name)
    try:
        findings = list(islice(chain.check(stored_lines(source.path)), MAX_FINDINGS))
    except LedgerError as error:
        findings = [Finding("file", source.name, 0, "unreadable", error.what, "unknown")]
    if len(findings) == MAX_FINDINGS:
        meaning = f"{MAX_FINDINGS} findings; the rest of the file was not checked"
        findings.append(Finding("file", source.name, 0, "more", meaning, "unknown"))
    return Verified(
        source.name, chain.uid, chain.entries, chain.head, chain.closed, _signing(source, trust), tuple(findings)
    )


def _signing(source: Source, trust: Trust | None) -> Signing:
    there = checkpoint.beside(source.path).exists()
    return Signing("not checked" if there else "unsigned", 0, int(there))
