"""One line of an audit log as a value; whatever is missing there, or of another type, is empty here.

The form is that of the file audit device: https://openbao.org/docs/audit/ and
https://developer.hashicorp.com/vault/docs/audit/schema. What is text there and no path, no id and no metadata is hashed
(`hmac-sha256:…`), unless the mount or the device was told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from stepcreds.foreign_json import DEEPEST, read
from stepcreds.reconciliation.finding import Reference

HASHED = "hmac-"
_HEADER = "x-stepcreds-step"
LONGEST = 10 * 366 * 86_400  # seconds that somebody may seriously ask a lease or a token to last
_LONGEST = 1000  # characters of a text that is kept


class Entry(NamedTuple):
    """One request, or the answer to one."""

    reference: Reference
    time: float  # epoch seconds
    answers: bool  # False: it is the request
    failed: bool
    path: str
    data: Mapping[str, Any]  # of the request
    answer: Mapping[str, Any]  # "data", "secret", "auth", "wrap_info"
    accessor: str  # of the token, as logged: hashed unless the device has hmac_accessor=false; "" without a token
    token: str  # hashed
    metadata: Mapping[str, str]  # of the token: the role, and the claims that the role maps
    entity_id: str
    is_root: bool
    token_end: float | None  # when the token ends by itself, as things stood then
    step_uid: str  # by the header, which anybody can set; "" where it is not audited

    @property
    def request_id(self) -> str:
        return self.reference.request_id

    @property
    def lease_id(self) -> str:
        """Of the lease in the answer."""
        return _text(_object(self.answer, "secret"), "lease_id")

    @property
    def role(self) -> str:
        return self.metadata.get("role", "").lower()


def moment(text: object) -> float | None:
    """Epoch seconds of an RFC 3339 time, which may have nanoseconds; None where it is none."""
    if not isinstance(text, str) or len(text) < 20:
        return None
    body, zone = (text[:-1], "+00:00") if text[-1] in "Zz" else (text[:-6], text[-6:])
    whole, _, fraction = body.partition(".")
    if fraction and not fraction.isdecimal():
        return None
    try:
        return datetime.fromisoformat(whole + zone).timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
    except (ValueError, OverflowError):
        return None


def entry_of(line: bytes, file: str, number: int) -> Entry | None:
    """The entry in `line`; None where there is none."""
    start = line.find(b"{")  # the device's `prefix` may stand before it
    value = _value(line[start:]) if start >= 0 else None
    if not isinstance(value, dict) or value.get("type") not in ("request", "response"):
        return None
    time = moment(value.get("time"))
    request = value.get("request")
    if time is None or not isinstance(request, dict):
        return None
    answer = _object(value, "response")
    # The answer to a login has the new token's; a request has that of the token it came with.
    auth = _object(answer, "auth") or _object(value, "auth")
    kind, path = value["type"], _text(request, "path")
    what = " ".join(part for part in (kind, _text(request, "operation"), path) if part)
    return Entry(
        Reference("audit", file, number, _text(value, "time"), what, _text(request, "id")),
        time,
        kind == "response",
        # The answer to what is refused has an `error`; that to what does not exist has it in its data alone.
        bool(value.get("error")) or "error" in _object(answer, "data"),
        path,
        _object(request, "data"),
        answer,
        _text(auth, "accessor"),
        _text(auth, "client_token"),
        _texts(_object(auth, "metadata")),
        _text(auth, "entity_id"),
        "root" in _list(auth, "policies"),
        _end(auth),
        _header(request),
    )


def _value(text: bytes) -> object:
    # Looking for depth in what cannot be deep costs more than reading it.
    if text.count(b"{") + text.count(b"[") > DEEPEST:
        return read(text)
    try:
        return json.loads(text)
    except ValueError:
        return None


def _end(auth: Mapping[str, Any]) -> float | None:
    begin, ttl = moment(auth.get("token_issue_time")), auth.get("token_ttl")
    return begin + ttl if begin is not None and isinstance(ttl, (int, float)) and 0 < ttl < LONGEST else None


def _header(request: Mapping[str, Any]) -> str:
    values = _list(_object(request, "headers"), _HEADER)
    return values[0][:_LONGEST] if values and isinstance(values[0], str) else ""


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    inner = value.get(name)
    return inner if isinstance(inner, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    inner = value.get(name)
    return inner[:_LONGEST] if isinstance(inner, str) else ""


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {name: text[:_LONGEST] for name, text in value.items() if isinstance(text, str)}
