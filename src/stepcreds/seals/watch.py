"""Holds one chain against the seals that know it, while somebody else reads its lines; it reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.view import epoch_of, text_of
from stepcreds.seals.log import Log, in_words

# What a chain may take from its end to the place where it is sealed.
LATE = 3600.0  # seconds


class Watch:
    """`chain.check(watch.lines(lines))`, and when that is done `watch.findings()`."""

    def __init__(self, chain: Chain, log: Log) -> None:
        self._chain = chain
        self._log = log
        self._heads: dict[int, str] = {}  # by the number of records
        self._sizes: frozenset[int] | None = None
        self._last = b""
        self._whole = False  # whether all of the file was read

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """`lines`, and meanwhile what the chain hashes to where a seal knows its length."""
        for line in lines:
            self._note()
            self._whole = not line.endswith(b"\n")  # then nothing after it counts
            self._last = self._last if self._whole else line
            yield line
        self._note()
        self._whole = True

    def findings(self) -> list[Finding]:
        """What is wrong with the chain, by the seals."""
        chain = self._chain
        sealed = self._log.of(chain.uid)
        for each in sealed:
            size, where = each.leaf.size, f"the seal of {each.seal.seal.time} ({each.seal.file})"
            if self._heads.get(size, each.leaf.head) != each.leaf.head:
                meaning = f"its first {size} records are not those that {where} has: they were rewritten"
                return [Finding("seal", chain.file, size, "rewritten", meaning, "tampered")]
            if size not in self._heads and self._whole:
                meaning = f"{in_words(chain.entries)}, and {size} in {where}: its end was cut, or this is an older copy"
                return [Finding("seal", chain.file, chain.entries, "shorter", meaning, "tampered")]
        return self._unsealed(max((each.leaf.size for each in sealed), default=0))

    def _unsealed(self, size: int) -> list[Finding]:
        """A chain that was over before the newest seal, and is longer than any seal says."""
        closed, last = self._closed(), self._log.last
        sealing = epoch_of(last.seal.time) if last else None
        if last is None or closed is None or sealing is None or closed + LATE > sealing or size >= self._chain.entries:
            return []
        what = f"only {size} of its {in_words(self._chain.entries)} are" if size else "nothing of it is"
        meaning = (
            f"it was closed before the seal of {last.seal.time} ({last.file}), and {what} sealed: it came here "
            "later than it says, or was kept from the seals"
        )
        return [Finding("seal", self._chain.file, size + 1 if size else 0, "unsealed", meaning, "incomplete")]

    def _closed(self) -> float | None:
        try:
            record = loads(self._last[:-1])
        except CanonicalError:
            return None
        closed = isinstance(record, dict) and record.get("kind") == "chain.closed"
        return epoch_of(text_of(record, "time")) if closed and isinstance(record, dict) else None

    def _note(self) -> None:
        if self._sizes is None:
            if not self._chain.uid:
                return
            self._sizes = frozenset(each.leaf.size for each in self._log.of(self._chain.uid))
        if self._chain.entries in self._sizes:
            self._heads[self._chain.entries] = self._chain.head
