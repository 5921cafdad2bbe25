"""Records as log records of OpenTelemetry, in OTLP's JSON; docs/export.md lists the names.

Names are of the semantic conventions 1.44.0 where these have one, else `stepcreds.*`. The form is that of the OTLP file
exporter, a LogsData for each line: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from stepcreds import __version__
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import text_of
from stepcreds.report.exports import Entry, Fault, fault_message, message, severity

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
Value = dict[str, Any]

# https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/#appendix-b-severitynumber-example-mappings (syslog)
_SEVERITIES = ((0, ""), (9, "INFO"), (10, "INFO2"), (13, "WARN"), (17, "ERROR"), (18, "ERROR2"))
# A record's fields that stand elsewhere, or are there for the chain alone.
_ELSEWHERE = frozenset({"time", "kind", "event_uid", "prev", "job", "runner", "schema"})
_SYSTEMS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mariadb"}
_DEEPEST = 8


def log_data(entry: Entry) -> Value:
    """One record."""
    attributes = {
        **_record_attributes(entry),
        "stepcreds.signing": entry.signing,
        "stepcreds.integrity": entry.integrity,
    }
    record = _log(entry.time, severity(entry), f"stepcreds.{entry.kind}", message(entry), attributes)
    return _data(entry.opened, entry.file, record, entry.time)


def fault_data(fault: Fault, now: float) -> Value:
    """A finding of `ledger verify`, at epoch seconds `now`."""
    finding, verified = fault.finding, fault.verified
    attributes = {
        "stepcreds.chain_uid": verified.chain_uid,
        **{f"stepcreds.finding.{name}": getattr(finding, name) for name in ("layer", "code", "line", "certainty")},
        "stepcreds.signing": verified.signing.state,
        "stepcreds.integrity": finding.certainty,
        "error.type": finding.certainty,
    }
    record = _log(now, fault.severity, "stepcreds.ledger.finding", fault_message(fault), attributes)
    return _data(fault.opened, finding.file, record, now)


def _data(opened: Record, file: str, record: Value, time: float) -> Value:
    resource = {
        "service.name": "stepcreds",
        "service.version": text_of(opened, "tool_version") or __version__,
        **_of_job(opened),
        "log.file.path": file,
    }
    scope = {"scope": {"name": "stepcreds.ledger", "version": __version__}, "logRecords": [record]}
    log = {"resource": {"attributes": list(_pairs(resource))}, "scopeLogs": [scope], "schemaUrl": SCHEMA_URL}
    return {"resourceLogs": [log]}


def _log(time: float, bad: int, event: str, text: str, attributes: Mapping[str, object]) -> Value:
    number, name = _SEVERITIES[bad]
    nano = str(round(time * 1000) * 1_000_000)
    return {
        "timeUnixNano": nano,
        "observedTimeUnixNano": nano,
        "severityNumber": number,
        "severityText": name,
        "eventName": event,
        "body": {"stringValue": text},
        "attributes": list(_pairs(attributes)),
    }


def _of_job(opened: Record) -> dict[str, str]:
    job, claims = opened.get("job"), opened.get("claims")
    of_job = {name: text_of(opened, "job", name) for name in job} if isinstance(job, dict) else {}
    of_token = {name: text_of(opened, "claims", name) for name in claims} if isinstance(claims, dict) else {}
    ref = of_job.get("ref", "")
    kind = {"refs/heads/": "branch", "refs/tags/": "tag"}.get("/".join(ref.split("/")[:2]) + "/", "")
    owner, _, name = (of_token.get("repository") or of_token.get("project_path") or "").rpartition("/")
    return {
        "cicd.pipeline.name": of_token.get("workflow", ""),
        "cicd.pipeline.run.id": of_job.get("run_id", ""),
        "cicd.pipeline.task.name": of_job.get("job", ""),
        "cicd.pipeline.task.run.id": text_of(opened, "chain_uid"),
        "cicd.worker.name": text_of(opened, "runner", "name"),
        "vcs.provider.name": ci if (ci := of_job.get("ci", "")) in ("github", "gitlab", "bitbucket") else "",
        "vcs.owner.name": owner,
        "vcs.repository.name": name,
        "vcs.ref.head.name": ref.split("/", 2)[2] if kind else ref,
        "vcs.ref.head.type": kind,
        "vcs.ref.head.revision": of_job.get("commit", ""),
        "stepcreds.ci": of_job.get("ci", ""),
        "stepcreds.repository_id": of_job.get("repository_id", ""),
        "stepcreds.run_attempt": of_job.get("run_attempt", ""),
        "stepcreds.actor": of_job.get("actor", ""),
        "stepcreds.matrix": of_job.get("matrix", ""),
    }


def _record_attributes(entry: Entry) -> dict[str, object]:
    record = entry.record
    step = record.get("step")
    known: dict[str, object] = {
        "log.record.uid": text_of(record, "event_uid"),
        **_of_database(text_of(entry.requested, "database")),
        "user.name": entry.db_user,
        "process.exit.code": step.get("exit_code") if isinstance(step, dict) else None,
        "error.type": _error(entry),
        "stepcreds.profile": text_of(entry.requested, "profile"),
        "stepcreds.lease_id": text_of(entry.issued, "lease_id"),
    }
    own = {name: value for name, value in record.items() if name not in _ELSEWHERE}
    return {**known, **dict(_flat(own, "stepcreds", _DEEPEST))}


def _of_database(database: str) -> dict[str, object]:
    """Of `engine://host:port/name`, as records have it."""
    try:
        url = urlsplit(database)
        host, port = url.hostname, url.port
    except ValueError:
        return {}
    return {
        "db.system.name": _SYSTEMS.get(url.scheme, ""),
        "db.namespace": url.path.removeprefix("/"),
        "server.address": host,
        "server.port": port,
    }


def _error(entry: Entry) -> str:
    """Of few values, as the conventions ask for; "" where nothing went wrong."""
    if severity(entry) < 3:
        return ""
    if entry.kind != "credential.closed":
        return entry.kind
    return {3: "not_proven"}.get(severity(entry), "not_revoked")


def _flat(fields: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict) and depth:
            yield from _flat(value, f"{prefix}.{name}", depth - 1)
        else:
            yield f"{prefix}.{name}", value


def _pairs(attributes: Mapping[str, object]) -> Iterator[Value]:
    for name, value in attributes.items():
        if value is not None and value != "":
            yield {"key": name, "value": _any(value)}


def _any(value: object) -> Value:
    """An AnyValue; 64-bit integers are texts in protobuf's JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any(each) for each in value if each is not None]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": name, "value": _any(each)} for name, each in value.items()]}}
    return {"stringValue": "" if value is None else str(value)}
