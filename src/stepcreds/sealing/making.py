"""Makes the next seal of a log: what it says, in which order it comes about, and who wins where two are at it.

A name is made once: whoever makes `seal-000008.json` first has made the eighth seal, and the other reads on from there.
The table comes before the seal that names it. One whose seal never came (a job was killed in between, or another was
first) holds lines that a later table has as well, which is the same to whoever joins tables by chain and line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock, rfc3339
from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Finding
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
    MOST_REFUSED,
    PAYLOAD_TYPE,
    TABLE_SUFFIX,
    Part,
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
# Of leaves in one seal. Vault takes 32 MiB in one request, in Base64.
ROOM = 16 * 1024 * 1024  # bytes
TABLE_ROOM = 512 * 1024 * 1024  # of `weight`, of the chains in one table

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
    untabled: int  # of those the ones with lines that are in no table, where tables were asked for
    odd: tuple[Finding, ...]  # what has the name of a seal, and is no file


class _Looked(NamedTuple):
    """What the chains were, beside which log."""

    newest: str  # digest of its last seal; "" where there was none
    chains: list[Seen]


def make(order: Order, sign: Sign, clock: Clock, tick: Tick = lambda done: None) -> Iterator[Made]:
    """One seal, also where nothing is new; further ones where there is more than one takes.

    Raises `LedgerError` where the seals in the place do not fit together: nothing is built upon such; and what `sign`
    raises.
    """
    looked: _Looked | None = None
    more = True
    while more:
        made, looked, more = _next(order, sign, clock, tick, looked)
        yield made


def _next(order: Order, sign: Sign, clock: Clock, tick: Tick, looked: _Looked | None) -> tuple[Made, _Looked, bool]:
    for _ in range(TRIES):
        log = read_log(order.place, order.trust)
        _require_whole(log)
        newest = log.seals[-1].digest if log.seals else ""
        if looked is None or looked.newest != newest:
            looked = _Looked(newest, look(order.sources, log, order.trust, tick))
        chains = [each.beside(log) for each in looked.chains]
        chosen = _chosen(chains, compact=order.compact)
        table = _table(log, chosen) if order.compact and (chosen.added or chosen.older) else None
        made = _made(order, log, chains, chosen, table and table[0], clock)
        line = sign(PAYLOAD_TYPE, dumps(made.seal)) + b"\n"
        if len(line) > LONGEST:
            raise LedgerError(f"A seal of {len(line)} bytes is longer than any may be ({LONGEST})", docs="ledger-seal")
        if table is not None:
            _put(order.place, *table)
        if order.place.create(name_of(made.seal.seq), line):
            made = made._replace(digest=digest(line))
            return made, _Looked(made.digest, chains), chosen.more
        clock.sleep(random.uniform(0, PAUSE))  # noqa: S311 - jobs that started together are to drift apart
    raise LedgerError(
        f"No seal was made: {TRIES} times another job made the next one in {order.place.name} first",
        cause="Many jobs seal into one place at the same time.",
        fix="Let one scheduled job seal, and no two of its runs at once (GitHub: concurrency).",
        docs="ledger-seal",
    )


def _require_whole(log: Log) -> None:
    """A clock that was set back is on record for good, and takes nothing from what the seals say; nor does what was
    written into a store after the oldest version, which is the one that is read, or what is no file."""
    held = [each for each in log.findings if each.layer == "seal" and each.code != "time"]
    wrong = [each for each in held if each not in log.odd.values()]
    if wrong:
        raise LedgerError(
            f"No seal was made: {one_line(wrong[0].file)}: {wrong[0].meaning}",
            cause="A seal upon these would say of them that they are in order.",
            fix=f"See everything that is wrong: stepcreds ledger verify --seals {one_line(log.place)}\n"
            "Keep the seals as evidence. To go on meanwhile, begin a log in another place: --to",
            docs="ledger-seal",
        )


class _Chosen(NamedTuple):
    """What goes into one seal."""

    added: tuple[Seen, ...]  # that are new, or have grown
    older: tuple[Seen, ...]  # that were sealed to their end, and are in no table to their end
    more: bool  # whether there is more than this


def _chosen(chains: Sequence[Seen], *, compact: bool) -> _Chosen:
    added: list[Seen] = []
    older: list[Seen] = []
    room, table_room = ROOM, TABLE_ROOM
    for each in chains:
        new = each.leaf.size > each.sealed
        if each.wrong or not (new or (compact and each.leaf.size > each.tabled)):
            continue
        room -= len(canonical(each.leaf._asdict()))
        table_room -= each.weight if compact else 0
        count = len(added) + len(older)
        if count == MOST_LEAVES or (count and min(room, table_room) < 0):
            return _Chosen(tuple(added), tuple(older), more=True)
        (added if new else older).append(each)
    return _Chosen(tuple(added), tuple(older), more=False)


def _made(order: Order, log: Log, chains: Sequence[Seen], chosen: _Chosen, table: Table | None, clock: Clock) -> Made:
    wrong = tuple(each for each in chains if each.wrong)
    # In each seal anew, they would make all seals long for good.
    refused = dict.fromkeys(Refused(each.leaf.name, each.leaf.chain_uid, each.wrong[0].code) for each in wrong)
    new = [each for each in refused if each not in log.refused][:MOST_REFUSED]
    before = log.seals[-1] if log.seals else None
    leaves = [*log.leaves, *(hash_of(each.leaf) for each in chosen.added)]
    seal = Seal(
        seq=_number(log),
        prev=before.digest if before else ZERO,
        time=rfc3339(clock.now()),
        tree_size=len(leaves),
        root=root_of(leaves).hex(),
        consistency=tuple(each.hex() for each in consistency(leaves, len(log.leaves))),
        leaves=tuple(each.leaf for each in chosen.added),
        refused=tuple(new),
        refused_in_all=len(wrong),
        parquet=table,
    )
    missing = log.chains - {each.leaf.chain_uid for each in chains}
    untabled = sum(log.tabled(uid) < log.sealed(uid) for uid in missing) if order.compact else 0
    file = f"{order.place.name}/{name_of(seal.seq)}"
    return Made(file, seal, "", chosen.added, wrong, len(missing), untabled, tuple(log.odd.values()))


def _number(log: Log) -> int:
    number = log.seals[-1].seal.seq + 1 if log.seals else 1
    while number in log.odd:
        number += 1
    return number


def _table(log: Log, chosen: _Chosen) -> tuple[Table, bytes]:
    """Its name has its hash: one that a job left that lost, or was killed, is in nobody's way."""
    data, rows = parquet([*chosen.added, *chosen.older])
    sha256 = digest(data)
    also = tuple(Part(each.leaf.chain_uid, each.leaf.size) for each in chosen.older)
    return Table(f"seal-{_number(log):06d}-{sha256[:12]}{TABLE_SUFFIX}", sha256, rows, also), data


def _put(place: Place, table: Table, data: bytes) -> None:
    if not place.create(table.name, data):
        raise LedgerError(
            f"No seal was made: {place.name} has something else under the name of its table, {table.name}",
            cause="That name is made of what is in the file: somebody put another there.",
            fix="Look at who may write there; --to names another place to seal into.",
            docs="ledger-seal",
        )
