"""The objects that OCSF events are made of: who, what, and how bad; which record is which event it does not decide."""

from __future__ import annotations

from typing import Any

from stepcreds import __version__
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import epoch_of, text_of
from stepcreds.report.exports import Entry

VERSION = "1.8.0"
Event = dict[str, Any]

SEVERITIES = ("Unknown", "Informational", "Low", "Medium", "High", "Critical")
STATUSES = {0: "Unknown", 1: "Success", 2: "Failure"}
# uid -> caption, uid and caption of its category, and the activities that are used here.
CLASSES: dict[int, tuple[str, int, str, dict[int, str]]] = {
    0: ("Base Event", 0, "Uncategorized", {99: "Other"}),
    2004: ("Detection Finding", 2, "Findings", {1: "Create"}),
    2008: ("IAM Analysis Finding", 2, "Findings", {1: "Create"}),
    3001: ("Account Change", 3, "Identity & Access Management", {1: "Create", 6: "Delete"}),
    3002: ("Authentication", 3, "Identity & Access Management", {1: "Logon", 2: "Logoff"}),
    6002: ("Application Lifecycle", 6, "Application Activity", {3: "Start", 4: "Stop", 99: "Recover"}),
}
_SERVICE = {"type_id": 4, "type": "Service"}  # a user that is no person


def class_of(uid: int, activity: int) -> Event:
    """What an event is: `uid` of CLASSES, and one of its activities."""
    caption, category, category_caption, activities = CLASSES[uid]
    name = activities[activity]
    return {
        "class_uid": uid,
        "class_name": caption,
        "category_uid": category,
        "category_name": category_caption,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": uid * 100 + activity,
        "type_name": f"{caption}: {name}",
    }


def severity_of(value: int) -> Event:
    """`value` as `exports.Severity` has it."""
    return {"severity_id": value, "severity": SEVERITIES[value]}


def product() -> Event:
    """Who says so."""
    return {"name": "stepcreds", "vendor_name": "stepcreds", "version": __version__}


def tags_of(opened: Record, signing: str, integrity: str) -> list[Event]:
    """Where it comes from, and how far it is to be believed."""
    job = opened.get("job")
    names = ("ci", "repository_id", "run_id", "run_attempt", "job", "actor", "ref", "commit")
    values = {name: text_of(job, name) for name in names} if isinstance(job, dict) else {}
    tags = {"chain_uid": text_of(opened, "chain_uid"), **values, "signing": signing, "integrity": integrity}
    return [{"name": f"stepcreds.{name}", "value": value} for name, value in tags.items() if value]


def _job_user(entry: Entry) -> Event:
    name = f"{entry.repository}/{text_of(entry.opened, 'job', 'job')}".strip("/")
    uid = text_of(entry.opened, "claims", "sub") or text_of(entry.opened, "job", "repository_id")
    return {**filled({"name": name, "uid": uid or "unknown"}), **_SERVICE}


def login(entry: Entry) -> Event:
    """Who logged in at which Vault, and with what."""
    address = text_of(entry.opened, "trust", "vault_addr")
    session = {"uid": text_of(entry.record, "token_accessor"), "issuer": address}
    return {
        "user": _job_user(entry),
        "service": filled({"name": "Vault", "uid": address}),
        "session": filled(session),
        "auth_protocol_id": 4,
        "auth_protocol": "OpenID",
        "is_remote": True,
    }


def account(entry: Entry) -> Event:
    """Whose credential it is, and for whom."""
    record, lease = entry.record, text_of(entry.issued, "lease_id")
    user = {
        "name": entry.db_user,
        "uid": text_of(record, "credential_uid") or "unknown",
        "programmatic_credentials": [{"uid": lease, "type": "lease"}] if lease else None,
        "domain": text_of(entry.requested, "database"),
    }
    return {
        "user": {**filled(user), **_SERVICE},
        "actor": {"app_name": "stepcreds", "user": _job_user(entry), "session": _session(entry)},
    }


def _session(entry: Entry) -> Event:
    expire = epoch_of(text_of(entry.issued, "expire_time"))
    session = {
        "uid": text_of(entry.requested, "token_accessor") or text_of(entry.record, "step_uid"),
        "expiration_time": None if expire is None else round(expire * 1000),
    }
    return filled(session)


def resource(entry: Entry) -> Event:
    """The credential."""
    uid = text_of(entry.record, "credential_uid") or "unknown"
    return filled({"uid": uid, "name": entry.db_user, "type": "credential"})


def policies(entry: Entry) -> list[Event]:
    """Those of the token."""
    names = entry.record.get("policies")
    return [{"name": name} for name in names if isinstance(name, str)] if isinstance(names, list) else []


def filled(fields: Event) -> Event:
    """What is known of `fields`."""
    return {name: value for name, value in fields.items() if value not in (None, "")}
