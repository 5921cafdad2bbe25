"""What of the ledgers at hand is to be sealed: chains that are new or have grown, but not where they were changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stepcreds.ledger.canonical import valid
from stepcreds.ledger.chain import Finding
from stepcreds.review.sources import Source
from stepcreds.review.verification import SigningState, Verified, verify
from stepcreds.seals.log import Log
from stepcreds.seals.seal import Leaf
from stepcreds.trust.keys import Trust


class Seen(NamedTuple):
    """One chain as it is now."""

    source: Source
    leaf: Leaf
    sealed: int  # records that seals know already
    signing: SigningState
    wrong: tuple[Finding, ...]  # why it cannot be sealed


def look(
    sources: Sequence[Source], log: Log, trust: Trust | None, tick: Callable[[int], None] = lambda done: None
) -> list[Seen]:
    """Each chain once, by its name: of copies the longest. `tick` is told of work done, as `verify` tells it.

    Raises `UsageError` where signatures cannot be checked here.
    """
    found: dict[str, Seen] = {}
    wrong: list[Seen] = []
    for source, verified in zip(sources, verify(sources, trust, seals=log, tick=tick), strict=True):
        each = _seen(source, verified, log)
        other = found.get(each.leaf.chain_uid)
        if each.wrong:
            wrong.append(each)
        elif other is None or other.leaf.size < each.leaf.size:
            found[each.leaf.chain_uid] = each
    # Of two that say different things of one chain nobody knows which is the chain.
    forks = {each.leaf.chain_uid: each for each in wrong if any(finding.code == "fork" for finding in each.wrong)}
    wrong += [found.pop(uid)._replace(wrong=fork.wrong) for uid, fork in forks.items() if uid in found]
    return sorted([*found.values(), *wrong], key=lambda each: (each.leaf.name, each.leaf.chain_uid, each.source.name))


def _seen(source: Source, verified: Verified, log: Log) -> Seen:
    # What was written over in a store counts for nothing: the oldest version is what was read.
    wrong = [each for each in verified.findings if each.certainty == "tampered" and each.layer != "store"]
    if not verified.chain_uid and not wrong:
        wrong = list(verified.findings[:1])  # not to be read, or without a first line
    leaf = Leaf(
        verified.chain_uid,
        verified.job.get("repository_id", ""),
        verified.job.get("run_id", ""),
        verified.job.get("run_attempt", ""),
        verified.entries,
        verified.head,
        valid(source.path.name),
    )
    sealed = max((each.leaf.size for each in log.of(verified.chain_uid)), default=0)
    return Seen(source, leaf, sealed, verified.signing.state, tuple(wrong))
