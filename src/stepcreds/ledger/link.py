"""How the lines of a chain are linked, and what a chain is called; it judges nothing.

A line is a record's canonical bytes. Its hash is the SHA-256 of "stepcreds.ledger/1", NUL and the line: a hash that
was made for another purpose never passes for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from stepcreds.ledger.canonical import canonical

SCHEMA = "stepcreds.ledger/1"
ZERO = "0" * 64  # `prev` of a first record
MAX_LINE = 262_144  # bytes, without the newline; a record is about 1,000
_BEGUN = hashlib.sha256(SCHEMA.encode() + b"\0")


def line_hash(line: bytes) -> str:
    """The hash of a line, without its newline, that the next line's `prev` repeats."""
    digest = _BEGUN.copy()
    digest.update(line)
    return digest.hexdigest()


def chain_uid(identity: Mapping[str, object], nonce: str) -> str:
    """The identifier of a chain: `identity` is `record.job_identity` of its job, `nonce` the first record's."""
    return hashlib.sha256(canonical({**identity, "nonce": nonce})).hexdigest()
