"""What Vault has signed of one chain, held against the chain while that is read; the chain's own rules are not here.

Steps that run side by side put their checkpoints into the file nearly, not exactly, in the order of the chain. So the
hashes of the last `WINDOW` records are kept, and no more: memory stays flat, whatever somebody writes into the file.

A checkpoint signs one hash, and with it all records before only as far as each names the hash of the one before it.
Behind a break in the chain it says nothing of what stands in front of that, and does not count.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Certainty, Chain, Finding, Layer
from stepcreds.ledger.view import text_of
from stepcreds.review.checkpoints import CheckpointFile, Read
from stepcreds.review.demand import Demand
from stepcreds.review.shortfall import counted, nothing_signed, unsigned
from stepcreds.review.sources import ORPHAN, Source
from stepcreds.trust.keys import Trust

WINDOW = 16_384  # records; a signature takes seconds at most, and the steps of a job write some dozens a second

# Findings of these say that a line is not as it was written, or not linked with the one before.
BREAKS: tuple[Layer, ...] = ("line", "chain")

# "not checked": there are checkpoints, and nobody said whose signatures count; or not all of them, or of the chain, was
# read.
SigningState = Literal["signed", "partly signed", "unsigned", "not checked"]


class Covered(NamedTuple):
    """One checkpoint that counts."""

    size: int  # records up to it
    time: str  # RFC 3339, by the clock of the job
    keyid: str


class Signing(NamedTuple):
    """How far a chain's records are signed."""

    state: SigningState
    entries: int  # records up to the last checkpoint that counts: a trusted key signed it, and all below is linked
    checkpoints: int  # that stand beside the chain
    keys: tuple[str, ...] = ()  # keyid of each key that signed what counts
    covered: tuple[Covered, ...] = ()  # where the caller asked for them: each checkpoint that counts, by size


