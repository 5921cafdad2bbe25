"""What is wrong with the lines of one chain; it reads no file itself, and what it cannot see is in docs/ledger.md.

Whoever can rewrite the whole file can rewrite the chain as well: without signatures that is not found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from stepcreds.ledger.canonical import CanonicalError
from stepcreds.ledger.fields import COMMON, KINDS, misfit
from stepcreds.ledger.link import MAX_LINE, ZERO, chain_uid, line_hash
from stepcreds.ledger.plain_line import plain_record
from stepcreds.ledger.quick_canonical import quick_parse
from stepcreds.ledger.record import Record

Layer = Literal["file", "line", "chain", "record", "order", "checkpoint", "trust", "folder", "seal", "store"]
Certainty = Literal["tampered", "incomplete", "unknown"]
CERTAINTIES: tuple[Certainty, ...] = ("tampered", "incomplete", "unknown")  # the surest first, wherever they are listed
State = Literal["unknown", "requested", "issued", "unproven", "accepted"]

_LEFT: Mapping[State, tuple[str, str, Certainty]] = {
    "requested": (
        "unclosed",
        "a credential was requested and may exist, and no record says how it ended",
        "incomplete",
    ),
    "issued": ("unclosed", "a credential was issued, and no record says how it ended", "incomplete"),
    "unproven": ("unproven", "a credential was ended without a proof that it is dead", "unknown"),
}
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a ledger."""

    layer: Layer  # which check found it
    file: str
    line: int  # counted from 1; 0 for the file as a whole
    code: str
    meaning: str
    certainty: Certainty  # "incomplete" is what an honest crash leaves as well


def check(lines: Iterable[bytes], file: str = "") -> Iterator[Finding]:
    """What is wrong with these lines, each with its newline. A chain that is still open is not wrong."""
    return Chain(file).check(lines)


