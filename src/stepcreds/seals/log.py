"""All seals of one place, read in their order and checked against each other and against the keys that count; the
chains that they speak of are looked at elsewhere."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Literal, NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger import dsse
from stepcreds.ledger.chain import Certainty, Finding
from stepcreds.ledger.dsse import Envelope
from stepcreds.ledger.link import ZERO
from stepcreds.printable import one_line
from stepcreds.seals.place import Place
from stepcreds.seals.seal import (
    LONGEST,
    PAYLOAD_TYPE,
    Leaf,
    Part,
    Refused,
    Seal,
    digest,
    hash_of,
    loads,
    name_of,
    number_in,
)
from stepcreds.seals.tree import EMPTY, Tree, is_consistent
from stepcreds.trust.keys import Trust, TrustedKey, is_valid_at, of_purpose, require_cryptography, signers

# "not checked": nobody said whose signatures count.
State = Literal["signed", "partly signed", "not checked", "empty"]
MOST_MISSING = 100  # findings; a reviewer who named half of the ledgers is not told each of the others


class Stored(NamedTuple):
    """A seal as it stands in its place."""

    file: str  # with its place, for people
    seal: Seal
    digest: str  # of its bytes
    keyid: str  # of the key that counts and signed it; "" where none is known to have


class Sealed(NamedTuple):
    """A leaf, and the seal that it is in."""

    leaf: Leaf
    seal: Stored


class Log:
    """What the seals say of chains, and what is wrong with the seals. A seal that is not signed as it should be counts
    for nothing but the tree; where nobody checked signatures all count."""

    def __init__(self, place: str, checked: bool) -> None:
        self.place = place
        self.seals: list[Stored] = []
        self.findings: list[Finding] = []
        self.leaves: list[bytes] = []  # hashes, of the whole tree
        self.refused: set[Refused] = set()  # that some seal lists
        self.odd: dict[int, Finding] = {}  # numbers of seals that are no files: no seal was ever made under them
        self._checked = checked
        self._sealed: dict[str, list[Sealed]] = {}
        self._tabled: dict[str, int] = {}

    def of(self, chain_uid: str) -> list[Sealed]:
        """The leaves of one chain, in the order in which they were sealed."""
        return self._sealed.get(chain_uid, [])

    def sealed(self, chain_uid: str) -> int:
        """How many records of the chain are sealed."""
        return max((each.leaf.size for each in self.of(chain_uid)), default=0)

    def tabled(self, chain_uid: str) -> int:
        """How many records of the chain are in Parquet files: all up to this one."""
        return self._tabled.get(chain_uid, 0)

    @property
    def chains(self) -> Set[str]:
        """The chain_uid of each chain that is sealed."""
        return self._sealed.keys()

    @property
    def last(self) -> Stored | None:
        """The newest seal that counts."""
        return next((each for each in reversed(self.seals) if self._counts(each)), None)

    @property
    def state(self) -> State:
        if not self.seals:
            return "empty"
        if not self._checked:
            return "not checked"
        return "signed" if all(each.keyid for each in self.seals) else "partly signed"

    def missing(self, seen: set[str]) -> list[Finding]:
        """What is sealed, and not among the chains in `seen`."""
        gone = [sealed[-1] for uid, sealed in self._sealed.items() if uid not in seen]
        findings = [
            Finding(
                "seal",
                each.leaf.name,
                0,
                "deleted",
                f"a chain of {in_words(each.leaf.size)} is in the seal of {each.seal.seal.time} ({each.seal.file}) and "
                "is not here: it was removed, or is not among the ledgers that were named",
                "incomplete",
            )
            for each in gone[:MOST_MISSING]
        ]
        if len(gone) > MOST_MISSING:
            meaning = f"{len(gone) - MOST_MISSING} more chains are sealed and not here"
            findings.append(Finding("seal", self.place, 0, "more", meaning, "incomplete"))
        return findings

    def add(self, stored: Stored) -> None:
        self.seals.append(stored)
        if not self._counts(stored):
            return
        seal = stored.seal
        self.refused.update(seal.refused)
        for leaf in seal.leaves:
            self._sealed.setdefault(leaf.chain_uid, []).append(Sealed(leaf, stored))
        if seal.parquet is not None:
            parts = [*seal.parquet.also, *(Part(leaf.chain_uid, leaf.size) for leaf in seal.leaves)]
            for part in parts:
                self._tabled[part.chain_uid] = max(part.size, self.tabled(part.chain_uid))

    def _counts(self, stored: Stored) -> bool:
        return bool(stored.keyid) or not self._checked


def in_words(number: int) -> str:
    """A number of records."""
    return "1 record" if number == 1 else f"{number} records"


def read_log(place: Place, trust: Trust | None = None) -> Log:
    """Every seal in `place`.

    Raises `LedgerError` where the place cannot be read, `UsageError` where signatures cannot be checked here.
    """
    if trust is not None:
        require_cryptography()
    log = Log(place.name, trust is not None)
    reader = _Reader(log, of_purpose(trust, "seal") if trust is not None else None)
    numbers = sorted(number for name in place.names() if (number := number_in(name)) is not None)
    log.findings += place.findings
    for number in numbers:
        reader.take(number, place.read(name_of(number)))
    return log


def changed_tables(log: Log, place: Place) -> list[Finding]:
    """What is wrong with the Parquet files that the seals name. Raises `LedgerError`."""
    there = set(place.names())
    findings = []
    for stored in log.seals:
        table = stored.seal.parquet
        if table is None:
            continue
        file = f"{log.place}/{table.name}"
        if table.name not in there:
            meaning = f"the Parquet file of {stored.file} is not here: removed, or not copied"
            findings.append(Finding("seal", file, 0, "table", meaning, "incomplete"))
        elif place.sha256(table.name) != table.sha256:
            meaning = f"not the Parquet file that {stored.file} was signed with: what queries read in it was changed"
            findings.append(Finding("seal", file, 0, "table", meaning, "tampered"))
    return findings


class _Reader:
    """Takes the seals one after the other, and adds them and what is wrong with them to `log`."""

    def __init__(self, log: Log, keys: Sequence[TrustedKey] | None) -> None:
        self.log = log
        self._keys = keys
        self._file = ""
        self._next = 1  # the number that belongs here
        self._prev = ZERO  # "" where the seal before is missing
        self._before: Seal | None = None
        self._tree: Tree | None = Tree()  # None: leaves are missing or wrong, so that no later root can be told

    def take(self, number: int, data: bytes | None) -> None:
        """`data` is the file of seal `number`; None: that is no file."""
        self._file = f"{self.log.place}/{name_of(number)}"
        if data is None:
            self._find("unreadable", "no file: a folder, a link or a device has the name of a seal", "unknown")
            self.log.odd[number] = self.log.findings[-1]
            return
        seal, envelope = self._read(data)
        # Where something that is no file had a number, the next seal took the one after it.
        if number != self._next and (seal is None or not self._prev or seal.prev != self._prev):
            self._skip(number)
        if seal is not None and envelope is not None:
            if seal.seq != number:
                self._find("seq", f"it says that it is seal {seal.seq}: a seal was renamed, or copied", "tampered")
            if self._prev and seal.prev != self._prev:
                self._find("prev", "the seal before it is not the one that it was made after", "tampered")
            self._check_tree(seal)
            self._check_time(seal)
            self.log.add(Stored(self._file, seal, digest(data), self._signer(envelope, seal)))
        else:
            self._tree = None
        self._next, self._prev, self._before = number + 1, digest(data), seal

    def _skip(self, number: int) -> None:
        first, last = self._next, number - 1
        which = f"seal {first} is" if first == last else f"the seals {first} to {last} are"
        self._find("gap", f"{which} missing before it: removed, or not copied", "incomplete")
        self._prev, self._before, self._tree = "", None, None

    def _read(self, data: bytes) -> tuple[Seal | None, Envelope | None]:
        if len(data) > LONGEST or not data.endswith(b"\n"):
            self._find("unreadable", "not a seal that stepcreds writes: too long, or without its end", "tampered")
            return None, None
        try:
            envelope = dsse.loads(data[:-1])
            if envelope.payload_type != PAYLOAD_TYPE:
                meaning = f"signed as {one_line(envelope.payload_type)}, which is no seal"
                self._find("type", meaning, "tampered")
                return None, None
            return loads(envelope.payload), envelope
        except LedgerError as error:
            self._find("unreadable", f"not a seal that stepcreds writes: {error.what}", "tampered")
            return None, None

    def _check_tree(self, seal: Seal) -> None:
        if self._tree is not None:
            hashes = [hash_of(leaf) for leaf in seal.leaves]
            for leaf in hashes:
                self._tree.append(leaf)
            self.log.leaves += hashes
            if (self._tree.size, self._tree.root.hex()) != (seal.tree_size, seal.root):
                meaning = "its root is not that of the leaves up to here: leaves were changed, added or removed"
                self._find("root", meaning, "tampered")
                self._tree = None
        before = self._before
        size, root = (before.tree_size, before.root) if before else (0, EMPTY.hex())
        proof = [bytes.fromhex(each) for each in seal.consistency]
        known = before is not None or self._prev == ZERO
        if known and not is_consistent(size, bytes.fromhex(root), seal.tree_size, bytes.fromhex(seal.root), proof):
            meaning = "its tree does not begin with that of the seal before: what was sealed was changed"
            self._find("consistency", meaning, "tampered")

    def _check_time(self, seal: Seal) -> None:
        if self._before is not None and seal.time < self._before.time:
            meaning = f"made at {seal.time}, before the seal before it ({self._before.time}): a clock was set back"
            self._find("time", meaning, "unknown")

    def _signer(self, envelope: Envelope, seal: Seal) -> str:
        """The key that signed it; "" where none that counts did."""
        if self._keys is None:
            return ""
        found = signers(envelope, PAYLOAD_TYPE, self._keys)
        for key in found:
            if is_valid_at(key, seal.time):
                return key.keyid
        if found:
            until = f" to {found[0].not_after}" if found[0].not_after else ""
            meaning = f"signed with {found[0].keyid} at {seal.time}, which is valid from {found[0].not_before}{until}"
            self._find("window", meaning, "tampered")
        elif not self._keys:
            self._find("key", "the trust file has no key for seals, so nobody can say whose it is", "unknown")
        elif {each.keyid for each in envelope.signatures}.isdisjoint(key.keyid for key in self._keys):
            named = ", ".join(one_line(each.keyid) for each in envelope.signatures)
            self._find("key", f"signed with {named}, which the trust file does not have for seals", "unknown")
        else:
            self._find("signature", "the signature is not of the key that it names", "tampered")
        return ""

    def _find(self, code: str, meaning: str, certainty: Certainty) -> None:
        self.log.findings.append(Finding("seal", self._file, 0, code, meaning, certainty))
