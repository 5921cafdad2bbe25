"""The records of one credential's life, built from the values that its stages hand over.

No value of a credential, of a token or of the environment goes into a record: names, identifiers and times only.
Durations are whole seconds, times RFC 3339 in UTC with milliseconds.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence

from stepcreds.clock import rfc3339
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.ledger.canonical import valid
from stepcreds.ledger.privileges import privileges
from stepcreds.ledger.record import NEVER, Event
from stepcreds.measurement import Change, Measurement
from stepcreds.model import Ending, Leak, Lease, Login, Outcome
from stepcreds.printable import one_line

MOST_PLACES = 50  # of a leak, in one record
MOST_CHANGES = 50  # that a command left behind


def server_of(url: DatabaseURL) -> str:
    """The server of a database, as the ledger names it: `postgresql://db.internal:5432`."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.engine}://{host}:{url.port}"


def requested(
    step_uid: str,
    credential_uid: str,
    profile: Profile,
    *,
    token_accessor: str,
    mount_point: str,
    delivery: str,
    inherited: Sequence[str],
    reason: str | None = None,
) -> Event:
    """The intent, written before the credential can exist. `mount_point` is the auth method's: "auth/jwt".

    `delivery` names the way the credential is handed over ("exec"); `inherited` are the names of the credential-like
    variables that were there already.
    """
    return Event(
        "credential.requested",
        step_uid,
        {
            "credential_uid": credential_uid,
            "profile": profile.name,
            "token_accessor": token_accessor,
            "mount_point": mount_point,
            "role": profile.role,
            "creds": profile.creds,
            "database": None
            if profile.database is None
            else f"{server_of(profile.database)}/{profile.database.database}",
            "declared": {
                "access": profile.access,
                "schemas": list(profile.schemas),
                "ttl": math.ceil(profile.ttl),
                "reason": reason,
            },
            "delivery": delivery,
            "inherited": [valid(name) for name in inherited],
        },
    )


def issued(
    step_uid: str, credential_uid: str, login: Login, lease: Lease, *, db_user: str | None, expire_time: float
) -> Event:
    """What was issued. `expire_time` is the effective one, the shorter of lease and token; `math.inf` for never."""
    return Event(
        "credential.issued",
        step_uid,
        {
            "credential_uid": credential_uid,
            "request_id": {"login": login.request_id, "creds": lease.request_id},
            "lease_id": lease.lease_id or None,
            "lease_duration": math.ceil(lease.duration),
            "issue_time": rfc3339(lease.time),
            "expire_time": NEVER if expire_time == math.inf else rfc3339(expire_time),
            "db_user": db_user,
            "policies": list(login.policies),
            "entity_id": login.entity_id,
        },
    )


def measured(step_uid: str, credential_uid: str, profile: str, measurement: Measurement) -> Event:
    """What a credential can do that is about to be handed out: who ends it will not be who looked."""
    fields = {"credential_uid": credential_uid, "profile": profile, "privileges": privileges(measurement)}
    return Event("credential.measured", step_uid, fields)


def closed(
    step_uid: str,
    credential_uid: str,
    *,
    profile: str,
    step_name: str,
    command: Sequence[str] | None,
    outcome: Outcome | None,
    measurement: Measurement,
    ending: Ending,
    expire_time: float | None,
    on_record: Mapping[str, object] | None = None,
) -> Event:
    """How it ended; also for a credential that was refused, whose login may be refused before anything was requested.

    `on_record` is what an earlier record of it says of its privileges, where this process knows nothing of them.

    `command` and `outcome` are None where nobody knows them (the command never ran, or its `exec` was killed).
    `expire_time` is that of `verdict`.
    """
    lock, revocation, proof = ending.lock, ending.revocation, ending.proof
    ran = outcome if outcome and outcome.reason != "not_started" else None
    return Event(
        "credential.closed",
        step_uid,
        {
            "credential_uid": credential_uid,
            "profile": profile,
            "step": {
                "name": valid(step_name),
                "command_sha256": None if command is None else command_sha256(command),
                "exit_code": None if outcome is None else outcome.exit_code,
                "start": _time(ran.start if ran else None),
                "end": _time(ran.end if ran else None),
            },
            "privileges": dict(on_record) if on_record else privileges(measurement, ending.used),
            "lock": {
                "time": _time(lock.time),
                "status": lock.status,
                "detail": one_line(lock.detail),
                "sessions_ended": lock.sessions_ended,
            },
            "revoke": {"time": _time(revocation.time), "method": revocation.method, "status": revocation.status},
            "verified": {
                "lookup": proof.lookup,
                "db_login": proof.db_login,
                "witness": proof.witness,
                "method": proof.method,
                "time": _time(proof.time),
            },
            "cancelled_by": (outcome.cancelled_by if outcome else "") or None,
            "verdict": verdict(ending, expire_time),
        },
    )


def leaked(step_uid: str, credential_uid: str, profile: str, leaks: Sequence[Leak]) -> Event:
    """Where the command left the credential; `removed` says of each place whether it was taken out there."""
    places = [
        {"file": valid(leak.file), "line": leak.line, "name": leak.name, "removed": leak.removed}
        for leak in leaks[:MOST_PLACES]
    ]
    return Event(
        "credential.leaked",
        step_uid,
        {
            "credential_uid": credential_uid,
            "profile": profile,
            "places": places,
            "more": max(0, len(leaks) - MOST_PLACES),
        },
    )


def left(step_uid: str, credential_uid: str, profile: str, changes: Sequence[Change], reason: str) -> Event:
    """What the command left in the database and outlives the credential; `reason` is why nobody knows, else "".

    It is what changed between two looks: a database does not say who did it.
    """
    told = [{"code": each.code, "subject": valid(each.subject), "what": one_line(each.what)} for each in changes]
    return Event(
        "credential.left",
        step_uid,
        {
            "credential_uid": credential_uid,
            "profile": profile,
            "changes": told[:MOST_CHANGES],
            "more": max(0, len(told) - MOST_CHANGES),
            "unknown": one_line(reason) or None,
        },
    )


def token_revoke_failed(
    step_uid: str, credential_uid: str, *, token_accessor: str, detail: str, expire_time: float | None
) -> Event:
    """The token outlived its step. `expire_time` is the token's own, None where nobody knows it."""
    return Event(
        "token.revoke_failed",
        step_uid,
        {
            "credential_uid": credential_uid,
            "token_accessor": token_accessor,
            "detail": one_line(detail),
            "expire_time": _time(expire_time),
        },
    )


def verdict(ending: Ending, expire_time: float | None) -> str:
    """In words what is known about a credential's end. That it will expire is never called revoked.

    `expire_time` is when it ends by itself: `math.inf` for never, None where nobody knows.
    """
    if ending.revocation.status == "not_issued":
        return "not issued"
    if ending.proof.proven:
        return "proven dead"
    if ending.revocation.status == "revoked":
        return "revoked, not proven"
    if expire_time is None:
        return "expiry unknown"
    return "never expires" if expire_time == math.inf else f"expires at {rfc3339(expire_time)}"


def command_sha256(command: Sequence[str]) -> str:
    """The SHA-256 of the arguments joined by NUL, as the kernel is given them; the command itself is not kept."""
    return hashlib.sha256(b"\0".join(os.fsencode(part) for part in command)).hexdigest()


def _time(epoch: float | None) -> str | None:
    return None if epoch is None else rfc3339(epoch)
