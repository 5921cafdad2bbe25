"""What OCSF 1.8.0 asks of the classes and objects that `ledger export` writes, and whether an event keeps to it.

Written down from https://schema.ocsf.io/1.8.0, class by class: for each attribute that we use its type, and `*` where
the class or object requires it; a type in brackets is a list of it. An attribute that is not in the table is one that
the class does not have, or that we have no reason to write: the check refuses both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# caption of the class, uid and caption of its category
CLASSES: dict[int, tuple[str, int, str]] = {
    0: ("Base Event", 0, "Uncategorized"),
    2004: ("Detection Finding", 2, "Findings"),
    2008: ("IAM Analysis Finding", 2, "Findings"),
    3001: ("Account Change", 3, "Identity & Access Management"),
    3002: ("Authentication", 3, "Identity & Access Management"),
    6002: ("Application Lifecycle", 6, "Application Activity"),
}
_OF_EVERY = {
    **dict.fromkeys(("activity_id", "category_uid", "class_uid", "severity_id"), "integer*"),
    **dict.fromkeys(("time", "type_uid"), "long*"),
    **dict.fromkeys(("activity_name", "category_name", "class_name", "type_name", "severity", "message"), "string"),
    **dict.fromkeys(("status", "status_code", "status_detail"), "string"),
    "status_id": "integer",
    "metadata": "metadata*",
    "unmapped": "object",
}
_FINDING = {"finding_info": "finding_info*", "confidence": "string", "confidence_id": "integer"}
ATTRIBUTES: dict[int, dict[str, str]] = {
    0: _OF_EVERY,
    2004: {**_OF_EVERY, **_FINDING, "resources": "[resource_details]", "is_alert": "boolean"},
    2008: {
        **_OF_EVERY,
        **_FINDING,
        "permission_analysis_results": "[permission_analysis_result]*",  # or one of three others, which we do not write
        "user": "user",
    },
    3001: {**_OF_EVERY, "actor": "actor", "user": "user*", "policies": "[policy]"},
    3002: {
        **_OF_EVERY,
        "user": "user*",
        "service": "service*",  # or dst_endpoint
        "session": "session",
        "auth_protocol": "string",
        "auth_protocol_id": "integer",
        "is_remote": "boolean",
    },
    6002: {**_OF_EVERY, "app": "product*"},
}
OBJECTS: dict[str, dict[str, str]] = {
    "metadata": {
        "version": "string*",
        "product": "product*",
        "sequence": "integer",
        "tags": "[key_value_object]",
        **dict.fromkeys(("uid", "original_time", "correlation_uid", "event_code"), "string"),
        **dict.fromkeys(("log_name", "log_source", "log_version"), "string"),
    },
    "product": {"name": "string", "vendor_name": "string", "version": "string"},
    "key_value_object": {"name": "string*", "value": "string"},
    "finding_info": {
        "uid": "string*",
        "title": "string",
        "desc": "string",
        "types": "[string]",
        "created_time": "long",
        "analytic": "analytic",
    },
    "analytic": {"name": "string", "type_id": "integer*", "type": "string"},
    "resource_details": {"uid": "string", "name": "string", "type": "string"},
    "permission_analysis_result": {"granted_privileges": "[string]", "policy": "policy"},
    "policy": {"name": "string", "type": "string"},
    "user": {
        **dict.fromkeys(("name", "uid", "domain", "type"), "string"),
        "type_id": "integer",
        "programmatic_credentials": "[programmatic_credential]",
    },
    "programmatic_credential": {"uid": "string*", "type": "string"},
    "actor": {"app_name": "string", "user": "user", "session": "session"},
    "session": {"uid": "string", "issuer": "string", "expiration_time": "long"},
    "service": {"name": "string", "uid": "string"},
}
AT_LEAST_ONE = {
    "product": ("name", "uid"),
    "key_value_object": ("value", "values"),
    "analytic": ("name", "uid"),
    "resource_details": ("name", "uid"),
    "policy": ("name", "type", "uid"),
    "user": ("account", "name", "uid"),
    "actor": ("process", "user", "invoked_by", "session", "app_name", "app_uid"),
    "service": ("name", "uid"),
}
# The captions of what stands beside it, by the name of the number.
_STATUS = {0: "Unknown", 1: "Success", 2: "Failure", 99: None}
_FINDING_STATUS = {
    0: "Unknown",
    1: "New",
    2: "In Progress",
    3: "Suppressed",
    4: "Resolved",
    5: "Archived",
    6: "Deleted",
}
CAPTIONS: dict[str, dict[int, str | None]] = {
    "severity_id": dict(enumerate(("Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal"))),
    "confidence_id": dict(enumerate(("Unknown", "Low", "Medium", "High"))),
    "auth_protocol_id": {4: "OpenID"},
    "user.type_id": dict(enumerate(("Unknown", "User", "Admin", "System", "Service"))),
    "analytic.type_id": {0: "Unknown", 1: "Rule"},
}
ACTIVITIES: dict[int, dict[int, str | None]] = {
    0: {0: "Unknown", 99: None},
    2004: {0: "Unknown", 1: "Create", 2: "Update", 3: "Close", 99: None},
    2008: {0: "Unknown", 1: "Create", 2: "Update", 3: "Close", 99: None},
    3001: {0: "Unknown", 1: "Create", 2: "Enable", 3: "Password Change", 5: "Disable", 6: "Delete", 9: "Lock", 99: None},
    3002: {0: "Unknown", 1: "Logon", 2: "Logoff", 99: None},
    6002: {0: "Unknown", 1: "Install", 2: "Remove", 3: "Start", 4: "Stop", 5: "Restart", 6: "Enable", 99: None},
}  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "long": (int,), "boolean": (bool,)}


def faults(event: dict[str, Any]) -> list[str]:
    """What of the event is not as OCSF has it."""
    uid = event.get("class_uid")
    if uid not in CLASSES:
        return [f"class_uid {uid}"]
    caption, category, category_caption = CLASSES[uid]
    found = list(_fields(event, ATTRIBUTES[uid], "event"))
    if (event["class_name"], event["category_uid"], event["category_name"]) != (caption, category, category_caption):
        found.append("class_name, category_uid or category_name")
    activity = event["activity_id"]
    if event["type_uid"] != uid * 100 + activity or event["type_name"] != f"{caption}: {event['activity_name']}":
        found.append("type_uid or type_name")
    found += _caption("activity", activity, event["activity_name"], ACTIVITIES[uid])
    statuses: dict[int, str | None] = {**_FINDING_STATUS} if uid in (2004, 2008) else {**_STATUS}
    return found + _caption("status", event["status_id"], event["status"], statuses)


def _fields(value: dict[str, Any], rules: dict[str, str], where: str) -> Iterator[str]:
    for name, rule in rules.items():
        if rule.endswith("*") and name not in value:
            yield f"{where}.{name} is missing"
    for name, item in value.items():
        if name not in rules:
            yield f"{where}.{name} is not in the class"
            continue
        kind = rules[name].rstrip("*")
        if kind.startswith("["):
            if not isinstance(item, list):
                yield f"{where}.{name} is no list"
                continue
            for each in item:
                yield from _value(each, kind[1:-1], f"{where}.{name}[]")
        else:
            yield from _value(item, kind, f"{where}.{name}")
        for captioned in (name, f"{where.rpartition('.')[2].rstrip('[]')}.{name}"):
            if captioned in CAPTIONS:
                beside = name.removesuffix("_id")
                yield from _caption(f"{where}.{name}", item, value.get(beside), CAPTIONS[captioned])


def _value(item: object, kind: str, where: str) -> Iterator[str]:
    if kind in _TYPES:
        if type(item) not in _TYPES[kind]:
            yield f"{where} is {item!r}, not {kind}"
    elif not isinstance(item, dict):
        yield f"{where} is no object"
    elif kind != "object":
        yield from _fields(item, OBJECTS[kind], where)
        names = AT_LEAST_ONE.get(kind, ())
        if names and not set(names) & set(item):
            yield f"{where} has none of {names}"


def _caption(where: str, number: object, text: object, captions: dict[int, str | None]) -> list[str]:
    if number not in captions:
        return [f"{where} {number!r} is none of the numbers"]
    assert isinstance(number, int)
    caption = captions[number]
    return [] if caption in (None, text) else [f"{where} {number} is {caption!r}, not {text!r}"]
