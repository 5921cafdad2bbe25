"""`ledger export --format ocsf`: every record is an event that OCSF 1.8.0 takes, and says what the record says."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exports_runs import HOSTILE, every_kind, export, hostile, odd
from ledger_samples import UIDS, records, write_ledger
from ledger_site import Site, make_site
from ocsf_rules import faults

from stepcreds.errors import LedgerError
from stepcreds.ledger.checkpoint import beside
from stepcreds.ledger.fields import KINDS
from stepcreds.report.exports import Entry, Fault, entries
from stepcreds.report.exports_ocsf import events, fault_event
from stepcreds.review.sources import local
from stepcreds.trust.file import load_trust


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=2, runs=18, signed=1)


def all_events(*paths: Path, trust: Path | None = None) -> list[dict[str, Any]]:
    found = []
    for each in entries(local(paths), None if trust is None else load_trust(trust)):
        assert isinstance(each, (Entry, Fault))
        found += [fault_event(each, 1.8e9)] if isinstance(each, Fault) else events(each)
    return found


def of_kind(listed: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in listed if event["metadata"]["event_code"] == kind]


def tags(event: dict[str, Any]) -> dict[str, str]:
    return {tag["name"]: tag["value"] for tag in event["metadata"]["tags"]}


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    event = of_kind(all_events(every_kind(tmp_path)), "credential.issued")[0]
    assert faults(event) == []
    for change, said in (
        ({"class_uid": 3003}, ["class_uid 3003"]),
        ({"type_uid": 300199}, ["type_uid or type_name"]),
        (
            {"severity_id": "1"},
            ["event.severity_id is '1', not integer", "event.severity_id '1' is none of the numbers"],
        ),
        ({"severity": "High"}, ["event.severity_id 1 is 'Informational', not 'High'"]),
        ({"status_id": 2}, ["status 2 is 'Failure', not 'Success'"]),
        ({"user": {"type": "x"}}, ["event.user has none of ('account', 'name', 'uid')"]),
        ({"metadata": {"version": "1.8.0"}}, ["event.metadata.product is missing"]),
        ({"resources": []}, ["event.resources is not in the class"]),
        ({"policies": {}}, ["event.policies is no list"]),
        ({"time": 1.5}, ["event.time is 1.5, not long"]),
    ):
        assert faults({**event, **change}) == said
    assert faults({name: value for name, value in event.items() if name != "user"}) == ["event.user is missing"]


def test_every_event_is_one_of_ocsf(site: Site, tmp_path: Path) -> None:
    listed = all_events(
        *site.chains, every_kind(tmp_path / "a"), hostile(tmp_path / "b"), odd(tmp_path / "c"), trust=site.trust
    )
    assert [(faults(event), event) for event in listed if faults(event)] == []
    assert {event["class_uid"] for event in listed} == {0, 2004, 2008, 3001, 3002, 6002}
    assert set(KINDS) | {"finding", "credential.reborn"} == {event["metadata"]["event_code"] for event in listed}


def test_which_record_is_which_event(tmp_path: Path) -> None:
    path = every_kind(tmp_path)
    listed = all_events(path)
    told = [
        (e["metadata"]["event_code"], e["class_name"], e["activity_name"], e["severity"], e["status"])
        for e in listed
        if e["metadata"]["event_code"] != "finding"
    ]
    life = [
        ("credential.requested", "Authentication", "Logon", "Informational", "Success"),
        ("credential.issued", "Account Change", "Create", "Informational", "Success"),
    ]
    assert told == [
        ("chain.opened", "Application Lifecycle", "Start", "Informational", "Success"),
        *life, ("credential.closed", "Account Change", "Delete", "Informational", "Success"),
        *life, ("credential.closed", "Account Change", "Delete", "Medium", "Unknown"),
        *life, ("credential.closed", "Account Change", "Delete", "High", "Failure"),
        ("credential.closed", "Account Change", "Create", "Low", "Failure"),
        ("credential.leaked", "Detection Finding", "Create", "High", "New"),
        ("credential.left", "Detection Finding", "Create", "Medium", "New"),
        ("token.revoke_failed", "Authentication", "Logoff", "Medium", "Failure"),
        ("chain.recovered", "Application Lifecycle", "Recover", "Low", "Success"),
        ("chain.closed", "Application Lifecycle", "Stop", "Informational", "Success"),
    ]  # fmt: skip
    # The whole record is in it.
    assert [e["unmapped"] for e in listed if e["metadata"]["event_code"] != "finding"] == records(path)


def test_an_issue_says_whose_it_is(tmp_path: Path) -> None:
    path = every_kind(tmp_path)
    event = of_kind(all_events(path), "credential.issued")[0]
    record = records(path)[2]
    assert {name: value for name, value in event.items() if name not in ("unmapped", "metadata")} == {
        "class_uid": 3001, "class_name": "Account Change",
        "category_uid": 3, "category_name": "Identity & Access Management",
        "activity_id": 1, "activity_name": "Create", "type_uid": 300101, "type_name": "Account Change: Create",
        "time": 1795336000000, "severity_id": 1, "severity": "Informational", "status_id": 1, "status": "Success",
        "message": "migrate: issued database/creds/app-migrate/lease-1 as v-app-migrate-1",
        "user": {
            "name": "v-app-migrate-1", "uid": UIDS[0], "type_id": 4, "type": "Service",
            "programmatic_credentials": [{"uid": "database/creds/app-migrate/lease-1", "type": "lease"}],
        },
        "actor": {
            "app_name": "stepcreds",
            "user": {"name": "123456/deploy", "uid": "repo:shop/app:ref:refs/heads/main", "type_id": 4, "type": "Service"},
            "session": {"uid": "accessor-1", "expiration_time": 1795336121000},
        },
        "policies": [{"name": "app-migrate"}],
    }  # fmt: skip
    assert event["metadata"]["uid"] == record["event_uid"]
    assert event["metadata"]["sequence"] == 2
    assert event["metadata"]["log_source"] == str(path)
    assert tags(event)["stepcreds.run_id"] == "4711"
    assert tags(event)["stepcreds.signing"] == "unsigned"
    assert tags(event)["stepcreds.integrity"] == "unknown"  # credentials in this chain are not proven dead


def test_more_power_than_declared_is_a_finding_of_its_own(site: Site) -> None:
    listed = all_events(*site.chains)
    beyond = [e for e in listed if e["class_uid"] == 2008 and e["severity"] == "High"]
    assert {e["unmapped"]["credential_uid"] for e in beyond} == {*site.kinds["excess"], *site.kinds["warned"]}
    for event in beyond:
        assert event["finding_info"]["title"] == "A credential can do more than its profile declares"
        assert event["status_detail"] == "beyond the profile: PG.SCHEMA.OWN app"
        assert "PG.SCHEMA.OWN app" in event["permission_analysis_results"][0]["granted_privileges"]
        assert event["metadata"]["uid"] == event["unmapped"]["event_uid"] + ":excess"
    uids = [event["metadata"]["uid"] for event in listed]
    assert len(uids) == len(set(uids))


def test_an_event_says_whether_it_is_signed_and_whether_its_file_was_changed(site: Site, tmp_path: Path) -> None:
    by_name = {path.parent.name: path for path in site.chains}
    states = {tags(e)["stepcreds.signing"] for e in all_events(by_name["shop-01"], trust=site.trust)}
    assert states == {"unsigned"}
    signed = all_events(by_name["shop-00"], trust=site.trust)
    assert "signed" in {tags(e)["stepcreds.signing"] for e in of_kind(signed, "credential.closed")}
    assert {tags(e)["stepcreds.signing"] for e in all_events(by_name["shop-00"])} == {"not checked"}
    path = every_kind(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"migrate"', b'"mirgate"', 1))
    listed = all_events(path)
    assert {tags(e)["stepcreds.integrity"] for e in listed if e["metadata"]["event_code"] != "finding"} == {"tampered"}
    (fault, *_) = [e for e in of_kind(listed, "finding") if e["severity"] == "Critical"]
    assert fault["is_alert"]
    assert fault["finding_info"]["types"] == ["tampered"]


def test_no_record_of_a_chain_that_was_changed_counts_as_signed(site: Site, tmp_path: Path) -> None:
    chain = next(path for path in site.chains if path.parent.name == "shop-00")
    changed = tmp_path / chain.name
    changed.write_bytes(chain.read_bytes().replace(b'"profile":"migrate"', b'"profile":"migratx"', 1))
    beside(changed).write_bytes(beside(chain).read_bytes())
    listed = all_events(changed, trust=site.trust)
    assert {tags(e)["stepcreds.signing"] for e in listed if e["metadata"]["event_code"] != "finding"} == {"unsigned"}
    assert {tags(e)["stepcreds.signing"] for e in all_events(chain, trust=site.trust)} >= {"signed"}


def test_a_chain_that_is_gone_is_told_of_by_its_checkpoints(site: Site, tmp_path: Path) -> None:
    gone = tmp_path / site.chains[0].name
    beside(gone).write_bytes(beside(site.chains[0]).read_bytes())
    error, fault = entries(local([gone]), load_trust(site.trust))
    assert isinstance(error, LedgerError)
    assert error.docs == "ledger-gone"
    assert isinstance(fault, Fault)
    assert fault.finding.code == "orphan"
    assert error.what == f"{gone}: {fault.finding.meaning}"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    path = hostile(tmp_path / "ledger")
    code, listed, err = export(tmp_path, "--format", "ocsf", str(path))
    assert (code, err) == (1, "")
    assert [event for event in listed if faults(event)] == []
    assert of_kind(listed, "credential.issued")[0]["user"]["name"] == HOSTILE.replace("\x00", "")


def test_the_command(site: Site, tmp_path: Path) -> None:
    code, listed, err = export(site.ledgers.parent, "--format", "ocsf", "--trust", str(site.trust), "ledgers")
    records_of = sum(event["metadata"]["event_code"] != "finding" for event in listed)
    beyond = sum(event["metadata"]["uid"].endswith(":excess") for event in listed)
    assert (code, err, records_of) == (1, "", site.entries + beyond)
    code, later, _ = export(
        site.ledgers.parent, "--format", "ocsf", "--since", "2026-11-15", "--trust", str(site.trust), "ledgers"
    )
    assert 0 < len(later) < len(listed)
    assert min(event["time"] for event in later) >= 1_794_700_800_000
    write_ledger(tmp_path / "some", lives=1)
    (tmp_path / "some" / "link.jsonl").symlink_to("nowhere")
    code, listed, err = export(tmp_path, "--format", "ocsf", "some")
    assert (code, len(of_kind(listed, "chain.closed"))) == (1, 1)
    assert export(tmp_path, "--format", "ocsf", "nothing")[:2] == (2, [])


def test_how_far_it_is_is_told_on_a_terminal_and_never_among_the_lines(site: Site, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    out = tmp_path / "events.jsonl"
    with out.open("wb") as file:
        arguments = ["ledger", "export", "--format", "ocsf", "--trust", str(site.trust), str(site.ledgers)]
        done = subprocess.run(
            [sys.executable, "-m", "stepcreds", *arguments], stdout=file, stderr=theirs, timeout=120, check=False
        )
    os.close(theirs)
    told = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 1
    assert f"\r\x1b[KReading ledgers 1 of {len(site.chains)}" in told
    assert told.endswith("\r\x1b[K")
    assert all(json.loads(line) for line in out.read_text().splitlines())