class Chain:
    """One pass over a chain. Memory holds the credentials that are not proven dead yet, and nothing else of it.

    After each line, and when `check` is exhausted: `entries`, `head` (hash of the last line), `uid` (64 hexadecimal
    digits; "" where no record has such a chain_uid), `closed`, `opened` (the first record, {} where that is none of
    `chain.opened`) and `record` (of the last one what plain_line.ASKED names, or more; {} for a line that is none).
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.entries = 0
        self.head = ZERO
        self.uid = ""
        self.closed = False
        self.opened: Record = {}
        self.record: Record = {}
        self._seq = 0
        self._alive: dict[object, tuple[int, State]] = {}  # credential_uid -> (line of its last record, state)
        self._parse = quick_parse()
        self._found: list[Finding] = []

    def check(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """The findings in the order of the file; last the credentials that nobody closed or proved dead."""
        for stored in lines:
            if not stored.endswith(b"\n"):
                self._unfinished(stored)
                break
            line = stored[:-1]
            self._record(line)
            self.head = line_hash(line)
            self.entries += 1
            self._seq += 1
            if self._found:
                yield from self._found
                self._found = []
        else:
            if self.entries == 0:
                meaning = "the file is empty: nothing was written, or all of it was cut"
                yield Finding("file", self.file, 0, "empty", meaning, "incomplete")
        yield from self._found
        for line_number, state in self._alive.values():
            if state in _LEFT:
                code, meaning, certainty = _LEFT[state]
                yield Finding("order", self.file, line_number, code, meaning, certainty)

    def _record(self, line: bytes) -> None:
        self.record = plain_record(line) or {}
        if self.record:
            self._links(self.record)
            return self._order(self.record)
        try:
            record = self._parse(line)
        except CanonicalError as error:
            return self._find("line", "not-canonical", f"not a line that stepcreds writes: {error}", "tampered")
        if not isinstance(record, dict):
            return self._find("line", "not-canonical", "not a line that stepcreds writes: not an object", "tampered")
        self.record = record
        if not self.entries and record.get("kind") == "chain.opened":
            self.opened = record
        self._links(record)
        shape = KINDS.get(str(record.get("kind")))
        wrong = misfit(record, COMMON) or (misfit(record, shape) if shape else "")
        if wrong:
            return self._find("record", "field", f"the field {wrong} is missing or cannot be what it says", "unknown")
        if shape is None:
            return self._find("record", "kind", "a kind of record that this version does not know", "unknown")
        return self._order(record)

    def _links(self, record: Record) -> None:
        seq, uid = record.get("seq"), record.get("chain_uid")
        if seq != self._seq:
            meaning = f"the record with seq {self._seq} belongs here: records were removed, added, repeated or moved"
            self._find("chain", "seq", meaning, "tampered")
            self._seq = seq if type(seq) is int else self._seq
        if record.get("prev") != self.head:
            meaning = "prev is not the hash of the line before: that line was changed, or lines removed, added or moved"
            self._find("chain", "prev", meaning, "tampered")
        if uid == self.uid != "":
            return
        if not isinstance(uid, str) or not _HASH.fullmatch(uid):
            # Seals and other findings repeat it: as long as somebody liked, it would come back in each of them.
            self._find("chain", "chain-uid", "chain_uid is not a hash, and stepcreds writes no other", "tampered")
        elif self.uid:
            self._find("chain", "chain-uid", "the record belongs to another chain", "tampered")
        else:
            self.uid = uid

    def _order(self, record: Record) -> None:
        kind, uid = record["kind"], record.get("credential_uid")
        if self.closed:
            self._find("order", "after-closed", "a record after the chain was closed", "tampered")
        if (kind == "chain.opened") != (self.entries == 0):
            meaning = "a second chain.opened" if self.entries else "the first record is not chain.opened"
            self._find("order", "opened", meaning, "tampered")
        if kind == "chain.opened" and not _uid_follows(record):
            self._find("chain", "chain-uid", "chain_uid does not follow from the job and the nonce", "tampered")
        elif kind == "credential.requested":
            if uid in self._alive:
                self._find("order", "requested-twice", "the credential was requested before", "tampered")
            self._alive[uid] = (self.entries + 1, "requested")
        elif kind == "credential.issued":
            if self._alive.get(uid, (0, "unknown"))[1] != "requested":
                self._find("order", "issued-unrequested", "issued without a request on record, or twice", "tampered")
            self._alive[uid] = (self.entries + 1, "issued")
        elif kind == "credential.closed":
            self._ending(record, uid)
        elif kind == "chain.closed":
            self.closed = True
            if record["entries"] != self.entries + 1:
                meaning = f"{record['entries']} records when the chain was closed, {self.entries + 1} now"
                self._find("order", "entries", meaning, "tampered")

    def _ending(self, record: Record, uid: object) -> None:
        _, state = self._alive.pop(uid, (0, "unknown"))
        status = _inner(record, "revoke", "status")
        if state == "unknown" and status != "not_issued":
            self._find("order", "closed-unrequested", "closed without a request on record, or twice", "unknown")
        proven = _inner(record, "verified", "time") is not None
        if not proven and status != "not_issued":
            # `stepcreds revoke` may try again, and write down how that went.
            self._alive[uid] = (self.entries + 1, "accepted" if _is_accepted(record) else "unproven")
        contradicted = {
            "proven dead": not proven,
            "revoked, not proven": proven or status != "revoked",
            "not issued": status != "not_issued" or state in ("issued", "unproven", "accepted"),
        }
        verdict = str(record["verdict"])
        if contradicted.get(verdict, proven):
            meaning = f"the verdict '{verdict}' contradicts what the record says was done"
            self._find("record", "verdict", meaning, "tampered")

    def _unfinished(self, stored: bytes) -> None:
        if len(stored) > MAX_LINE:
            meaning = f"a line of more than {MAX_LINE} bytes; nothing after it was read"
            return self._find("line", "too-long", meaning, "tampered")
        meaning = "the last line has no end: its writer was killed, or is writing now"
        return self._find("file", "torn", meaning, "incomplete")

    def _find(self, layer: Layer, code: str, meaning: str, certainty: Certainty) -> None:
        self._found.append(Finding(layer, self.file, self.entries + 1, code, meaning, certainty))


def _uid_follows(opened: Record) -> bool:
    job = opened["job"]
    names = ("iss", "repository_id", "run_id", "run_attempt", "job")
    identity = {name: job[name] for name in names} if isinstance(job, dict) else {}
    return opened["chain_uid"] == chain_uid(identity, str(opened["nonce"]))


def _is_accepted(record: Record) -> bool:
    """Whether an end without a proof is all that could be had.

    Somebody said so in words (revocation: none); or nobody knows its lease, and the token that asked for it, with which
    it ends, is revoked.
    """
    status, method = _inner(record, "revoke", "status"), _inner(record, "revoke", "method")
    return status == "impossible" or (status == "revoked" and method in ("token", "accessor"))


def _inner(record: Record, outer: str, name: str) -> object:
    value = record[outer]
    return value[name] if isinstance(value, dict) else None
