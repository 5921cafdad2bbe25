"""Makes the next seal of a log: what it says, in which order it comes about, and who wins where two are at it.

A name is made once: whoever makes `seal-000008.json` first has made the eighth seal, and the other reads on from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock, rfc3339
from stepcreds.errors import LedgerError
from stepcreds.ledger.link import ZERO
from stepcreds.printable import one_line
from stepcreds.review.sources import Source
from stepcreds.sealing.chains import Seen, look
from stepcreds.sealing.table import parquet
from stepcreds.seals.log import Log, read_log
from stepcreds.seals.place import Place
from stepcreds.seals.seal import (
    LONGEST,
    MOST_LEAVES,
    PAYLOAD_TYPE,
    TABLE_SUFFIX,
    Refused,
    Seal,
    Table,
    digest,
    dumps,
    hash_of,
    name_of,
)
from stepcreds.seals.tree import consistency, root_of
from stepcreds.trust.keys import Trust

TRIES = 10  # while other jobs seal into the same place
PAUSE = 1.0  # seconds at most, between two tries

Tick = Callable[[int], None]  # work done, as `verify` tells it
Sign = Callable[[str, bytes], bytes]  # payload type and payload -> envelope, in one line


class Order(NamedTuple):
    """What is to be sealed, and where."""

    sources: Sequence[Source]
    place: Place
    trust: Trust | None  # whose seals are built upon; None: any that fit together
    compact: bool  # whether a Parquet file is made of the records


class Made(NamedTuple):
    """A seal that is in its place."""

    file: str
    seal: Seal
    digest: str  # of its bytes: the next one's `prev`
    added: tuple[Seen, ...]
    wrong: tuple[Seen, ...]  # that could not be sealed
    missing: int  # chains that are sealed, and not among these; `verify` names them


def make(order: Order, sign: Sign, clock: Clock, tick: Tick = lambda done: None) -> Iterator[Made]:
    """One seal, also where nothing is new; further ones where there is more than one takes.

    Raises `LedgerError` where the seals in the place do not fit together: nothing is built upon such; and what `sign`
    raises.
    """
    while True:
        made = _next(order, sign, clock, tick)
        yield made
        if len(made.added) < MOST_LEAVES:
            return


def _next(order: Order, sign: Sign, clock: Clock, tick: Tick) -> Made:
    for _ in range(TRIES):
        log = read_log(order.place, order.trust)
        _require_whole(log)
        chains = look(order.sources, log, order.trust, tick)
        made = _made(order, log, chains, clock)
        line = sign(PAYLOAD_TYPE, dumps(made.seal)) + b"\n"
        if len(line) > LONGEST:
            raise LedgerError(f"A seal of {len(line)} bytes is longer than any may be ({LONGEST})", docs="ledger-seal")
        if order.place.create(name_of(made.seal.seq), line):
            return made._replace(digest=digest(line))
        clock.sleep(random.uniform(0, PAUSE))  # noqa: S311 - jobs that started together are to drift apart
    raise LedgerError(
        f"No seal was made: {TRIES} times another job made the next one in {order.place.name} first",
        cause="Many jobs seal into one place at the same time.",
        fix="Let one scheduled job seal, and no two of its runs at once (GitHub: concurrency).",
        docs="ledger-seal",
    )


def _require_whole(log: Log) -> None:
    """A clock that was set back is on record for good, and takes nothing from what the seals say; nor does what was
    written into a store after the oldest version, which is the one that is read."""
    wrong = [each for each in log.findings if each.layer == "seal" and each.code != "time"]
    if wrong:
        raise LedgerError(
            f"No seal was made: {one_line(wrong[0].file)}: {wrong[0].meaning}",
            cause="A seal upon these would say of them that they are in order.",
            fix=f"See everything that is wrong: stepcreds ledger verify --seals {one_line(log.place)}\n"
            "Keep the seals as evidence. To go on meanwhile, begin a log in another place: --to",
            docs="ledger-seal",
        )


def _made(order: Order, log: Log, chains: Sequence[Seen], clock: Clock) -> Made:
    wrong = tuple(each for each in chains if each.wrong)
    added = tuple(each for each in chains if not each.wrong and each.leaf.size > each.sealed)[:MOST_LEAVES]
    before = log.seals[-1] if log.seals else None
    leaves = [*log.leaves, *(hash_of(each.leaf) for each in added)]
    seq = before.seal.seq + 1 if before else 1
    seal = Seal(
        seq=seq,
        prev=before.digest if before else ZERO,
        time=rfc3339(clock.now()),
        tree_size=len(leaves),
        root=root_of(leaves).hex(),
        consistency=tuple(each.hex() for each in consistency(leaves, len(log.leaves))),
        leaves=tuple(each.leaf for each in added),
        refused=tuple(Refused(each.leaf.name, each.leaf.chain_uid, each.wrong[0].code) for each in wrong),
        parquet=_compacted(order.place, seq, added) if order.compact and added else None,
    )
    missing = len(log.chains - {each.leaf.chain_uid for each in chains})
    return Made(f"{order.place.name}/{name_of(seq)}", seal, "", added, wrong, missing)


def _compacted(place: Place, seq: int, added: Sequence[Seen]) -> Table:
    """Its name has its hash: one that a job left that lost, or was killed, is in nobody's way."""
    data, rows = parquet(added)
    sha256 = digest(data)
    name = f"seal-{seq:06d}-{sha256[:12]}{TABLE_SUFFIX}"
    place.create(name, data)
    return Table(name, sha256, rows)
