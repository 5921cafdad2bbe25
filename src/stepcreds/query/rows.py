"""What a chain says, as rows of `tables`; whatever a record holds, each value is of its column's type or None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from stepcreds.clock import rfc3339
from stepcreds.ledger.chain import CERTAINTIES
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import ChainView, CredentialView, epoch_of, text_of
from stepcreds.review.lifetimes import command_times, lifetime
from stepcreds.review.verification import Verified

_YEAR_1000 = -30_610_224_000  # epoch seconds

Row = dict[str, object]  # a column that is not in it is NULL; times are texts as records have them


def credential_row(chain: ChainView, credential: CredentialView, name: str) -> Row:
    """A row of `credentials`; `name` is the file's."""
    requested, issued, closed = credential.requested, credential.issued, credential.closed
    lived, (began, ended) = lifetime(credential), command_times(credential)
    end = None if lived is None else lived.end
    step = next((each for each in credential.closings if text_of(each, "step", "start")), closed)
    return {
        "file": name,
        "line": _line(requested or issued or closed),
        "chain_uid": text_of(chain.opened, "chain_uid") or None,
        **_job(chain),
        "step": credential.step_name or None,
        "step_uid": credential.step_uid or None,
        "credential_uid": credential.credential_uid,
        **{field: text_of(requested, field) or None for field in ("role", "mount_point", "creds", "delivery")},
        "profile": credential.profile or None,
        "server": credential.server or None,
        "database": text_of(requested, "database").rpartition("/")[2] or None,
        "access": credential.access or None,
        "schemas": _texts(_at(requested, "declared", "schemas")),
        "ttl": _whole(_at(requested, "declared", "ttl")),
        "reason": text_of(requested, "declared", "reason") or None,
        "inherited": _texts(requested.get("inherited")),
        "token_accessor": credential.token_accessor or None,
        "time": _time(credential.time),
        "issue_time": _time(credential.issue_time),
        "expire_time": _time(credential.expire_time),
        "end_time": _time(end),
        "never_expires": credential.expire_time == math.inf,
        "seconds_alive": None
        if lived is None or end is None or not lived.start <= end < math.inf
        else round(end - lived.start, 3),
        **{field: text_of(issued, field) or None for field in ("lease_id", "db_user", "entity_id")},
        "policies": _texts(issued.get("policies")),
        "request_login": text_of(issued, "request_id", "login") or None,
        "request_creds": text_of(issued, "request_id", "creds") or None,
        "level": credential.level or None,
        "excess": list(credential.excess) if credential.level else None,
        "digest": text_of(credential.privileges, "granted", "digest") or None,
        "used": credential.privileges.get("used"),
        "measured_by": credential.measured_by or None,
        "step_start": _time(began),
        "step_end": _time(ended),
        "exit_code": _whole(_at(step, "step", "exit_code")),
        "command_sha256": text_of(step, "step", "command_sha256") or None,
        "cancelled_by": text_of(step, "cancelled_by") or None,
        "lock_status": text_of(closed, "lock", "status") or None,
        "sessions_ended": _whole(_at(closed, "lock", "sessions_ended")),
        "revoke_time": _time(epoch_of(text_of(closed, "revoke", "time"))),
        **{f"revoke_{field}": text_of(closed, "revoke", field) or None for field in ("method", "status")},
        **{field: text_of(closed, "verified", field) or None for field in ("lookup", "db_login", "witness")},
        "proof_method": text_of(closed, "verified", "method") or None,
        "proven_time": _time(credential.proven_time),
        "proven": credential.proven,
        "verdict": credential.verdict,
        "open": not closed,
        "leaked": bool(credential.leaks),
        "leaked_to": _places(credential.leaks),
        "changes_left": len(changes) if isinstance(changes := credential.left.get("changes"), list) else None,
        "token_left": bool(credential.tokens),
    }


def chain_row(chain: ChainView, verified: Verified, credentials: int) -> Row:
    """A row of `chains`; `credentials` is how many it has."""
    opened = chain.opened
    found = [finding.certainty for finding in verified.findings]
    return {
        "file": verified.file,
        "chain_uid": verified.chain_uid or None,
        **_job(chain),
        "opened_time": _time(epoch_of(text_of(opened, "time"))),
        "closed": verified.closed,
        "entries": verified.entries,
        "unreadable": chain.unreadable,
        "credentials": credentials,
        "tool_version": text_of(opened, "tool_version") or None,
        "vault_addr": text_of(opened, "trust", "vault_addr") or None,
        "key": text_of(opened, "trust", "key") or None,
        "signing": verified.signing.state,
        "signed_entries": verified.signing.entries,
        "checkpoints": verified.signing.checkpoints,
        **{certainty: found.count(certainty) for certainty in CERTAINTIES},
    }


def finding_rows(verified: Verified) -> Iterator[Row]:
    """The rows of `findings` for one file."""
    for each in verified.findings:
        yield {
            "file": each.file,
            "line": each.line or None,
            "layer": each.layer,
            "code": each.code,
            "certainty": each.certainty,
            "meaning": each.meaning,
        }


def _job(chain: ChainView) -> Row:
    names = ("repository_id", "ci", "run_id", "run_attempt", "job", "actor", "ref", "commit", "matrix")
    return {"repository": chain.repository or None, **{name: chain.job.get(name) or None for name in names}}


def _places(leaks: Iterable[Record]) -> list[str]:
    listed = [place for leak in leaks for place in _list(leak.get("places")) if isinstance(place, dict)]
    return [text_of(place, "file") for place in listed]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _line(record: Mapping[str, object]) -> int | None:
    seq = _whole(record.get("seq"))
    return None if seq is None else seq + 1


def _at(record: Mapping[str, object], outer: str, name: str) -> object:
    value = record.get(outer)
    return value.get(name) if isinstance(value, dict) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _texts(value: object) -> list[str] | None:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else None


def _time(epoch: float | None) -> str | None:
    # A year before 1000 would have fewer digits, and is nobody's.
    return None if epoch is None or not _YEAR_1000 <= epoch < math.inf else rfc3339(epoch)
