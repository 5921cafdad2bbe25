"""Checkpoints: how long a chain was and what its last line hashed to, as the job's key at Vault signed it; it signs
nothing itself and trusts no key.

They stand beside the chain, in `NAME.checkpoints` for `NAME.jsonl`: one DSSE envelope a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stepcreds.clock import Clock, rfc3339
from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, canonical, parse
from stepcreds.ledger.file import LedgerFile
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.record import Record

PAYLOAD_TYPE = "application/vnd.stepcreds.checkpoint+json"
SCHEMA = "stepcreds.checkpoint/1"
SUFFIX = ".checkpoints"
# Seconds. Nobody has this lock for longer than a write takes, and the token that may sign lives on meanwhile.
LOCK_WAIT = 5.0
REPOSITORY = "{repository_id}"  # in `ledger.key`: the repository's own
# framework.GenericNameRegex of Vault's SDK: what can be the name of a key.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class Checkpoint(NamedTuple):
    """What is signed. Texts, but for `size`."""

    chain_uid: str
    repository_id: str
    run_id: str
    run_attempt: str
    size: int  # records
    head: str  # `line_hash` of the last of them
    time: str  # RFC 3339, by the clock of the job


def of(record: Record, job: Mapping[str, object], now: float) -> Checkpoint:
    """The checkpoint of a chain whose last line is `record`; `job` is that of its first record, `now` epoch seconds."""
    seq = record["seq"]
    assert isinstance(seq, int)  # noqa: S101 - the journal gave it
    return Checkpoint(
        str(record["chain_uid"]),
        str(job.get("repository_id", "")),
        str(job.get("run_id", "")),
        str(job.get("run_attempt", "")),
        seq + 1,
        line_hash(canonical(record)),
        rfc3339(now),
    )


def dumps(checkpoint: Checkpoint) -> bytes:
    """The payload of an envelope."""
    return canonical({"schema": SCHEMA, **checkpoint._asdict()})


def loads(payload: bytes) -> Checkpoint:
    """What `dumps` made `payload` of. Raises `LedgerError`."""
    try:
        value = parse(payload)
    except CanonicalError as error:
        raise LedgerError(f"a checkpoint that is {error.what}") from None
    if not isinstance(value, dict) or value.pop("schema", None) != SCHEMA or value.keys() != set(Checkpoint._fields):
        raise LedgerError("not the fields of a checkpoint")
    texts = [item for name, item in value.items() if name != "size"]
    if type(value["size"]) is not int or value["size"] < 1 or not {str}.issuperset(map(type, texts)):
        raise LedgerError("a field of the checkpoint cannot be what it says")
    return Checkpoint(**value)


def key_of(template: str, repository_id: str) -> str:
    """The Transit key (`<mount>/keys/<name>`) of `ledger.key` for one repository. Raises `LedgerError`."""
    mount, _, name = template.rpartition("/keys/")
    if REPOSITORY in name and not repository_id:
        raise LedgerError(
            "This CI names no repository, so there is none whose key could sign",
            cause=f"ledger.key has {REPOSITORY} in its name, and the identity of this step says nothing of that.",
            fix="Run it in a job; or use a key without it in ledger.key of stepcreds.yml.",
            docs="ledger-key",
        )
    name = name.replace(REPOSITORY, repository_id)
    if not _NAME.fullmatch(name):
        raise LedgerError(
            f"The ledger's key of this repository would be called {name!a}, which no key at Vault can be",
            cause=f"{REPOSITORY} in ledger.key stands for {repository_id!a}, as this CI calls the repository.",
            fix="Use a key without it in ledger.key of stepcreds.yml.",
            docs="ledger-key",
        )
    return f"{mount}/keys/{name}"


def beside(chain: Path) -> Path:
    """Where the checkpoints of the chain in the file `chain` stand."""
    return chain.with_suffix(SUFFIX)


def reach(chain: Path) -> int:
    """How many records of `chain` the checkpoints beside it are about, whoever signed them; 0 where there is none."""
    from stepcreds.ledger import dsse
    from stepcreds.ledger.reading import stored_lines

    if not beside(chain).exists():
        return 0
    farthest = 0
    try:
        for line in stored_lines(beside(chain)):
            farthest = max(farthest, loads(dsse.loads(line.removesuffix(b"\n")).payload).size)
    except LedgerError:
        pass  # what cannot be read is for `ledger verify` to say
    return farthest


def keep(line: bytes, chain: Path, clock: Clock) -> None:
    """Put an envelope at the end of the checkpoints of `chain`, and on the disk. Raises `LedgerError`.

    What a writer that was killed left there without its end was never acknowledged, and is overwritten.
    """
    with LedgerFile(beside(chain), clock, create=True, wait=LOCK_WAIT) as file:
        file.append(line + b"\n", file.tail())
