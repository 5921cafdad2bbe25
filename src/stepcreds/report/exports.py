"""Ledgers record by record, with what a single line for somebody else's system has to know of the lines before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.chain import CERTAINTIES, Finding
from stepcreds.ledger.reading import stored_lines
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import REPOSITORY_CLAIMS, epoch_of, text_of
from stepcreds.printable import one_line
from stepcreds.review.attestation import BREAKS
from stepcreds.review.sources import Source, absent
from stepcreds.review.verification import Verified, verify
from stepcreds.trust.keys import Trust

Severity = Literal[0, 1, 2, 3, 4, 5]  # unknown, informational, low, medium, high, critical
LONGEST = 1000  # characters of a message

_OF_CERTAINTY: dict[str, Severity] = {"tampered": 5, "incomplete": 3, "unknown": 2}


class Entry(NamedTuple):
    """One record, and what it stands in."""

    file: str
    record: Record
    opened: Record  # the first of its chain
    requested: Record  # of its credential, as far as that came before
    issued: Record
    time: float  # epoch seconds; of the record before, or 0, where it has none
    signing: str  # "signed", "unsigned", "not checked": of this record
    integrity: str  # of its file: how sure the worst finding is, or "no findings"

    @property
    def kind(self) -> str:
        return text_of(self.record, "kind")

    @property
    def repository(self) -> str:
        """Its name, or its id."""
        names = (text_of(self.opened, "claims", claim) for claim in REPOSITORY_CLAIMS)
        return next(filter(None, names), "") or text_of(self.opened, "job", "repository_id")

    @property
    def db_user(self) -> str:
        return text_of(self.issued, "db_user")

    @property
    def excess(self) -> list[str]:
        """What goes beyond its profile, where this record says so."""
        privileges = self.record.get("privileges")
        names = privileges.get("excess") if isinstance(privileges, dict) else None
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


class Fault(NamedTuple):
    """One thing that is wrong with a file."""

    finding: Finding
    verified: Verified
    opened: Record

    @property
    def severity(self) -> Severity:
        return _OF_CERTAINTY[self.finding.certainty]


def entries(
    sources: Iterable[Source],
    trust: Trust | None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Entry | Fault | LedgerError]:
    """Every record of every source in their order, then what is wrong with that file. Lines that are no records are
    findings, and nothing else; a file that cannot be read is its error, too. `tell` is told how many files are done."""
    listed = list(sources)
    for done, (source, verified) in enumerate(zip(listed, verify(listed, trust), strict=True), start=1):
        opened: Record = {}
        try:
            for entry in _entries(source, verified):
                opened = entry.opened
                yield entry
        except LedgerError as error:
            yield absent(source, verified.findings) or error
        for finding in verified.findings:
            yield Fault(finding, verified, opened)
        tell(done, len(listed))


def _entries(source: Source, verified: Verified) -> Iterator[Entry]:
    opened: Record = {}
    known: dict[str, dict[str, Record]] = {}
    certainties = {finding.certainty for finding in verified.findings}
    integrity = next((word for word in CERTAINTIES if word in certainties), "no findings")
    state, last = verified.signing.state, 0.0
    # Behind a break a record may bear any number.
    entries = 0 if any(finding.layer in BREAKS for finding in verified.findings) else verified.signing.entries
    for place, line in enumerate(stored_lines(source.path)):
        record = _record(line)
        kind, uid = record.get("kind"), text_of(record, "credential_uid")
        if not isinstance(kind, str):
            continue
        last = epoch_of(text_of(record, "time")) or last
        if kind == "chain.opened":
            opened = opened or record
        mine = known.setdefault(uid, {}) if uid else {}
        if kind in ("credential.requested", "credential.issued"):
            mine.setdefault(kind, record)
        signed = "not checked" if state == "not checked" else "signed" if place < entries else "unsigned"
        requested, issued = mine.get("credential.requested", {}), mine.get("credential.issued", {})
        yield Entry(source.name, record, opened, requested, issued, last, signed, integrity)


def severity(entry: Entry) -> Severity:  # noqa: PLR0911 - a kind each
    """How bad it is by itself. That nobody measured, or signed, is not bad by itself."""
    record = entry.record
    if entry.kind == "credential.closed":
        return _of_end(record)
    if entry.kind == "credential.leaked":
        places = record.get("places")
        listed = [place for place in places if isinstance(place, dict)] if isinstance(places, list) else []
        return 3 if listed and not record.get("more") and all(place.get("removed") is True for place in listed) else 4
    if entry.kind == "credential.left":
        return 3 if record.get("changes") else 2 if record.get("unknown") else 1
    if entry.kind == "token.revoke_failed":
        return 3
    if entry.kind == "chain.recovered":
        return 2
    if entry.kind == "credential.measured":
        return 4 if entry.excess else 1
    return 1 if entry.kind in _MESSAGES else 0


def _of_end(closed: Record) -> Severity:
    verdict = text_of(closed, "verdict")
    if verdict == "proven dead" and text_of(closed, "verified", "time"):
        return 1
    return {"not issued": 2, "revoked, not proven": 3}.get(verdict, 4)  # type: ignore[return-value]


def message(entry: Entry) -> str:
    """What happened, in one line of printable text."""
    say = _MESSAGES.get(entry.kind)
    return one_line(say(entry) if say else f"a record of a later version: {entry.kind}", LONGEST)


def fault_message(fault: Fault) -> str:
    """What is wrong, in one line."""
    where = f" line {fault.finding.line}" if fault.finding.line else ""
    return one_line(f"{fault.finding.file}{where}: {fault.finding.meaning} ({fault.finding.certainty})", LONGEST)


def _profile(entry: Entry) -> str:
    return text_of(entry.record, "profile") or text_of(entry.requested, "profile") or "?"


def _closed(entry: Entry) -> str:
    user = f" ({entry.db_user})" if entry.db_user else ""
    verdict, method = text_of(entry.record, "verdict"), text_of(entry.record, "verified", "method")
    if verdict == "proven dead" and not text_of(entry.record, "verified", "time"):
        verdict = "no proof on record"
    return f"{_profile(entry)}{user}: {verdict}" + (f" ({method})" if method else "")


def _listed(entry: Entry, name: str, what: str) -> str:
    items = entry.record.get(name)
    texts = [text_of(item, what) for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return ", ".join(texts) or str(entry.record.get("unknown") or "nothing")


_MESSAGES: dict[str, Callable[[Entry], str]] = {
    "chain.opened": lambda e: f"the ledger of job {text_of(e.opened, 'job', 'job')} of {e.repository} begins",
    "chain.recovered": lambda e: "a last line without its end was found, and kept aside: its writer was killed",
    "chain.closed": lambda e: f"the ledger of job {text_of(e.opened, 'job', 'job')} of {e.repository} is closed",
    "credential.requested": lambda e: (
        f"{_profile(e)}: logged in as {text_of(e.record, 'role')}, asks for {text_of(e.record, 'creds')}"
    ),
    "credential.issued": lambda e: (
        f"{_profile(e)}: issued {text_of(e.record, 'lease_id') or 'without a lease'}"
        + (f" as {e.db_user}" if e.db_user else "")
    ),
    "credential.measured": lambda e: (
        f"{_profile(e)}: can do {text_of(e.record, 'privileges', 'granted', 'level') or 'what nobody measured'}"
    ),
    "credential.closed": _closed,
    "credential.left": lambda e: f"{_profile(e)}: its command left in the database: {_listed(e, 'changes', 'what')}",
    "credential.leaked": lambda e: f"{_profile(e)}: its command left the credential in {_listed(e, 'places', 'file')}",
    "token.revoke_failed": lambda e: (
        f"the Vault token {text_of(e.record, 'token_accessor')} (accessor) could not be "
        f"revoked: {text_of(e.record, 'detail')}"
    ),
}


def _record(line: bytes) -> Record:
    try:
        value = loads(line)
    except CanonicalError:
        return {}
    return value if isinstance(value, dict) else {}
