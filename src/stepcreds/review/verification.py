"""Checks ledgers: each by itself, against what Vault has signed of it, and beside each other.

The rules of one chain are in ledger/chain.py, those of its checkpoints in attestation.py, those of several files in
family.py, and what seals say of a chain in seals/watch.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.reading import ChainReader, stored_lines
from stepcreds.ledger.view import ChainView
from stepcreds.review.attestation import Attestation, Signing, SigningState
from stepcreds.review.checkpoints import MAX_FINDINGS
from stepcreds.review.family import Family, Member
from stepcreds.review.sources import ORPHAN, Source, is_there
from stepcreds.seals.log import Log
from stepcreds.seals.watch import Watch
from stepcreds.trust.keys import Trust, require_cryptography

__all__ = ["MAX_FINDINGS", "Signing", "SigningState", "Verified", "verify", "weight"]

IDENTITY = ("iss", "repository_id", "run_id", "run_attempt", "job")
SIGNATURE = 4  # times what it takes to check a record of the same length
# What is checked in less time than it takes to start processes for it.
SMALL = 16 * 1024 * 1024  # of `weight`
TICK = 1024 * 1024  # bytes

Tick = Callable[[int], None]
# Handed what was checked in a file by itself, and its records, in the one reading: what it returns is kept.
Look = Callable[[Source, "Verified", ChainView], object]


class Asked(NamedTuple):
    """What every file is held against."""

    trust: Trust | None
    keep: bool  # whether the results list the checkpoints that count
    seals: Log | None
    look: Look | None = None


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
    job: Mapping[str, str]  # whose chain it says it is: `IDENTITY`; {} where that is not on record
    seen: object = None  # what `Asked.look` made of its records; None: they could not be read

    @property
    def gone(self) -> bool:
        """Whether there are checkpoints, and nothing of their chain."""
        return any(finding.code == ORPHAN for finding in self.findings)


def verify(
    sources: Iterable[Source],
    trust: Trust | None = None,
    *,
    seals: Log | None = None,
    require_signed: bool = False,
    keep: bool = False,
    look: Look | None = None,
    processes: int = 0,
    tick: Tick = lambda done: None,
) -> Iterator[Verified]:
    """Each in turn. What two files say of each other is a finding of the second.

    `seals`: what was sealed; which chains are missing, `Log.missing` says; what is wrong with seals, `Log.findings`.
    `require_signed`: what is not signed throughout, or not checked, is a finding. `keep`: the results list the
    checkpoints that count. `look` may be called in another process. `processes`: how many check files at once; 0: as
    many as there is work for. `tick` is told of work done, which adds up to the `weight` of all. Raises `UsageError`
    where signatures cannot be checked here.
    """
    if trust is not None:
        require_cryptography()
    listed = list(sources)
    family = Family(listed)
    asked = Asked(trust, keep, seals, look)
    for source, result in zip(listed, _each(listed, asked, processes, tick), strict=True):
        found = family.add(Member(source, result.chain_uid, result.entries, result.head, result.closed, result.job))
        if require_signed:
            found += _required(result)
        yield replace(result, findings=(*result.findings, *found)) if found else result


def weight(source: Source) -> int:
    """How much work it is to check one, in bytes of records."""
    return _size(source.path) + SIGNATURE * _size(checkpoint.beside(source.path))


def _each(sources: list[Source], asked: Asked, processes: int, tick: Tick) -> Iterator[Verified]:
    weights = [weight(source) for source in sources]
    if not processes:
        processes = min(_cores(), len(sources)) if sum(weights) > SMALL else 1
    if processes < 2:
        for source, its_weight in zip(sources, weights, strict=True):
            told = 0

            def step(done: int) -> None:
                nonlocal told
                told += done
                tick(done)

            yield verify_file(source, asked, step)
            tick(its_weight - told)
        return
    from stepcreds.review.pool import in_processes

    for result, its_weight in zip(in_processes(sources, asked, processes), weights, strict=True):
        tick(its_weight)
        yield result


def verify_file(source: Source, asked: Asked, tick: Tick = lambda done: None) -> Verified:
    """One by itself."""
    chain = Chain(source.name)
    attestation = Attestation(source, chain, asked.trust, keep=asked.keep)
    watch = Watch(chain, asked.seals) if asked.seals is not None else None
    findings = list(source.findings)
    reader = ChainReader() if asked.look is not None else None
    stored = _ticking(stored_lines(source.path), tick)
    stored = reader.beside(stored) if reader is not None else stored
    try:
        lines = watch.lines(stored) if watch is not None else stored
        findings += islice(attestation.check(lines), MAX_FINDINGS)
    except LedgerError as error:
        if is_there(source.path) or not (source.findings or is_there(checkpoint.beside(source.path))):
            findings.append(Finding("file", source.name, 0, "unreadable", error.what, "unknown"))
    if len(findings) - len(source.findings) == MAX_FINDINGS:
        findings.append(_more(source.name))
    else:
        attestation.finish()
    findings += attestation.findings[:MAX_FINDINGS]
    if len(attestation.findings) > MAX_FINDINGS:
        findings.append(_more(source.name))
    findings += watch.findings() if watch is not None else ()
    opened = chain.opened.get("job")
    job = opened if isinstance(opened, dict) else {}
    identity = {name: job[name] for name in IDENTITY if isinstance(job.get(name), str)}
    result = Verified(
        source.name, chain.uid, chain.entries, chain.head, chain.closed, attestation.signing, tuple(findings), identity
    )
    if asked.look is None or reader is None:
        return result
    with suppress(LedgerError):
        for _ in stored:  # what is not checked any more is still read
            pass
    return replace(result, seen=asked.look(source, result, reader.view(source.path))) if reader.is_whole else result


def _ticking(lines: Iterable[bytes], tick: Tick) -> Iterator[bytes]:
    done = 0
    for stored in lines:
        done += len(stored)
        if done > TICK:
            tick(done)
            done = 0
        yield stored


def _more(file: str) -> Finding:
    meaning = f"{MAX_FINDINGS} findings; the rest of the file was not checked"
    return Finding("file", file, 0, "more", meaning, "unknown")


def _required(result: Verified) -> list[Finding]:
    meanings: Mapping[SigningState, str] = {
        "unsigned": "no signature that counts covers any of it: whoever could write the file could write all of it",
        "not checked": "it is not known whose signatures these are",
        "partly signed": f"signed up to record {result.signing.entries} of {result.entries}",
    }
    meaning = meanings.get(result.signing.state)
    return [Finding("trust", result.file, 0, "required", meaning, "unknown")] if meaning else []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0))
