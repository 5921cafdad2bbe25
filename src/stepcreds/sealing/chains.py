"""What of the ledgers at hand is to be sealed: chains that are new or have grown, but not where they were changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from stepcreds.ledger.canonical import valid
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.reading import stored_lines
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
    signed: int  # records up to the last that a trusted key signed
    wrong: tuple[Finding, ...]  # why it cannot be sealed

    def beside(self, log: Log) -> Seen:
        """The same, where `log` has grown by seals of ours."""
        uid = self.leaf.chain_uid
        return self._replace(sealed=log.sealed(uid), tabled=log.tabled(uid))


def look(
    sources: Sequence[Source], log: Log, trust: Trust | None, tick: Callable[[int], None] = lambda done: None
) -> list[Seen]:
    """Each chain once, by its name: of copies the one that is signed furthest. `tick` is told of work done, as `verify`
    tells it.

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

    Anybody can copy a chain with its checkpoints, cut the copy, and go on with it; he cannot sign. So how far one is
    signed goes before how long it is, and of two that part it counts only behind the point where they do. Of what is
    signed equally far the one without records that should be signed and are not: what is sealed too much is held
    against the chain for good when it goes on, what is not sealed yet may be later.
    """
    files = [each._replace(wrong=tuple(other for other in each.wrong if other.code != "fork")) for each in files]
    good = [each for each in files if not each.wrong]
    chosen = [each for each in files if each.wrong]
    if not good:
        return chosen
    best = max(good, key=lambda each: (each.signed, each.signing == "signed", each.leaf.size))
    refused: list[Seen] = []
    rival: Seen | None = None
    for each in good:
        alike = _alike(best, each)
        if alike < min(best.leaf.size, each.leaf.size):
            refused.append(_refused(each, _fork(each, best)))
            # A job that signs two of them is one that lies, and nobody knows in which.
            if best.signed <= alike or each.signed > alike:
                rival = rival or each
        elif each.leaf.size > best.leaf.size:
            meaning = (
                f"the chain in {best.source.name}, with more records that nobody signed: anybody may have added them"
            )
            tail = Finding("checkpoint", each.source.name, best.leaf.size + 1, "tail", meaning, "incomplete")
            refused.append(_refused(each, tail))
    if rival is not None:
        copies = [each for each in good if (each.leaf.size, each.leaf.head) == (best.leaf.size, best.leaf.head)]
        return [*chosen, *refused, *(_refused(each, _fork(each, rival)) for each in copies)]
    return [*chosen, *refused, best]


def _alike(one: Seen, other: Seen) -> int:
    """How many records they begin with that are the same."""
    if (one.leaf.size, one.leaf.head) == (other.leaf.size, other.leaf.head):
        return one.leaf.size
    size = min(one.leaf.size, other.leaf.size)
    pairs = zip(stored_lines(one.source.path), stored_lines(other.source.path), strict=False)
    return next((number for number, (line, its) in enumerate(islice(pairs, size)) if line != its), size)


def _fork(each: Seen, other: Seen) -> Finding:
    meaning = f"the same chain as in {other.source.name}, with other records: a fork"
    return Finding("folder", each.source.name, 0, "fork", meaning, "tampered")


def _refused(each: Seen, why: Finding) -> Seen:
    return each._replace(wrong=(why,))


def _seen(source: Source, verified: Verified, log: Log) -> Seen:
    # What was written over in a store counts for nothing: the oldest version is what was read. A chain before this one,
    # or after it, is a file that anybody can add, and of one that was cut what is left is as it was.
    found = (each for each in verified.findings if each.layer != "store" and each.code != "not-closed")
    wrong = [each for each in found if each.certainty == "tampered"]
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
    state, signed = verified.signing.state, verified.signing.entries
    return Seen(source, leaf, log.sealed(uid), log.tabled(uid), weight(source), state, signed, tuple(wrong))
