"""One credential, one chain, one finding as the page's script gets them; it compares nothing with anything.

Times are epoch seconds. None is "not on record", and never zero. Texts are as they stand in the ledger, but for their
length: what shows them makes them printable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stepcreds.ledger.chain import Finding
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.report.html.kinds import GONE, changes_of
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import Overlap, command_times, lifetime
from stepcreds.review.selection import is_signed, is_tampered

Row = dict[str, Any]
CELL = 300  # characters of one text; the records have all of it
MOST_OVERLAPS = 50  # that one credential's details list


def chain_row(chapter: Chapter, repository: str) -> Row:
    """A job attempt and its file. `repository` tells it apart from all others of the page."""
    view, verified = chapter.view, chapter.verified
    told = ("repository_id", "iss", "ci", "run_id", "run_attempt", "job", "matrix", "actor", "ref", "commit")
    return {
        **{name: cut(view.job.get(name, "")) for name in told},
        "repository": repository,
        "file": cut(chapter.source.name),
        "chain_uid": verified.chain_uid,
        "entries": verified.entries,
        "closed": verified.closed,
        "unreadable": view.unreadable,
        "signing": verified.signing.state,
        "signed": verified.signing.entries,
        "checkpoints": [list(each) for each in verified.signing.covered],
        "findings": len(verified.findings),
        "tool": cut(text_of(view.opened, "tool_version")),
    }


def credential_row(chapter: Chapter, credential: CredentialView, chain: int, kinds: Iterable[str]) -> Row:
    """One line of the list. `chain` is the place of its chapter, `kinds` are keys of kinds.KINDS."""
    start, end, how = _life(credential)
    command_start, command_end = command_times(credential)
    privileges, closed = credential.privileges, credential.closed
    # A clock that was set back in between has measured nothing.
    alive = end - start if start is not None and end is not None and end >= start else None
    proof = credential.proven_time if credential.proven else None
    after = proof - command_end if proof is not None and command_end is not None and proof >= command_end else None
    return {
        "chain": chain,
        "uid": credential.credential_uid,
        "step": cut(credential.step_name or credential.step_uid[:8]),
        "step_uid": credential.step_uid,
        "profile": cut(credential.profile),
        "delivery": cut(credential.delivery),
        "declared": cut(credential.access),
        "level": cut(credential.level),
        "excess": len(credential.excess),
        "used": cut(text_of(privileges, "used", "level")),
        "time": credential.time,
        "start": start,
        "end": end,
        "how": how,
        "alive": alive,
        "after": after,
        "command": [command_start, command_end],
        "exit": _whole(closed, "step", "exit_code"),
        "verdict": verdict(credential),
        "kinds": list(kinds),
        "record": _record_state(chapter, credential),
        "closing": next((place for place, each in enumerate(records_of(credential)) if each is closed), None),
        "user": cut(credential.db_user),
        "gone": _gone(credential),
        "ids": [cut(each) for each in (*_identifiers(credential), *_subjects(credential)) if each],
    }


def finding_row(finding: Finding, place: int | None) -> Row:
    """`place` is that of the credential that it is about; None: of none."""
    return {
        "place": place,
        "file": cut(finding.file),
        "line": finding.line,
        "check": f"{finding.layer}/{finding.code}",
        "certainty": finding.certainty,
        "meaning": cut(finding.meaning),
    }


def overlap_row(overlap: Overlap, place: int) -> list[object]:
    """`place` is that of the other step's credential."""
    return [place, overlap.start, overlap.end, overlap.certain]


def records_of(credential: CredentialView) -> list[Record]:
    """Every record about it, in the order of its chain."""
    one = (credential.requested, credential.issued, credential.measured, credential.left)
    found = [*(each for each in one if each), *credential.closings, *credential.leaks, *credential.tokens]
    return sorted(found, key=line_of)


def line_of(record: Mapping[str, object]) -> int:
    """The line of the file that it stands on, counted from 1; 0 where it does not say."""
    seq = record.get("seq")
    return seq + 1 if type(seq) is int else 0


def verdict(credential: CredentialView) -> str:
    """How it ended, in words that promise no more than its records."""
    if credential.closings:
        said = credential.verdict
        return "no proof on record" if said == "proven dead" and not credential.proven else cut(said)
    return "not closed" if credential.issued else "not closed, may exist"


def cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[:CELL]}…"


def _life(credential: CredentialView) -> tuple[float | None, float | None, str]:
    """When it began and ended, and how sure that is, as one word for the script."""
    lived = lifetime(credential)
    if lived is None:
        return None, None, "none" if credential.verdict == "not issued" else "unknown"
    if lived.proven:
        return lived.start, lived.end, "proven"
    if lived.end is None or lived.end == math.inf:
        return lived.start, None, "unknown" if lived.end is None else "never"
    # Nobody wrote down a renewal: what has no closing may have been renewed for as long as its command ran.
    return lived.start, lived.end, "most" if credential.closings else "renewed"


def _record_state(chapter: Chapter, credential: CredentialView) -> str:
    if is_tampered(chapter):
        return "tampered"
    return {True: "signed", False: "unsigned", None: "not checked"}[is_signed(chapter, credential)]


def _identifiers(credential: CredentialView) -> tuple[str, ...]:
    return (
        credential.credential_uid,
        credential.step_uid,
        credential.lease_id,
        credential.token_accessor,
        credential.role,
        credential.creds,
        credential.server,
        text_of(credential.issued, "request_id", "login"),
        text_of(credential.issued, "request_id", "creds"),
        text_of(credential.issued, "entity_id"),
        text_of(credential.closed, "step", "command_sha256"),
    )


def _gone(credential: CredentialView) -> str:
    """What its command, or somebody meanwhile, took away; "" for nothing."""
    gone = [text_of(each, "what") for each in changes_of(credential) if text_of(each, "code") == GONE]
    more = f" and {len(gone) - 2} more" if len(gone) > 2 else ""
    return cut("; ".join(gone[:2])) + more


def _subjects(credential: CredentialView) -> Iterator[str]:
    """What changed in the database, so that a search for a table finds who was there."""
    return (text_of(each, "subject") for each in changes_of(credential))


def _whole(record: Mapping[str, object], *names: str) -> int | None:
    value: object = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if type(value) is int else None
