"""One seal: what is in it, its bytes, and the name of its file; whose signature is under it is decided elsewhere.

It stands in `seal-000001.json`, `seal-000002.json`, …: one DSSE envelope and a newline. `prev` is the SHA-256 of the
file before it, so that the newest seal stands for all of them, their signatures included.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, canonical, parse
from stepcreds.seals.tree import leaf_hash

PAYLOAD_TYPE = "application/vnd.stepcreds.seal+json"
SCHEMA = "stepcreds.seal/1"
LONGEST = 64 * 1024 * 1024  # bytes of a file
MOST_LEAVES = 50_000  # in one seal
MOST_REFUSED = 1000  # that one seal lists
SUFFIX = ".json"
TABLE_SUFFIX = ".parquet"
_NAME = re.compile(r"seal-([0-9]{6,12})\.json", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


class Leaf(NamedTuple):
    """How long a chain was, and what its last line hashed to. Texts, but for `size`."""

    chain_uid: str
    repository_id: str
    run_id: str
    run_attempt: str
    size: int  # records
    head: str  # `line_hash` of the last of them
    name: str  # of its file, without folders


class Refused(NamedTuple):
    """A chain that got no leaf, and why: the code of a finding."""

    name: str
    chain_uid: str
    code: str


class Part(NamedTuple):
    """A chain that was sealed before, and up to which record its lines are in tables now."""

    chain_uid: str
    size: int


class Table(NamedTuple):
    """A Parquet file. Of each leaf of its seal, and of each chain in `also`, it holds the lines that no table before it
    has."""

    name: str
    sha256: str
    rows: int
    also: tuple[Part, ...] = ()


class Seal(NamedTuple):
    """What is signed."""

    seq: int  # from 1
    prev: str  # SHA-256 of the bytes of the seal before it; 64 zeros in the first
    time: str  # RFC 3339, by the clock of the job that sealed
    tree_size: int  # leaves in all seals up to this one
    root: str  # of the tree of all of them
    consistency: tuple[str, ...]  # the proof that the tree of the seal before is the beginning of this one
    leaves: tuple[Leaf, ...]  # that this seal adds, in the order of the tree
    refused: tuple[Refused, ...] = ()  # those that no seal before it lists
    parquet: Table | None = None
    refused_in_all: int = 0


def name_of(seq: int) -> str:
    return f"seal-{seq:06d}.json"


def number_in(name: str) -> int | None:
    """The seal that a file of this name holds; None: it is no seal's."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and name == name_of(int(match[1])) else None


def digest(data: bytes) -> str:
    """What `prev` of the next seal is, of the bytes of a file."""
    return hashlib.sha256(data).hexdigest()


def hash_of(leaf: Leaf) -> bytes:
    """Its hash in the tree."""
    return leaf_hash(canonical(leaf._asdict()))


def content(seal: Seal) -> dict[str, object]:
    """What is signed, as JSON has it."""
    return {
        **seal._asdict(),
        "schema": SCHEMA,
        "consistency": list(seal.consistency),
        "leaves": [leaf._asdict() for leaf in seal.leaves],
        "refused": [each._asdict() for each in seal.refused],
        "parquet": seal.parquet and {**seal.parquet._asdict(), "also": [each._asdict() for each in seal.parquet.also]},
    }


def dumps(seal: Seal) -> bytes:
    """The payload of an envelope."""
    return canonical(content(seal))


def loads(payload: bytes) -> Seal:
    """What `dumps` made `payload` of. Raises `LedgerError`."""
    try:
        value = parse(payload)
    except CanonicalError as error:
        raise LedgerError(f"a seal that is {error.what}") from None
    if not isinstance(value, dict) or value.pop("schema", None) != SCHEMA or value.keys() != set(Seal._fields):
        raise LedgerError("not the fields of a seal")
    try:
        seal = Seal(**{
            **value,
            "consistency": tuple(value["consistency"]),
            "leaves": tuple(Leaf(**leaf) for leaf in value["leaves"]),
            "refused": tuple(Refused(**each) for each in value["refused"]),
            "parquet": None if value["parquet"] is None else _table(**value["parquet"]),
        })  # fmt: skip
    except TypeError:
        raise LedgerError("not the fields of a seal") from None
    if not _holds(seal):
        raise LedgerError("a field of the seal cannot be what it says")
    return seal


def is_digest(text: object) -> bool:
    """Whether it is a SHA-256 as seals and chains have it; so is every chain_uid."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _table(also: list[Any], **said: Any) -> Table:
    return Table(**said, also=tuple(Part(**each) for each in also))


def _holds(seal: Seal) -> bool:
    digests = [seal.prev, seal.root, *seal.consistency, *(leaf.head for leaf in seal.leaves)]
    texts: list[Any] = [text for each in seal.refused for text in each]
    for leaf in seal.leaves:
        digests.append(leaf.chain_uid)
        texts += [leaf.repository_id, leaf.run_id, leaf.run_attempt, leaf.name]
    numbers = [seal.seq, *(leaf.size for leaf in seal.leaves)]
    if seal.parquet is not None:
        digests += [seal.parquet.sha256, *(part.chain_uid for part in seal.parquet.also)]
        texts.append(seal.parquet.name)
        numbers += [seal.parquet.rows, *(part.size for part in seal.parquet.also)]
    return (
        all(type(each) is int and each > 0 for each in numbers)
        and type(seal.tree_size) is int
        and seal.tree_size >= len(seal.leaves)
        and type(seal.refused_in_all) is int
        and seal.refused_in_all >= len(seal.refused)
        and all(map(is_digest, digests))
        and all(isinstance(each, str) for each in texts)
        and isinstance(seal.time, str)
        and _TIME.fullmatch(seal.time) is not None
    )
