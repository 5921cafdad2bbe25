"""What a comparison found: what it is called, how sure it is, and the entries on both sides that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from stepcreds.clock import rfc3339
from stepcreds.ledger.chain import Certainty

Code = Literal[
    "unrecorded",
    "invented",
    "other-lease",
    "other-job",
    "other-time",
    "not-covered",
    "unanswered",
    "never-revoked",
    "revoked-late",
    "no-revocation",
    "renewed-late",
    "shared-lease",
    "shared-token",
    "unshown-checkpoint",
    "silent-login",
]


class Reference(NamedTuple):
    """One entry of a ledger or of an audit log."""

    side: Literal["ledger", "audit"]
    file: str
    line: int  # counted from 1; 0 for the file as a whole
    time: str  # as it stands there
    what: str  # the kind of the record; type, operation and path of the request
    request_id: str = ""  # Vault's, of an entry of the audit log


@dataclass(frozen=True)
class Finding:
    """One thing that the two sides do not agree about, or that only one of them knows."""

    code: Code
    certainty: Certainty  # "incomplete" is what an honest crash leaves as well
    meaning: str
    time: float | None  # epoch seconds, by Vault's clock where Vault was there
    lease_id: str  # "" where none is known, or it is not about one
    evidence: tuple[Reference, ...]


def many(count: int, what: str) -> str:
    """ "1 record", "2 records"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def at(epoch: float) -> str:
    """A time in a sentence, to the second: the entries have the rest."""
    return f"{rfc3339(epoch)[:19]}Z"
