"""`ledger export --format otel`: lines that protobuf reads as OTLP's LogsData, with the names of the conventions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exports_runs import HOSTILE, every_kind, export, hostile, odd
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from ledger_samples import UIDS, records
from ledger_site import Site, make_site

from stepcreds.report.exports import Entry, Fault, entries
from stepcreds.report.exports_otel import fault_data, log_data
from stepcreds.review.sources import local

# The messages of opentelemetry-proto 1.11 that a log is made of: name -> (number, field, type). `*` repeats; the fields
# of AnyValue are one of them only. A message's name is its type.
MESSAGES = {
    "LogsData": [(1, "resource_logs", "ResourceLogs*")],
    "ResourceLogs": [(1, "resource", "Resource"), (2, "scope_logs", "ScopeLogs*"), (3, "schema_url", "string")],
    "Resource": [(1, "attributes", "KeyValue*"), (2, "dropped_attributes_count", "uint32")],
    "ScopeLogs": [(1, "scope", "InstrumentationScope"), (2, "log_records", "LogRecord*"), (3, "schema_url", "string")],
    "InstrumentationScope": [(1, "name", "string"), (2, "version", "string"), (3, "attributes", "KeyValue*")],
    "LogRecord": [
        (1, "time_unix_nano", "fixed64"),
        (2, "severity_number", "int32"),  # an enum there, written as its number
        (3, "severity_text", "string"),
        (5, "body", "AnyValue"),
        (6, "attributes", "KeyValue*"),
        (7, "dropped_attributes_count", "uint32"),
        (8, "flags", "fixed32"),
        (11, "observed_time_unix_nano", "fixed64"),
        (12, "event_name", "string"),
    ],
    "KeyValue": [(1, "key", "string"), (2, "value", "AnyValue")],
    "AnyValue": [
        (1, "string_value", "string"),
        (2, "bool_value", "bool"),
        (3, "int_value", "int64"),
        (4, "double_value", "double"),
        (5, "array_value", "ArrayValue"),
        (6, "kvlist_value", "KeyValueList"),
        (7, "bytes_value", "bytes"),
    ],
    "ArrayValue": [(1, "values", "AnyValue*")],
    "KeyValueList": [(1, "values", "KeyValue*")],
}  # fmt: skip


def _logs_data() -> Any:
    """The class of LogsData, as protoc would make it."""
    file = descriptor_pb2.FileDescriptorProto(name="logs.proto", package="otlp", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == "AnyValue":
            message.oneof_decl.add(name="value")
        for number, field_name, said in fields:
            field, kind = message.field.add(name=field_name, number=number), said.rstrip("*")
            field.label = field.LABEL_REPEATED if said.endswith("*") else field.LABEL_OPTIONAL
            if kind in MESSAGES:
                field.type, field.type_name = field.TYPE_MESSAGE, f".otlp.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
            if name == "AnyValue":
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("otlp.LogsData"))


LOGS_DATA = _logs_data()


def parsed(data: dict[str, Any]) -> Any:
    """What protobuf makes of it. Raises `json_format.ParseError` for a field that OTLP does not have."""
    message = json_format.Parse(json.dumps(data), LOGS_DATA())
    assert json_format.MessageToDict(message) == _without_empty(data)
    return message


def _without_empty(value: Any) -> Any:
    """As protobuf prints it: empty lists and texts are not there, unless they are one of several."""
    if isinstance(value, dict):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {
            name: item
            for name, item in kept.items()
            if item not in ([], "", "0", 0) or name.endswith("Value") or item is False
        }
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def attributes(pairs: Any) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        which = pair.value.WhichOneof("value")
        value = getattr(pair.value, which)
        found[pair.key] = [item.string_value for item in value.values] if which == "array_value" else value
    assert len(found) == len(pairs)  # OTLP: a key stands there once
    return found


def all_data(*paths: Path) -> list[dict[str, Any]]:
    found = []
    for each in entries(local(paths), None):
        assert isinstance(each, (Entry, Fault))
        found.append(fault_data(each, 1.8e9) if isinstance(each, Fault) else log_data(each))
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=2, runs=18, signed=1)


def test_every_line_is_logs_data(site: Site, tmp_path: Path) -> None:
    listed = all_data(*site.chains, every_kind(tmp_path / "a"), hostile(tmp_path / "b"), odd(tmp_path / "c"))
    for data in listed:
        (resource,) = parsed(data).resource_logs
        assert resource.schema_url == "https://opentelemetry.io/schemas/1.44.0"
        ((record,),) = [scope.log_records for scope in resource.scope_logs]
        assert record.event_name.startswith("stepcreds.")
        assert record.body.string_value
        assert attributes(resource.resource.attributes)["service.name"] == "stepcreds"
        attributes(record.attributes)
    assert len(listed) > site.entries


def test_protobuf_refuses_what_is_not_there(tmp_path: Path) -> None:
    (data, *_) = all_data(every_kind(tmp_path))
    data["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["colour"] = "red"
    with pytest.raises(json_format.ParseError):
        parsed(data)


def test_an_issue_has_the_names_of_the_conventions(site: Site) -> None:
    path = site.chains[0]
    opened, requested, issued, closed = records(path)[:4]
    (resource,) = parsed(all_data(path)[2]).resource_logs
    assert attributes(resource.resource.attributes) == {
        "service.name": "stepcreds",
        "service.version": opened["tool_version"],
        "cicd.pipeline.run.id": "50000000",
        "cicd.pipeline.task.name": "deploy",
        "cicd.pipeline.task.run.id": opened["chain_uid"],
        "cicd.worker.name": "runner-0",
        "vcs.provider.name": "github",
        "vcs.owner.name": "acme",
        "vcs.repository.name": "shop-00",
        "vcs.ref.head.name": "main",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": opened["job"]["commit"],
        "stepcreds.ci": "github",
        "stepcreds.repository_id": "9000000",
        "stepcreds.run_attempt": "1",
        "stepcreds.actor": "octocat",
        "log.file.path": str(path),
    }
    (record,) = resource.scope_logs[0].log_records
    assert (record.event_name, record.severity_number, record.severity_text) == (
        "stepcreds.credential.issued",
        9,
        "INFO",
    )
    assert record.time_unix_nano % 1_000_000_000 // 1_000_000 == int(issued["time"][20:23])
    told = attributes(record.attributes)
    expected = {
        "log.record.uid": issued["event_uid"],
        "db.system.name": "postgresql",
        "db.namespace": "shop00",
        "server.address": "db-0.example.com",
        "server.port": 5432,
        "user.name": issued["db_user"],
        "stepcreds.profile": requested["profile"],
        "stepcreds.lease_id": issued["lease_id"],
        "stepcreds.request_id.creds": issued["request_id"]["creds"],
        "stepcreds.policies": issued["policies"],
        "stepcreds.seq": 2,
        "stepcreds.signing": "not checked",
        "stepcreds.integrity": "no findings",
    }
    assert {name: told.get(name) for name in expected} == expected
    (ended,) = parsed(all_data(path)[3]).resource_logs[0].scope_logs[0].log_records
    told = attributes(ended.attributes)
    assert told["process.exit.code"] == closed["step"]["exit_code"] == 0
    assert told["stepcreds.verified.time"] == closed["verified"]["time"]
    assert "error.type" not in told


def test_what_went_wrong_has_a_type_and_a_severity(tmp_path: Path) -> None:
    told = []
    for data in all_data(every_kind(tmp_path)):
        (record,) = parsed(data).resource_logs[0].scope_logs[0].log_records
        error = attributes(record.attributes).get("error.type")
        if error:
            told.append((record.event_name.removeprefix("stepcreds."), record.severity_text, error))
    assert told[:5] == [
        ("credential.closed", "WARN", "not_proven"),
        ("credential.closed", "ERROR", "not_revoked"),
        ("credential.leaked", "ERROR", "credential.leaked"),
        ("credential.left", "WARN", "credential.left"),
        ("token.revoke_failed", "WARN", "token.revoke_failed"),
    ]
    assert {event for event, _, _ in told[5:]} == {"ledger.finding"}


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    path = hostile(tmp_path / "ledger")
    code, listed, err = export(tmp_path, "--format", "otel", str(path))
    assert (code, err) == (1, "")
    (record,) = parsed(listed[2]).resource_logs[0].scope_logs[0].log_records
    assert attributes(record.attributes)["stepcreds.db_user"] == HOSTILE.replace("\x00", "")
    assert "\x1b" not in record.body.string_value
    assert UIDS[0] not in record.body.string_value
