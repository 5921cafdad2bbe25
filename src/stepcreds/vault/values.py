"""Takes Vault's answers apart into values, trusting nothing of their shape; it asks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from stepcreds.model import Lease, Login
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.vault import refusals
from stepcreds.vault.answer import Answer

if TYPE_CHECKING:
    from typing import TypeGuard

# Of what an engine answers. Its names become longer the deeper they are: four MiB of JSON can be gigabytes of them.
MOST_FIELDS, DEEPEST, LONGEST_NAME = 256, 8, 512  # a mapping in a mapping is one deeper; characters with the dots
LONGEST_ID = 2048  # characters; of Vault's own identifiers: a token, an accessor, a lease's path and its number
# Go's longest duration, 292 years: more than that no Vault sends, and dates end somewhere.
_LONGEST = 2**63 // 10**9  # seconds


class LeaseState(NamedTuple):
    """What Vault says of a lease: `gone` is proof that no lease of this id exists."""

    state: Literal["gone", "alive"]
    detail: str = ""  # why it is still there, where Vault tries to revoke it and fails
    ttl: float = 0.0  # seconds until it expires

    @property
    def alive(self) -> bool:
        return self.state == "alive"


class ServerStatus(NamedTuple):
    """What a server says of itself to anybody."""

    version: str
    initialized: bool
    sealed: bool


def expect(answer: Answer, method: str, path: str, status: int) -> Mapping[str, Any]:
    """The body of an answer with exactly this status. Raises `VaultError` for any other."""
    if answer.status != status or (answer.body is None and status != 204):
        raise refusals.refused(answer, method, path)
    return answer.body or {}


def seconds(value: object, answer: Answer, method: str, path: str) -> float:
    """`value`, which must be a duration. Raises `VaultError`."""
    if not _is_duration(value):
        raise refusals.not_understood(answer, method, path, "a duration in seconds")
    return float(value)


def login(answer: Answer, path: str, now: float) -> Login:
    """The token in `answer`, which came at `now` (epoch seconds). Raises `VaultError` where there is none."""
    body = expect(answer, "POST", path, 200)
    auth = body.get("auth")
    if not isinstance(auth, dict):
        raise refusals.not_understood(answer, "POST", path, "a token")
    token, accessor = auth.get("client_token"), auth.get("accessor")
    # An accessor is what a later `stepcreds revoke` ends the token by: without one it could not be cleaned up.
    if not (_is_header(token) and _is_header(accessor)):
        raise refusals.not_understood(answer, "POST", path, "a token with its accessor")
    policies = auth.get("policies")
    return Login(
        token=Secret(token),
        accessor=accessor,
        policies=tuple(_id(policy) for policy in policies[:MOST_FIELDS]) if isinstance(policies, list) else (),
        entity_id=_id(auth.get("entity_id")),
        ttl=seconds(auth.get("lease_duration"), answer, "POST", path),
        renewable=auth.get("renewable") is True,
        request_id=_id(body.get("request_id")),
        time=now,
    )


def lease(answer: Answer, now: float) -> Lease | None:
    """The credential in `answer`, which came at `now`; None where there is none that can be read."""
    body = answer.body or {}
    data, lease_id, duration = body.get("data"), body.get("lease_id"), body.get("lease_duration")
    if not isinstance(data, dict) or not _is_duration(duration) or (lease_id != "" and not _is_header(lease_id)):
        return None
    fields = dict(islice(_flat(data, DEEPEST), MOST_FIELDS + 1))
    if len(fields) > MOST_FIELDS or any(len(name) > LONGEST_NAME for name in fields):
        return None
    return Lease(
        lease_id=str(lease_id),
        # Engines without leases (kv) send a duration all the same: it is advice, nothing ends after it.
        duration=float(duration) if lease_id else 0.0,
        renewable=body.get("renewable") is True,
        fields=fields,
        request_id=_id(body.get("request_id")),
        time=now,
    )


def lease_state(answer: Answer, path: str, lease_id: str) -> LeaseState:
    """The lease in `answer`, which must be the one that was asked for. Raises `VaultError`."""
    data = expect(answer, "POST", path, 200).get("data")
    if not isinstance(data, dict) or data.get("id") != lease_id:
        raise refusals.not_understood(answer, "POST", path, "the lease that was asked for")
    failed = refusals.said((str(data.get("revoke_error") or ""),))
    ttl = data.get("ttl")
    return LeaseState(
        "alive",
        f"Vault tried to revoke it and failed: {failed}" if failed else "Vault still has the lease",
        float(ttl) if _is_duration(ttl) else 0.0,
    )


def server_status(answer: Answer, path: str) -> ServerStatus:
    """What a server says of itself. Raises `VaultError` where that is not what Vault says."""
    body = expect(answer, "GET", path, 200)
    if "sealed" not in body:
        raise refusals.not_understood(answer, "GET", path, "the state of the seal")
    return ServerStatus(
        version=_id(body.get("version")),
        initialized=body.get("initialized") is True,
        sealed=body["sealed"] is not False,
    )


def _is_duration(value: object) -> TypeGuard[float]:
    """Whether `value` is a number of seconds that Vault could send; JSON has NaN, and integers of any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LONGEST


def _is_header(value: object) -> TypeGuard[str]:
    """Whether `value` is a text that can stand in an HTTP header, and is no longer than Vault's."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip() != ""
        and len(value) <= LONGEST_ID
    )


def _id(value: object) -> str:
    """`value` for the ledger: a name that Vault gave to something, "" where it is none."""
    return one_line(value, LONGEST_ID) if isinstance(value, str) else ""


def _flat(data: Mapping[str, Any], depth: int, prefix: str = "") -> Iterator[tuple[str, Secret]]:
    """The leaves of `data`, nested names joined by dots: strings as they are, everything else as compact JSON."""
    for name, value in data.items():
        if isinstance(value, dict) and value and depth:
            yield from _flat(value, depth - 1, f"{prefix}{name}."[: LONGEST_NAME + 1])
        elif isinstance(value, str):
            yield f"{prefix}{name}", Secret(value)
        else:
            yield f"{prefix}{name}", Secret(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
