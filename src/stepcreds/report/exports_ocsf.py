"""Records as events of the Open Cybersecurity Schema Framework; docs/export.md says which record is which class.

Version 1.8.0 of March 2026: https://schema.ocsf.io/1.8.0
"""

from __future__ import annotations

from typing import Any

from stepcreds.ledger.record import Record
from stepcreds.ledger.view import text_of
from stepcreds.report.exports import Entry, Fault, fault_message, message, severity
from stepcreds.report.exports_ocsf_objects import (
    STATUSES,
    VERSION,
    Event,
    account,
    class_of,
    filled,
    login,
    policies,
    product,
    resource,
    severity_of,
    tags_of,
)

_APPLICATION = {"chain.opened": 3, "chain.closed": 4, "chain.recovered": 99}
_RULE = {"type_id": 1, "type": "Rule"}


def events(entry: Entry) -> list[Event]:  # noqa: PLR0911 - a class each
    """The events of one record: one, and a finding beside an end that tells of more power than was declared."""
    kind = entry.kind
    if kind in _APPLICATION:
        return [_event(entry, 6002, _APPLICATION[kind], 1, app=product())]
    if kind == "credential.requested":
        return [_event(entry, 3002, 1, 1, **login(entry))]
    if kind == "token.revoke_failed":
        return [_event(entry, 3002, 2, 2, status_detail=text_of(entry.record, "detail"), **login(entry))]
    if kind == "credential.issued":
        return [_event(entry, 3001, 1, 1, **account(entry), policies=policies(entry))]
    if kind == "credential.closed":
        return [_end(entry), *([_power(entry, suffix=":excess")] if entry.excess else [])]
    if kind == "credential.measured":
        return [_power(entry)]
    if kind in ("credential.left", "credential.leaked"):
        title = {"left": "Left in the database", "leaked": "Credential leaked"}[kind.partition(".")[2]]
        return [_finding(entry, 2004, title, resources=[resource(entry)], is_alert=severity(entry) >= 3)]
    return [_event(entry, 0, 99, 0)]


def fault_event(fault: Fault, now: float) -> Event:
    """A finding of `ledger verify`, at epoch seconds `now`."""
    finding, verified = fault.finding, fault.verified
    name = f"{finding.layer}/{finding.code}"
    uid = f"{verified.chain_uid or finding.file}:{finding.line}:{name}"
    tags = tags_of(fault.opened, verified.signing.state, finding.certainty)
    return {
        **class_of(2004, 1),
        "time": round(now * 1000),
        **severity_of(fault.severity),
        "status_id": 1,
        "status": "New",
        "message": fault_message(fault),
        "is_alert": finding.certainty == "tampered",
        "confidence_id": 3 if finding.certainty == "tampered" else 1,
        "confidence": "High" if finding.certainty == "tampered" else "Low",
        "finding_info": {
            "uid": uid,
            "title": f"Ledger: {name}",
            "desc": finding.meaning,
            "types": [finding.certainty],
            "created_time": round(now * 1000),
            "analytic": {"name": f"stepcreds ledger verify {name}", **_RULE},
        },
        "resources": [{"uid": verified.chain_uid or finding.file, "name": finding.file, "type": "ledger"}],
        "metadata": {"version": VERSION, "product": product(), "uid": uid, "event_code": "finding", "tags": tags},
        "unmapped": {"line": finding.line, "layer": finding.layer, "code": finding.code},
    }


def _event(entry: Entry, class_uid: int, activity: int, status: int, *, suffix: str = "", **more: Any) -> Event:
    record = entry.record
    seq = record.get("seq")
    metadata = {
        "version": VERSION,
        "product": product(),
        "uid": (text_of(record, "event_uid") or "unknown") + suffix,
        "original_time": text_of(record, "time"),
        "sequence": seq if type(seq) is int else None,
        "correlation_uid": text_of(record, "step_uid"),
        "event_code": entry.kind,
        "log_name": "stepcreds ledger",
        "log_source": entry.file,
        "log_version": text_of(record, "schema"),
        "tags": tags_of(entry.opened, entry.signing, entry.integrity),
    }
    return {
        **class_of(class_uid, activity),
        "time": round(entry.time * 1000),
        **severity_of(severity(entry)),
        "status_id": status,
        "status": STATUSES[status],
        "message": message(entry),
        "metadata": filled(metadata),
        **filled(more),
        "unmapped": dict(record),
    }


def _end(entry: Entry) -> Event:
    verdict = text_of(entry.record, "verdict")
    bad = severity(entry)
    activity, status = (1, 2) if verdict == "not issued" else (6, 1 if bad == 1 else 0 if bad == 3 else 2)
    method = text_of(entry.record, "verified", "method")
    return _event(entry, 3001, activity, status, **account(entry), status_code=verdict, status_detail=method)


def _finding(entry: Entry, class_uid: int, title: str, *, suffix: str = "", **more: Any) -> Event:
    uid = text_of(entry.record, "event_uid") or "unknown"
    info = {
        "uid": uid + suffix,
        "title": title,
        "desc": message(entry),
        "types": [entry.kind],
        "created_time": round(entry.time * 1000),
        "analytic": {"name": f"stepcreds {entry.kind}", **_RULE},
    }
    event = _event(entry, class_uid, 1, 1, suffix=suffix, finding_info=info, **more)
    return {**event, "status": "New"}  # 1 is another status to a finding


def _power(entry: Entry, suffix: str = "") -> Event:
    """What a credential can do, and what of it nobody declared."""
    excess = entry.excess
    title = "A credential can do more than its profile declares" if excess else "What a credential can do"
    analysis: Event = {"granted_privileges": _granted(entry.record)}
    if role := text_of(entry.requested, "role"):
        analysis["policy"] = {"name": role, "type": "Vault role"}
    event = _finding(
        entry, 2008, title, suffix=suffix, user=account(entry)["user"], permission_analysis_results=[analysis]
    )
    if excess:
        event |= {**severity_of(4), "status_detail": "beyond the profile: " + ", ".join(excess)}
    return event


def _granted(record: Record) -> list[str]:
    privileges = record.get("privileges")
    granted = privileges.get("granted") if isinstance(privileges, dict) else None
    findings = granted.get("findings") if isinstance(granted, dict) else None
    listed = [each for each in findings if isinstance(each, dict)] if isinstance(findings, list) else []
    return [f"{text_of(each, 'code')} {text_of(each, 'subject')}".strip() for each in listed]
