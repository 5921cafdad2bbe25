"""A survey as JSON, in a form that stays as it is: survey/schema.json says the same, docs/scope.md explains it."""

from __future__ import annotations

from typing import Final

from stepcreds.clock import rfc3339
from stepcreds.databases.stream import place
from stepcreds.errors import ConfigError, StepcredsError
from stepcreds.measurement import Finding
from stepcreds.survey.comparison import Changes
from stepcreds.survey.result import Survey

VERSION: Final = 1


def document(survey: Survey, changes: Changes | None = None) -> dict[str, object]:
    """`survey`, with what changed since an earlier one where there is one."""
    profile, measured, token, ended = survey.profile, survey.measured, survey.token, survey.ended
    url = profile.database
    said: dict[str, object] = {
        "version": VERSION,
        "profile": profile.name,
        "time": rfc3339(survey.time),
        "declared": {
            "access": profile.access,
            "databases": list(profile.databases),
            "schemas": list(profile.schemas),
            "tables": list(profile.tables),
            "columns": list(profile.columns),
        },
        "verdict": survey.verdict,
        "level": survey.level,
        "worst": survey.worst_words or None,
        "findings": [finding_json(finding) for finding in measured.findings] if measured else [],
        "not_examined": list(measured.not_examined) if measured else [],
        "notes": list(measured.notes) if measured else [],
        "server": measured.server if measured else None,
        "address": place(url.host, url.port) if url is not None else None,
        "database": url.database if url is not None else None,
        "user": survey.user or None,
        "milliseconds": round(measured.seconds * 1000) if measured else None,
        "round_trips": measured.round_trips if measured else None,
        "digest": measured.digest if measured else None,
        "token": None,
        "ended": ended._asdict() if ended is not None else None,
        "remarks": list(survey.remarks),
        "error": _error(survey.error),
    }
    if token is not None:
        said["token"] = {
            "examined": token.examined,
            "policies": list(token.policies),
            "findings": [finding_json(finding) for finding in token.findings],
            "not_examined": list(token.not_examined),
        }
    if changes is not None:
        said["changes"] = {
            "since": changes.since,
            "new": [finding_json(finding) for finding in changes.new],
            "gone": [dict(finding) for finding in changes.gone],
            "changed": [
                {"finding": finding_json(change.finding), "was": dict(change.was)} for change in changes.changed
            ],
        }
    return said


def failure(error: StepcredsError) -> dict[str, object]:
    """Why nobody looked at anything, in the place of what was found."""
    said: dict[str, object] = {"version": VERSION, "error": _error(error)}
    if isinstance(error, ConfigError):
        said["problems"] = [problem._asdict() for problem in error.problems]
    return said


def finding_json(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "subject": finding.subject,
        "name": finding.name,
        "level": finding.level,
        "standing": finding.standing,
        "what": finding.what,
        "via": finding.via,
        "objects": list(finding.objects),
        "count": finding.number,
        "database": finding.database,
        "schema": finding.schema,
        "table": finding.table,
        "columns": list(finding.columns),
        "fix": finding.fix,
        "because": finding.because,
    }


def _error(error: StepcredsError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"what": error.what, "cause": error.cause, "fix": error.fix, "docs": error.docs}
