"""One credential as its records tell it; what is missing there, or is of another type, it leaves empty."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from stepcreds.ledger.record import NEVER, Record

REPOSITORY_CLAIMS = ("repository", "project_path", "rpo_uri")  # GitHub and its kin, GitLab, Azure Pipelines
_TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")


@dataclass(frozen=True)
class CredentialView:
    """One credential on record. A record that is not there is {}; a text that is not there is "", a time None."""

    file: Path
    job: Mapping[str, str]  # ci iss repository_id run_id run_attempt job, and of later records actor ref commit matrix
    credential_uid: str
    requested: Record
    issued: Record
    closings: tuple[Record, ...]  # more than one where a first try gave no proof
    leaks: tuple[Record, ...] = ()  # where its command left it
    left: Record = field(default_factory=dict)  # what its command left in the database
    measured: Record = field(default_factory=dict)  # what it could do, where that was on record before its end
    tokens: tuple[Record, ...] = ()  # its token.revoke_failed

    @property
    def closed(self) -> Record:
        """The record that counts: the first with a proof, else the last."""
        proofs = (closing for closing in self.closings if text_of(closing, "verified", "time"))
        return next(proofs, self.closings[-1] if self.closings else {})

    @property
    def step_uid(self) -> str:
        return text_of(self.requested or self.issued or self.closed, "step_uid")

    @property
    def step_name(self) -> str:
        return text_of(self.closings[0], "step", "name") if self.closings else ""

    @property
    def profile(self) -> str:
        return text_of(self.requested, "profile") or text_of(self.closed, "profile")

    @property
    def role(self) -> str:
        return text_of(self.requested, "role")

    @property
    def mount_point(self) -> str:
        return text_of(self.requested, "mount_point")

    @property
    def creds(self) -> str:
        return text_of(self.requested, "creds")

    @property
    def server(self) -> str:
        """Where its user lives: `postgresql://host:port`; "" where it is no database's."""
        return text_of(self.requested, "database").rpartition("/")[0]

    @property
    def delivery(self) -> str:
        """How it was handed over: "exec", "outputs", "witness"."""
        return text_of(self.requested, "delivery")

    @property
    def token_accessor(self) -> str:
        return text_of(self.requested, "token_accessor")

    @property
    def access(self) -> str:
        return text_of(self.requested, "declared", "access")

    @property
    def lease_id(self) -> str:
        return text_of(self.issued, "lease_id")

    @property
    def db_user(self) -> str:
        return text_of(self.issued, "db_user")

    @property
    def time(self) -> float | None:
        """When the credential came on record, in epoch seconds."""
        return epoch_of(text_of(self.requested or self.issued or self.closed, "time"))

    @property
    def issue_time(self) -> float | None:
        return epoch_of(text_of(self.issued, "issue_time"))

    @property
    def expire_time(self) -> float | None:
        """When it ends by itself, in epoch seconds; `math.inf` for never."""
        text = text_of(self.issued, "expire_time")
        return math.inf if text == NEVER else epoch_of(text)

    @property
    def proven_time(self) -> float | None:
        return epoch_of(text_of(self.closed, "verified", "time"))

    @property
    def privileges(self) -> Mapping[str, object]:
        """What it could do; of several records that say so the one that knows. {} where none says anything."""
        said = [record.get("privileges") for record in (self.closed, *self.closings, self.measured)]
        known = [each for each in said if isinstance(each, dict)]
        return next((each for each in known if each.get("granted") is not None), known[0] if known else {})

    @property
    def level(self) -> str:
        """The highest level of all that it could do ("read", "admin"); "" where nobody measured it."""
        return text_of(self.privileges, "granted", "level")

    @property
    def excess(self) -> tuple[str, ...]:
        """What it could do beyond its profile, each by code and subject."""
        names = self.privileges.get("excess")
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    @property
    def measured_by(self) -> str:
        return text_of(self.privileges, "measured_by")

    @property
    def verdict(self) -> str:
        """What the last record says, in its words; "not closed" where there is none."""
        return text_of(self.closed, "verdict") or "not closed"

    @property
    def proven(self) -> bool:
        """Whether a proof of death is on record, not only the word."""
        return self.verdict == "proven dead" and self.proven_time is not None

    @property
    def seconds_alive(self) -> float | None:
        """From issue to proof; without one, to expiry: an upper bound, `math.inf` for none. None: nobody knows, also
        where the clock was set back meanwhile."""
        end = self.proven_time if self.proven else self.expire_time
        return None if self.issue_time is None or end is None or end < self.issue_time else end - self.issue_time


@dataclass(frozen=True)
class ChainView:
    """One file's chain. `credentials` are in the order in which they came on record."""

    file: Path
    job: Mapping[str, str]
    credentials: tuple[CredentialView, ...]
    unreadable: int  # lines that are no records
    closed: bool = False  # whether it says that nothing follows
    opened: Record = field(default_factory=dict)  # its first record

    @property
    def repository(self) -> str:
        """The repository's name, as the ID token had it; "" where the CI's tokens have none."""
        names = (text_of(self.opened, "claims", claim) for claim in REPOSITORY_CLAIMS)
        return next(filter(None, names), "")


def text_of(record: Mapping[str, object], *names: str) -> str:
    """The text in a field, or in a field of a field; "" where there is none."""
    value: object = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def epoch_of(text: str) -> float | None:
    """Epoch seconds of a time as records have it; None where the text is none."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(f"{text[:-1]}+00:00").timestamp()  # strptime takes five times as long
    except ValueError:
        return None
