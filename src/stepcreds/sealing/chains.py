"""What of the ledgers at hand is to be sealed: chains that are new or have grown, but not where they were changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stepcreds.ledger.canonical import valid
from stepcreds.ledger.chain import Finding
from stepcreds.review.sources import Source
from stepcreds.review.verification import SigningState, Verified, verify, weight
from stepcreds.seals.log import Log
from stepcreds.seals.seal import Leaf, is_digest
from stepcreds.trust.keys import Trust

LONGEST = 256  # characters of what a chain says of its job, for which a seal has room


class Seen(NamedTuple):
    """One chain as it is now."""

    source: Source
    leaf: Leaf
    sealed: int  # records that seals know already
    tabled: int  # records that are in Parquet files already
    weight: int  # as `verify` counts it
    signing: SigningState
    wrong: tuple[Finding, ...]  # why it cannot be sealed

    def beside(self, log: Log) -> Seen:
        """The same, where `log` has grown by seals of ours."""
        uid = self.leaf.chain_uid
        return self._replace(sealed=log.sealed(uid), tabled=log.tabled(uid))


def look(
    sources: Sequence[Source], log: Log, trust: Trust | None, tick: Callable[[int], None] = lambda done: None
) -> list[Seen]:
    """Each chain once, by its name: of copies the longest. `tick` is told of work done, as `verify` tells it.

    Raises `UsageError` where signatures cannot be checked here.
    """
    found: dict[str, list[Seen]] = {}
    chosen: list[Seen] = []
    for source, verified in zip(sources, verify(sources, trust, seals=log, tick=tick), strict=True):
        each = _seen(source, verified, log)
        if each.leaf.chain_uid:
            found.setdefault(each.leaf.chain_uid, []).append(each)
        else:
            chosen.append(each)
    for files in found.values():
        chosen += _of_one_chain(files)
    return sorted(chosen, key=lambda each: (each.leaf.name, each.leaf.chain_uid, each.source.name))


def _of_one_chain(files: Sequence[Seen]) -> list[Seen]:
    """What is to be sealed of files that say that they are one chain, and those that cannot be.

    Of two that contradict each other nobody knows which is the chain, unless a trusted key signed one of them alone:
    anybody can write a file that says it is another's.
    """
    forks = [finding for each in files for finding in each.wrong if finding.code == "fork"]
    if forks:
        files = [each._replace(wrong=tuple(other for other in each.wrong if other.code != "fork")) for each in files]
        signed = [each for each in files if each.signing == "signed" and not each.wrong]
        alone = len({(each.leaf.size, each.leaf.head) for each in signed}) == 1
        files = [each if alone and each in signed else each._replace(wrong=(*each.wrong, *forks)) for each in files]
    good = [each for each in files if not each.wrong]
    # Of a signed one and a longer copy, which anybody may have gone on with, the signed one.
    best = sorted(good, key=lambda each: (each.signing == "signed", each.leaf.size))[-1:]
    return [*(each for each in files if each.wrong), *best]


def _seen(source: Source, verified: Verified, log: Log) -> Seen:
    # What was written over in a store counts for nothing: the oldest version is what was read.
    wrong = [each for each in verified.findings if each.certainty == "tampered" and each.layer != "store"]
    if not verified.chain_uid and not wrong:
        wrong = list(verified.findings[:1])  # not to be read, or without a first line
    uid = verified.chain_uid if is_digest(verified.chain_uid) else ""
    job = {name: verified.job.get(name, "") for name in ("repository_id", "run_id", "run_attempt")}
    if not wrong and not uid:
        meaning = "its chain_uid is none that stepcreds makes"
        wrong = [Finding("chain", source.name, 1, "chain-uid", meaning, "tampered")]
    if not wrong and max(map(len, job.values())) > LONGEST:
        meaning = "it says more of its job than a seal has room for"
        wrong = [Finding("record", source.name, 1, "field", meaning, "unknown")]
    leaf = Leaf(uid, **job, size=verified.entries, head=verified.head, name=valid(source.path.name))
    signing = verified.signing.state
    return Seen(source, leaf, log.sealed(uid), log.tabled(uid), weight(source), signing, tuple(wrong))
