"""The fields of each kind of record and what may stand in them: a table, and the one function that reads it.

A field that is not in the table is no fault: a later stepcreds may write more into a record of the same schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from stepcreds.ledger.link import SCHEMA
from stepcreds.ledger.record import NEVER

# In UTC, with milliseconds. Not \d: in a JSON Schema that is a digit of any script to some.
_RFC3339 = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z"
_VERDICT = f"proven dead|revoked, not proven|not issued|expires at {_RFC3339}|never expires|expiry unknown"


class Rule(NamedTuple):
    """What may stand in a field: a value of exactly one of these types, and if it is not null, one that passes."""

    types: tuple[type, ...]
    passes: Callable[[Any], object] | None = None
    later: bool = False  # True: records of earlier versions lack it
    said: str | tuple[str, ...] | int | Rule | Mapping[str, Any] = ()  # what `passes` asks, for `json_schema`


Shape: TypeAlias = "Mapping[str, Rule | Shape]"


def _pattern(pattern: str) -> Rule:
    return Rule((str,), re.compile(pattern).fullmatch, said=pattern)


def _optional(rule: Rule) -> Rule:
    return rule._replace(types=(*rule.types, type(None)))


def _later(rule: Rule) -> Rule:
    return rule._replace(later=True)


def _one_of(*words: str) -> Rule:
    return Rule((str,), frozenset(words).__contains__, said=words)


def _object(shape: Shape) -> Rule:
    return Rule((dict,), lambda value: not misfit(value, shape), said=shape)


def _list_of(shape: Shape) -> Rule:
    return Rule(
        (list,),
        lambda items: not any(not isinstance(item, dict) or misfit(item, shape) for item in items),
        said=_object(shape),
    )


TEXT = Rule((str,))
TEXTS = Rule((list,), lambda items: {str}.issuperset(map(type, items)), said=TEXT)
WHOLE = Rule((int,))
COUNT = Rule((int,), (-1).__lt__, said=0)
OBJECT = Rule((dict,))
NAMES = _optional(TEXTS)
TIME = _pattern(_RFC3339)
DIGEST = _pattern("[0-9a-f]{64}")
UID = _pattern("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

PLACE: Shape = {"file": TEXT, "line": COUNT, "name": TEXT, "removed": Rule((bool,))}
FINDING: Shape = {
    **dict.fromkeys(("code", "subject", "level", "what", "via", "standing", "because"), TEXT),
    "count": COUNT,
}
GRANTED: Shape = {"level": TEXT, "digest": DIGEST, "findings": _list_of(FINDING), "more": COUNT}
STATEMENTS: Shape = {"kind": TEXT, "calls": COUNT, "rows": COUNT, "role": TEXT}
USED: Shape = {
    "level": TEXT,
    "statements": _list_of(STATEMENTS),
    "roles": TEXTS,
    "by": TEXT,
    "complete": Rule((bool,)),
    "gaps": TEXTS,
}
PRIVILEGES: Shape = {
    "granted": _optional(_object(GRANTED)),  # null: nobody looked
    "used": _optional(_object(USED)),  # null: nobody counted
    "excess": NAMES,
    "measured_by": TEXT,
}
CHANGE: Shape = dict.fromkeys(("code", "subject", "what"), TEXT)
COMMON: Shape = {
    "schema": _one_of(SCHEMA),
    "seq": COUNT,
    "prev": DIGEST,
    "chain_uid": DIGEST,
    "kind": TEXT,
    "time": TIME,
    "event_uid": UID,
    "step_uid": UID,
}

KINDS: Mapping[str, Shape] = {
    "chain.opened": {
        "claims": OBJECT,
        "job": {
            **dict.fromkeys(("ci", "iss", "repository_id", "run_id", "run_attempt", "job"), TEXT),
            **dict.fromkeys(("actor", "ref", "commit", "matrix"), _later(_optional(TEXT))),
        },
        "nonce": TEXT,
        "runner": OBJECT,
        "tool_version": TEXT,
        "trust": {"vault_addr": TEXT, "key": _optional(TEXT)},
    },
    "credential.requested": {
        "credential_uid": UID,
        "profile": TEXT,
        "token_accessor": TEXT,
        "mount_point": TEXT,
        "role": TEXT,
        "creds": TEXT,
        "database": _optional(TEXT),
        "declared": {"access": _optional(TEXT), "schemas": TEXTS, "ttl": COUNT, "reason": _optional(TEXT)},
        "delivery": TEXT,
        "inherited": TEXTS,
    },
    "credential.issued": {
        "credential_uid": UID,
        "request_id": {"login": TEXT, "creds": TEXT},
        "lease_id": _optional(TEXT),
        "lease_duration": COUNT,
        "issue_time": TIME,
        "expire_time": _pattern(f"{NEVER}|{_RFC3339}"),
        "db_user": _optional(TEXT),
        "policies": TEXTS,
        "entity_id": TEXT,
    },
    "credential.closed": {
        "credential_uid": UID,
        "profile": TEXT,
        "step": {
            "name": TEXT,
            "command_sha256": _optional(DIGEST),
            "exit_code": _optional(WHOLE),
            "start": _optional(TIME),
            "end": _optional(TIME),
        },
        "privileges": PRIVILEGES,
        "lock": {"time": _optional(TIME), "status": TEXT, "detail": TEXT, "sessions_ended": COUNT},
        "revoke": {
            "time": _optional(TIME),
            "method": TEXT,
            "status": _one_of("revoked", "queued", "failed", "not_issued", "impossible"),
        },
        "verified": {"lookup": TEXT, "db_login": TEXT, "witness": TEXT, "method": TEXT, "time": _optional(TIME)},
        "cancelled_by": _optional(TEXT),
        "verdict": _pattern(_VERDICT),
    },
    "credential.measured": {"credential_uid": UID, "profile": TEXT, "privileges": PRIVILEGES},
    "credential.left": {
        "credential_uid": UID,
        "profile": TEXT,
        "changes": _list_of(CHANGE),
        "more": COUNT,
        "unknown": _optional(TEXT),
    },
    "credential.leaked": {"credential_uid": UID, "profile": TEXT, "places": _list_of(PLACE), "more": COUNT},
    "token.revoke_failed": {
        "credential_uid": UID,
        "token_accessor": TEXT,
        "detail": TEXT,
        "expire_time": _optional(TIME),
    },
    "chain.recovered": {"bytes": COUNT, "sha256": DIGEST, "kept": TEXT},
    "chain.closed": {"entries": COUNT},
}


def misfit(record: Mapping[str, object], shape: Shape) -> str:
    """The dotted name of the first field of `record` that is missing or cannot be what it says; "" when all fit."""
    get = record.get
    for name, types, passes, later, inner in _rows_of(shape):
        value = get(name, _MISSING)
        if type(value) not in types:
            if later and value is _MISSING:
                continue
            return name
        if inner is not None:
            if deeper := misfit(value, inner):  # type: ignore[arg-type]  # a dict, by its type
                return f"{name}.{deeper}"
        elif passes is not None and value is not None and not passes(value):
            return name
    return ""


class _Row(NamedTuple):
    """A field as `misfit` reads it: plain values, because a review checks millions of them."""

    name: str
    types: tuple[type, ...]
    passes: Callable[[Any], object] | None
    later: bool
    inner: Shape | None


def _rows_of(shape: Shape) -> list[_Row]:
    known = _ROWS.get(id(shape))
    if known is None:
        rows = [
            _Row(name, rule.types, rule.passes, rule.later, None)
            if isinstance(rule, Rule)
            else _Row(name, (dict,), None, False, rule)
            for name, rule in shape.items()
        ]
        known = _ROWS[id(shape)] = (shape, rows)  # with the shape, so that no other gets its id
    return known[1]


_ROWS: dict[int, tuple[Shape, list[_Row]]] = {}
_MISSING = object()