class Attestation:
    """The checkpoints of one chain. Made before the chain is read; `check` reads the chain's lines; then `finish`.

    `findings` and `signing` say how it came out.
    """

    def __init__(self, source: Source, chain: Chain, trust: Trust | None, *, keep: bool = False) -> None:
        self.findings: list[Finding] = []
        self._chain = chain
        self._trust = trust
        self._is_of_table = source.is_of_table  # checkpoints are in no table
        self._covered: list[Covered] | None = [] if keep else None
        self._keys: dict[str, None] = {}
        path = checkpoint.beside(source.path)
        name = str(path) if source.name == str(source.path) else source.name.removesuffix(".jsonl") + checkpoint.SUFFIX
        self._file = CheckpointFile(name, path, trust, self.findings.append)
        self._reads = self._file.read(lambda: text_of(chain.opened, "trust", "vault_addr") if chain.opened else None)
        self._next: Read | None = None
        self._is_begun = self._is_finished = False
        self._heads: deque[str] = deque(maxlen=WINDOW)
        self._seen: OrderedDict[int, tuple[str, int]] = OrderedDict()  # size -> head and line of its first checkpoint
        self._told: OrderedDict[tuple[int, str], int] = OrderedDict()  # size and time -> line
        self._demand = Demand()
        self._disputed: set[int] = set()  # sizes of checkpoints that say otherwise than the chain
        self._last = 0  # records up to the last that says what the chain does
        self._broken = 0  # the first line of which one of `BREAKS` tells; 0: none
        self._linked = 0  # records up to the last checkpoint before that
        self._beyond: list[tuple[bool, int, int]] = []  # of the furthest beyond the end: whether it counts, size, line

    def check(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """What the chain finds in `lines`; after each of them what is signed of the chain so far is compared."""
        for finding in self._chain.check(self._beside(lines)):
            # The chain tells of a line before it asks for the next, so before that line's checkpoint is compared.
            if not self._broken and finding.layer in BREAKS:
                self._broken = finding.line
            yield finding

    def _beside(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for stored in lines:
            yield stored
            if not self._file.length:
                if not self._demand.count:  # all that is asked where there is no checkpoint
                    self._demand.see(self._chain.record, self._chain.entries)
                continue
            self._heads.append(self._chain.head)
            self._demand.see(self._chain.record, self._chain.entries)
            while self._upcoming() and self._next is not None and self._next.said.size <= self._chain.entries:
                self._hold(self._next)
                self._next = None

    def finish(self) -> None:
        """The chain was read to its end: what is signed beyond it, and what of it is not signed."""
        self._is_finished = True
        while self._upcoming() and self._next is not None:
            self._hold(self._next)
            self._next = None
        for counts, size, line in self._beyond:
            self._lost(size, line, counts=counts)
        if self._file.is_given_up:
            return
        if self._last:
            self.findings += unsigned(self._chain, self._demand, self._last, self._disputed)
        elif not self._file.length and self._demand.count and not self._is_of_table:
            self.findings += nothing_signed(self._chain, self._trust)

    @property
    def signing(self) -> Signing:
        state: SigningState = "signed"
        if not self._file.length:
            state = "unsigned"
        elif self._trust is None or not self._is_finished or self._file.is_given_up:
            state = "not checked"
        elif not self._linked:
            state = "unsigned"
        elif self._broken or self._is_cut() or self._demand.after(self._last):
            state = "partly signed"
        covered = tuple(sorted(self._covered or ()))
        entries = self._linked if state in ("signed", "partly signed") else 0
        return Signing(state, entries, self._file.lines, tuple(self._keys), covered)

    def _upcoming(self) -> bool:
        if self._next is None:
            self._next = next(self._reads, None)
        return self._next is not None

    def _hold(self, read: Read) -> None:
        """Compare one checkpoint with the chain, as far as that was read."""
        said, chain = read.said, self._chain
        wrong = [name for name in ("repository_id", "run_id", "run_attempt") if self._differs(name, said)]
        if chain.uid and said.chain_uid != chain.uid:
            self._find(read, "chain", "a checkpoint of another chain", "tampered")
        elif wrong:
            self._find(read, "job", f"the chain is of another job: {', '.join(wrong)}", "tampered")
        else:
            self._compare(read)

    def _compare(self, read: Read) -> None:
        said, entries = read.said, self._chain.entries
        head, line = self._seen.setdefault(said.size, (said.head, read.line))
        first = self._told.setdefault((said.size, said.time), read.line)
        for known in (self._seen, self._told):
            if len(known) > WINDOW:
                known.popitem(last=False)
        agrees = self._head_at(said.size) == said.head
        if head != said.head:
            meaning = f"another hash of the first {said.size} records than in line {line}: two chains under one name"
            self._find(read, "two-heads", meaning, "tampered")
        elif first != read.line:
            meaning = f"the checkpoint of line {first} once more: a step signs each with its time, and writes it once"
            self._find(read, "repeated", meaning, "tampered")
        elif said.size > entries:
            self._beyond = [max([*self._beyond, (bool(read.keyid), said.size, read.line)])]
        elif said.size <= entries - len(self._heads):
            meaning = f"it is of record {said.size}, and stands {entries - said.size} records late; not compared"
            self._find(read, "late", meaning, "tampered")
        elif not agrees:
            meaning = f"the chain has another hash after {said.size} records: one of them was changed, added or removed"
            self._find(read, "head", meaning, "tampered")
            if len(self._disputed) < WINDOW:
                self._disputed.add(said.size)
        if agrees and (read.keyid or self._trust is None):
            self._count(read)

    def _count(self, read: Read) -> None:
        said = read.said
        self._last = max(self._last, said.size)
        self._demand.meet(said.size, on_time=said.size == self._chain.entries)
        if not self._chain.opened or (self._broken and said.size >= self._broken):
            return  # of a chain that does not begin as one nobody knows whose it is
        self._linked = max(self._linked, said.size)
        if read.keyid:
            self._keys[read.keyid] = None
            if self._covered is not None:
                self._covered.append(Covered(said.size, said.time, read.keyid))

    def _head_at(self, size: int) -> str:
        """The chain's hash after `size` records; "" where it is not kept, or the chain is shorter."""
        back = self._chain.entries - size
        return self._heads[-1 - back] if 0 <= back < len(self._heads) else ""

    def _is_cut(self) -> bool:
        return any(counts for counts, _, _ in self._beyond)

    def _differs(self, name: str, said: checkpoint.Checkpoint) -> bool:
        return bool(self._chain.opened) and getattr(said, name) != text_of(self._chain.opened, "job", name)

    def _lost(self, size: int, line: int, *, counts: bool) -> None:
        count = size - self._chain.entries
        records = counted(count)
        by_whom = "that Vault signed for" if counts else "that a checkpoint counts"
        if self._chain.entries:
            meaning = f"the tail was cut: {records} {by_whom} {'is' if count == 1 else 'are'} missing"
            self._file.find("beyond", meaning, "tampered", line=line)
        else:
            meaning = f"the chain is not here, with {records} {by_whom}: it was removed, or not copied"
            self._file.find(ORPHAN, meaning, "unknown", line=line)

    def _find(self, read: Read, code: str, meaning: str, certainty: Certainty) -> None:
        self._file.find(code, meaning, certainty, line=read.line)
