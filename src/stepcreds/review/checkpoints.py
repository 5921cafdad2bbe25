"""The checkpoints beside one chain, one after the other, with whose signature counts; they are compared elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.chain import Certainty, Finding, Layer
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.reading import stored_lines
from stepcreds.ledger.view import epoch_of
from stepcreds.review.signature import Doubt, judge
from stepcreds.trust.keys import Trust

MAX_FINDINGS = 100  # a file that is nothing but garbage is neither listed nor read line by line


class Read(NamedTuple):
    """One checkpoint that can be held against a chain."""

    line: int
    said: Checkpoint
    keyid: str  # of the key whose signature counts; "" where none does, or nobody said whose do


class CheckpointFile:
    """The file beside a chain, as long as it was when this was made: what is signed later may be of later records.

    `read` is exhausted once; `lines` is how many were read by then. What is wrong goes to `tell`; `is_given_up` says
    whether there was so much of it that the rest was not read.
    """

    def __init__(self, name: str, path: Path, trust: Trust | None, tell: Callable[[Finding], None]) -> None:
        self.name = name
        self.lines = 0
        self.is_given_up = False
        self._path = path
        self._trust = trust
        self._tell = tell
        self._count = 0  # of findings
        self._told: set[tuple[str, str]] = set()
        try:
            self.length = path.stat().st_size
        except OSError:
            self.length = 0

    def read(self, vault_addr: Callable[[], str | None]) -> Iterator[Read]:
        """Those that are checkpoints and not forged. `vault_addr` is asked when there is something to judge."""
        if not self.length:
            return
        offset = 0
        try:
            for stored in stored_lines(self._path):
                if self._count > MAX_FINDINGS:
                    self.is_given_up = True
                    return
                offset += len(stored)
                if offset > self.length and stored.endswith(b"\n"):
                    return
                self.lines += 1
                if not stored.endswith(b"\n"):
                    self._unfinished(stored)
                    return
                if (read := self._one(stored[:-1], vault_addr)) is not None:
                    yield read
        except LedgerError as error:
            self._tell(Finding("checkpoint", self.name, 0, "unreadable", error.what, "unknown"))

    def find(
        self, code: str, meaning: str, certainty: Certainty, *, line: int = 0, layer: Layer = "checkpoint"
    ) -> None:
        """Something is wrong with a line, by default with the one that was read last."""
        self._count += 1
        self._tell(Finding(layer, self.name, line or self.lines, code, meaning, certainty))

    def _unfinished(self, stored: bytes) -> None:
        if len(stored) > MAX_LINE:
            self.find("too-long", f"a line of more than {MAX_LINE} bytes; nothing after it was read", "tampered")
        else:
            self.find("torn", "the last line has no end: its writer was killed, or is writing now", "incomplete")

    def _one(self, line: bytes, vault_addr: Callable[[], str | None]) -> Read | None:
        try:
            envelope, said = _content(line)
        except _UnfitError as error:
            self.find(error.code, f"not a checkpoint: {error.what}", "tampered")
            return None
        if self._trust is None:
            return Read(self.lines, said, "")
        verdict = judge(envelope, said, self._trust, vault_addr())
        for doubt in verdict.doubts:
            if self._is_new(doubt):
                self.find(doubt.code, doubt.meaning, doubt.certainty, layer="trust")
        if verdict.is_forged:
            return None
        return Read(self.lines, said, verdict.key.keyid if verdict.key is not None else "")

    def _is_new(self, doubt: Doubt) -> bool:
        """One key that is missing is one finding, not one for each step that it signed."""
        key = (doubt.code, doubt.about)
        if doubt.about and key in self._told:
            return False
        self._told.add(key)
        return True


class _UnfitError(LedgerError):
    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


def _content(line: bytes) -> tuple[dsse.Envelope, Checkpoint]:
    """What a line holds; whose signature it bears is not looked at."""
    try:
        envelope = dsse.loads(line)
    except LedgerError as error:
        raise _UnfitError("envelope", error.what) from None
    if envelope.payload_type != checkpoint.PAYLOAD_TYPE:
        raise _UnfitError("payload-type", f"it says that it is {envelope.payload_type[:80]!a}")
    try:
        said = checkpoint.loads(envelope.payload)
    except LedgerError as error:
        raise _UnfitError("payload", error.what) from None
    if epoch_of(said.time) is None:
        raise _UnfitError("payload", "its time is none")
    return envelope, said
