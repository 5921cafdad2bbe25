"""What of the ledgers at hand is to be sealed: chains that are new or have grown, but not where they were changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint
from stepcreds.ledger.canonical import valid
from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.reading import first_record, stored_lines
from stepcreds.ledger.view import text_of
from stepcreds.review.sources import Source
from stepcreds.review.verification import MAX_FINDINGS
from stepcreds.seals.log import Log
from stepcreds.seals.seal import Leaf
from stepcreds.seals.watch import Watch


class Seen(NamedTuple):
    """One chain as it is now."""

    source: Source
    leaf: Leaf
    sealed: int  # records that seals know already
    signed: bool  # whether there are checkpoints beside it
    wrong: tuple[Finding, ...]  # why it cannot be sealed


def look(sources: Iterable[Source], log: Log, seen: Callable[[], object] = lambda: None) -> list[Seen]:
    """Each chain once, by its name: of copies the longest. `seen` is called after each file."""
    found: dict[str, Seen] = {}
    wrong: list[Seen] = []
    for source in sources:
        each = _look(source, log)
        seen()
        uid = each.leaf.chain_uid
        other = found.get(uid)
        if each.wrong:
            wrong.append(each)
        elif other is None or other.leaf.size < each.leaf.size:
            found[uid] = each
    return sorted([*found.values(), *wrong], key=lambda each: (each.leaf.name, each.leaf.chain_uid, each.source.name))


def _look(source: Source, log: Log) -> Seen:
    chain = Chain(source.name)
    watch = Watch(chain, log)
    job: object = None
    try:
        findings = list(islice(chain.check(watch.lines(stored_lines(source.path))), MAX_FINDINGS))
        findings += watch.findings()
        job = first_record(source.path).get("job")
    except LedgerError as error:
        findings = [Finding("file", source.name, 0, "unreadable", error.what, "tampered")]
    findings = [*source.findings, *findings]
    wrong = [each for each in findings if each.certainty == "tampered"]
    if not chain.uid and not wrong:
        wrong = findings[:1]  # empty, or torn before its first line ended
    known = job if isinstance(job, dict) else {}
    leaf = Leaf(
        chain.uid,
        text_of(known, "repository_id"),
        text_of(known, "run_id"),
        text_of(known, "run_attempt"),
        chain.entries,
        chain.head,
        valid(source.path.name),
    )
    sealed = max((each.leaf.size for each in log.of(chain.uid)), default=0)
    return Seen(source, leaf, sealed, checkpoint.beside(source.path).exists(), tuple(wrong))
