"""How a comparison with the audit log looks as text and as JSON; it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from stepcreds.clock import rfc3339
from stepcreds.printable import one_line
from stepcreds.reconciliation.audit_log import ReadFile
from stepcreds.reconciliation.coverage import Period
from stepcreds.reconciliation.finding import Finding, Reference, at, many
from stepcreds.reconciliation.reconciling import Reconciled

SHOWN = 20  # entries of one finding; --json has all
_COLOURS = {"tampered": "\x1b[31m", "incomplete": "\x1b[33m", "unknown": "\x1b[33m"}
_GREEN, _PLAIN = "\x1b[32m", "\x1b[0m"


def as_text(result: Reconciled, colour: bool) -> str:
    """What was read, what was found with the entries on both sides, and what cannot be told."""
    lines = [*_read(result), ""]
    for finding in result.findings:
        lines += [*_finding(finding, colour), ""]
    if result.limits:
        lines += ["Cannot be told from this audit log:", *(f"  {one_line(each, 1000)}" for each in result.limits), ""]
    count = many(len(result.findings), "finding")
    if colour:
        count = f"{_COLOURS['tampered'] if result.findings else _GREEN}{count}{_PLAIN}"
    return "\n".join([*lines, f"{count}{'; not all ledgers could be read' if result.errors else ''}"])


def as_json(result: Reconciled) -> dict[str, object]:
    """All of it. Times are RFC 3339; a `time` that is not known is null."""
    return {
        "audit": {
            "files": [_file_json(file) for file in result.files],
            "covers": [_period_json(period) for period in result.periods],
            "issued": result.issued,
        },
        "ledgers": {"chains": result.chains, "credentials": result.credentials, "confirmed": result.confirmed},
        "findings": [_finding_json(finding) for finding in result.findings],
        "cannot_be_told": list(result.limits),
        "errors": [error.what for error in result.errors],
    }


def _read(result: Reconciled) -> Iterator[str]:
    for file in result.files:
        odd = [f"{many(file.unreadable, 'line')} that cannot be read"] if file.unreadable else []
        odd += ["it ends in the middle of a line"] if file.torn else []
        odd += [] if file.periods else ["no entry of an audit log"]
        lines = many(file.lines, "line")
        yield f"{one_line(file.name)}: {', '.join([lines, *map(_period, file.periods), *odd])}"
    if len(result.periods) > 1:
        gaps = many(len(result.periods) - 1, "gap")
        yield f"The audit log has {gaps}: it covers {', '.join(map(_period, result.periods))}"
    chains, credentials = many(result.chains, "chain"), many(result.credentials, "credential")
    yield f"On record: {chains}, {credentials}, of which Vault issued {result.confirmed}"
    yield f"Issued by Vault: {result.issued}"


def _period(period: Period) -> str:
    return f"{at(period.start)} to {at(period.end)}"


def _finding(finding: Finding, colour: bool) -> Iterator[str]:
    head = f"{finding.code} ({finding.certainty})"
    yield (
        f"{_COLOURS[finding.certainty]}{head}{_PLAIN}: " * colour
        + f"{head}: " * (not colour)
        + one_line(finding.meaning, 1000)
    )
    yield from map(_reference, finding.evidence[:SHOWN])
    if len(finding.evidence) > SHOWN:
        yield f"  and {len(finding.evidence) - SHOWN} more"


def _reference(reference: Reference) -> str:
    request = f" request {one_line(reference.request_id)}" if reference.request_id else ""
    place = f"{one_line(reference.file)}:{reference.line}"
    return f"  {reference.side:6}  {place}  {one_line(reference.time)}  {one_line(reference.what)}{request}"


def _file_json(file: ReadFile) -> dict[str, object]:
    return {**asdict(file), "periods": [_period_json(period) for period in file.periods]}


def _period_json(period: Period) -> dict[str, str]:
    return {"start": rfc3339(period.start), "end": rfc3339(period.end)}


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "certainty": finding.certainty,
        "meaning": finding.meaning,
        "time": None if finding.time is None else rfc3339(finding.time),
        "lease_id": finding.lease_id or None,
        "evidence": [{**each._asdict(), "request_id": each.request_id or None} for each in finding.evidence],
    }
