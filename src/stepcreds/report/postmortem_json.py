"""A post-mortem as JSON: the same sentences, with their nature and the records that they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stepcreds.clock import rfc3339
from stepcreds.ledger.view import text_of
from stepcreds.report.postmortem import Postmortem
from stepcreds.report.postmortem_gone import Gone, reasons, title
from stepcreds.report.postmortem_suspects import Suspect
from stepcreds.report.postmortem_words import Said, plain


def as_json(found: Postmortem) -> dict[str, Any]:
    """What `json.dumps` takes. Times are RFC 3339 in UTC."""
    return {
        "run": found.run,
        "repository": found.repository,
        "trust": found.trust,  # null: signatures were not checked
        "servers": list(found.servers),
        "tampered": found.is_tampered,
        "at": _time(found.at),
        "needs": found.needs,
        "suspects": [_suspect(each) for each in found.suspects],
        "elsewhere": [_suspect(each) for each in found.elsewhere],
        "elsewhere_more": found.elsewhere_more,
        "elsewhere_excluded": found.elsewhere_excluded,
        "elsewhere_other": found.elsewhere_other,
        "gone": [_gone(each, found.at) for each in found.gone],
        "gone_more": found.gone_more,
        "gone_excluded": found.gone_excluded,
        "unread": found.unread,
        "steps": [
            {
                "name": step.name,
                "job": step.job,
                "attempt": step.attempt,
                "step_uid": step.step_uid,
                "start": _time(step.start),
                "end": _time(step.end),
                "exit_code": step.exit_code,
                "profiles": list(step.profiles),
                "answers": [{"question": each.question, "said": _said(each.said)} for each in step.answers],
            }
            for step in found.steps
        ],
        "ledgers": [each._asdict() | {"findings": list(map(plain, each.findings))} for each in found.chains],
        "over_time": [
            {
                "profile": each.profile,
                "runs": len(each.runs),
                "declared": each.declared,
                "granted": each.granted,  # null: not measured
                "granted_runs": each.granted_runs,
                "used": each.used,  # null: not measured
                "used_runs": each.used_runs,
                "narrower": each.narrower._asdict() if each.narrower is not None else None,
                "remarks": list(each.remarks),
            }
            for each in found.radius
        ],
        "limits": list(found.limits),
        "errors": list(found.errors),
    }


def _suspect(each: Suspect) -> dict[str, Any]:
    credential = each.credential
    return {
        "standing": each.standing,
        "step": credential.step_name or None,
        "step_uid": credential.step_uid,
        "credential_uid": credential.credential_uid,
        "profile": credential.profile,
        "db_user": credential.db_user or None,
        "repository": each.chapter.view.repository or credential.job.get("repository_id") or None,
        "database": text_of(credential.requested, "database") or None,
        "job": dict(credential.job),
        "reasons": _said(each.reasons),
    }


def _gone(each: Gone, at: float | None) -> dict[str, Any]:
    return {
        "standing": "may" if at is not None else None,
        "file": each.file,
        "cut": each.is_cut,  # false: nothing of it is here
        "repository_id": each.repository_id,
        "run_id": each.run,
        "run_attempt": each.attempt,
        "records": each.size,
        "signed": each.signed,  # null: nobody checked
        "first": _time(each.first),
        "last": _time(each.last),
        "text": plain(title(each)),
        "reasons": _said(reasons(each, at)) if at is not None else [],
    }


def _said(said: Iterable[Said]) -> list[dict[str, Any]]:
    return [
        {
            "nature": each.nature,
            "text": plain(each.text),
            "records": [evidence._asdict() for evidence in each.evidence],
        }
        for each in said
    ]


def _time(epoch: float | None) -> str | None:
    return None if epoch is None else rfc3339(epoch)
