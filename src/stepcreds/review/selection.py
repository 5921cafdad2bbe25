"""Which credentials a reviewer asked for: by where they come from, when, and what is wrong; it reads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stepcreds.errors import UsageError
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import CredentialView, epoch_of, text_of
from stepcreds.printable import one_line
from stepcreds.review.attestation import BREAKS
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import lifetime
from stepcreds.review.verification import Verified

_AGO = re.compile(r"([0-9]{1,9})\s*([smhdw])(?:\s+ago)?", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# RFC 3339, also without its seconds, or with a blank for the T; or a date alone.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


@dataclass(frozen=True)
class Selection:
    """What to show. None asks for nothing, as does False; all that is asked for has to be so."""

    repository: str | None = None  # its id or its name
    run: str | None = None  # the CI's own id
    attempt: str | None = None
    job: str | None = None
    step: str | None = None  # its name, or the beginning of its step_uid, of 8 characters or more
    profile: str | None = None
    since: float | None = None  # epoch seconds: credentials that may have lived then or later
    until: float | None = None  # credentials that were there by then
    open: bool = False  # their end is not on record
    excess: bool = False  # they could do more than their profile declares
    unproven: bool = False  # they may have existed, and are not proven dead
    leaked: bool = False
    unsigned: bool = False  # not all their records are signed by a key that counts

    def takes(self, chapter: Chapter, credential: CredentialView) -> bool:
        """Whether this credential of that chain is asked for."""
        return self._is_of(chapter, credential) and self._is_such(chapter, credential) and self._lived(credential)

    def _is_of(self, chapter: Chapter, credential: CredentialView) -> bool:
        job = credential.job
        return (
            self.repository in (None, job.get("repository_id"), chapter.view.repository)
            and self.run in (None, job.get("run_id"))
            and self.attempt in (None, job.get("run_attempt"))
            and self.job in (None, job.get("job"))
            and (self.step in (None, credential.step_name) or _begins(credential.step_uid, self.step))
            and self.profile in (None, credential.profile)
        )

    def _is_such(self, chapter: Chapter, credential: CredentialView) -> bool:
        return (
            not (self.open and credential.closed)
            and not (self.excess and not credential.excess)
            and not (self.unproven and (credential.proven or credential.verdict == "not issued"))
            and not (self.leaked and not credential.leaks)
            and not (self.unsigned and is_signed(chapter, credential) is True)
        )

    def _lived(self, credential: CredentialView) -> bool:
        """Whether it may have lived between `since` and `until`. Whose times nobody knows is not left out."""
        first, last = span(credential)
        return not (
            (self.since is not None and last is not None and last < self.since)
            or (self.until is not None and first is not None and first > self.until)
        )


def span(credential: CredentialView) -> tuple[float | None, float | None]:
    """The first and the last moment that its records speak of; None: not known, or without an end."""
    if credential.verdict == "not issued":
        return credential.time, epoch_of(text_of(credential.closed, "time"))
    lived = lifetime(credential)
    return credential.time, None if lived is None else lived.end


def is_signed(chapter: Chapter, credential: CredentialView) -> bool | None:
    """Whether its life, from request to end, is within what a trusted key signed; None: nobody looked.

    What comes on record after its end (a leak found later, a token that could not be revoked) no step signs any more.
    """
    life = (credential.requested, credential.issued, credential.measured, credential.left, *credential.closings)
    return are_signed(chapter, life)


def are_signed(chapter: Chapter, records: Iterable[Record]) -> bool | None:
    """Whether there are such records, and all are within what a trusted key signed; None: nobody looked."""
    verified = chapter.verified
    if verified.signing.state == "not checked":
        return None
    if any(finding.layer in BREAKS for finding in verified.findings):
        return False  # behind a break a record may bear any number
    seqs = [record.get("seq") for record in records if record]
    return bool(seqs) and all(isinstance(seq, int) and seq < verified.signing.entries for seq in seqs)


def is_tampered(chapter: Chapter) -> bool:
    """Whether something is wrong with its chain that no crash leaves."""
    return was_tampered(chapter.verified)


def was_tampered(verified: Verified) -> bool:
    """The same of what was checked.

    What was written over in a store is no such thing: the oldest version is what was read, and has its own signatures.
    """
    return any(found.certainty == "tampered" and found.layer != "store" for found in verified.findings)


def moment(text: str, now: float) -> float:
    """The epoch seconds of an RFC 3339 time, a date, or how long before `now` (`2h`, `2h ago`).

    Without a zone it is UTC. Raises `UsageError` for any other text.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2].lower()]
    found = _MOMENT.fullmatch(text.strip())
    if found:
        date, minutes, seconds, fraction, zone = found.groups()
        digits = ((fraction or ".")[1:] + "000000")[:6]
        offset = "+00:00" if zone in (None, "Z", "z") else zone
        try:
            return datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}.{digits}{offset}").timestamp()
        except (ValueError, OverflowError):
            pass
    raise UsageError(
        f"{one_line(text)!r} is no time",
        fix="Write 2026-11-22T14:02:00Z, 2026-11-22 14:02 (UTC), 2026-11-22, or how long ago: 90m, 2h, 3d, 1w.",
        docs="ledger-filters",
    )


def of_day(text: str) -> bool:
    """Whether this is a date alone: until then means until its end."""
    return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()))


def _begins(uid: str, name: str | None) -> bool:
    return name is not None and len(name) >= 8 and uid.startswith(name)
