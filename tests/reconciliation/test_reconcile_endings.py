"""How credentials really ended at OpenBao, where their ledgers say otherwise or nothing; and what two steps shared."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from step_runs import STAYING, Running, reported, reporting, until

from reconcile_runs import CREDS, KEY, Record, Site, codes, normalised
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack

UID = "cccccccc-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def audited() -> Iterator[Stack]:
    with Stack(ledger_key=KEY) as stack:
        yield stack


@pytest.fixture
def site(audited: Stack, tmp_path: Path) -> Site:
    site = Site(audited, tmp_path)
    site.config.write_text(site.config.read_text().replace("ttl: 120s", "ttl: 10s"))
    site.tune("sys", "lease_id")
    site.tune("transit", "input")
    site.begin()
    return site


def later(text: str, seconds: float) -> str:
    """A time of a record, moved."""
    moved = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(timezone.utc) + timedelta(seconds=seconds)
    return f"{moved:%Y-%m-%dT%H:%M:%S}.{moved.microsecond // 1000:03d}Z"


def said_dead(record: Record, moment: str) -> Record:
    """A `credential.closed` that says that all was over at `moment`."""
    changed: Record = json.loads(json.dumps(record))
    for part in ("lock", "revoke", "verified"):
        changed[part]["time"] = moment
    changed["step"] |= {"start": None, "end": None}
    return changed


def backdated(site: Site, issued: Record) -> list[dict[str, Any]]:
    """The findings where the ledger says that this credential was dead half a second after it was issued."""

    def change(record: Record) -> list[Record]:
        is_its_end = record["kind"] == "credential.closed" and record["credential_uid"] == issued["credential_uid"]
        return [said_dead(record, later(issued["issue_time"], 0.5)) if is_its_end else record]

    return forged(site, change)


def forged(site: Site, change: Any) -> list[dict[str, Any]]:
    """The findings but those of the checkpoints, once `change` has been applied to each record of the one chain."""
    (chain,) = site.chains()
    site.rewrite(chain, [record for each in site.records() for record in change(each)])
    return [finding for finding in site.found() if finding["code"] != "unshown-checkpoint"]


def test_a_revocation_that_the_database_held_up(site: Site) -> None:
    report = site.folder / "report"
    with Running(site.stack, site.config, "exec", "verify", "--", *reporting(report, STAYING)) as step:
        command = int(reported(report)["own pid"])
        with closing(site.stack.connect(SUPERUSER, site.stack.postgresql.password)) as connection:
            connection.run("BEGIN")
            connection.run("LOCK TABLE pg_auth_members IN SHARE MODE")  # DROP ROLE waits for it
            os.kill(command, signal.SIGTERM)
            until(lambda: is_asked_to_revoke(site), "its revocation")
            time.sleep(2)
            connection.run("ROLLBACK")
        step.wait()
    assert codes(site.found()) == []
    (finding,) = site.found("--late", "1s")
    assert (finding["code"], finding["certainty"]) == ("revoked-late", "incomplete")
    meaning = normalised(finding["meaning"])
    assert meaning.startswith(f"{CREDS}/LEASE was revoked ")
    assert meaning.endswith(" s after its step's command ended")
    assert [entry["what"] for entry in finding["evidence"] if entry["side"] == "audit"] == [
        f"response read {CREDS}",
        "response update sys/leases/revoke",
    ]


def is_asked_to_revoke(site: Site) -> bool:
    """Whether OpenBao has been asked to revoke the one lease on record."""
    lease = next(str(record["lease_id"]) for record in site.records() if record["kind"] == "credential.issued").encode()
    return any(
        lease in line and b'"sys/leases/revoke"' in line for line in site.audit("now.log").read_bytes().split(b"\n")
    )


def test_a_ledger_that_dates_a_revocation_back(site: Site) -> None:
    issued = site.killed("verify")
    time.sleep(5.5)  # what clocks may differ by, and more
    site.step("revoke", "--all")
    assert codes(site.found()) == []

    (finding,) = backdated(site, issued)
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "revoked-late",
        "tampered",
        f"the ledger says that {CREDS}/LEASE was revoked at TIME, and Vault was asked for that at TIME for the first "
        "time",
    )


def test_a_ledger_that_invents_a_revocation(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    closed = next(record for record in site.records() if record["kind"] == "credential.closed")
    issued = site.killed("verify")
    site.pass_by(12)

    def invented(record: Record) -> list[Record]:
        if record.get("lease_id") != issued["lease_id"]:
            return [record]
        uid = record["credential_uid"]
        return [record, {**said_dead(closed, later(record["issue_time"], 1)), "credential_uid": uid}]

    (finding,) = forged(site, invented)
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "no-revocation",
        "tampered",
        f"the ledger says that {CREDS}/LEASE was revoked at TIME, and the audit log, which covers that time, has no "
        "such revocation",
    )


def test_a_ledger_that_invents_a_revocation_beside_hashes(site: Site) -> None:
    """Somebody revoked something meanwhile: nobody can tell what."""
    site.tune("sys")
    site.begin()
    site.step("exec", "verify", "--", "true")
    closed = next(record for record in site.records() if record["kind"] == "credential.closed")
    issued = site.killed("verify")
    with site.stack.client() as vault:
        vault.write_data("sys/leases/revoke", data={"lease_id": f"{CREDS}/nothing", "sync": True})
    site.pass_by(12)

    def invented(record: Record) -> list[Record]:
        if record.get("lease_id") != issued["lease_id"]:
            return [record]
        uid = record["credential_uid"]
        return [record, {**said_dead(closed, later(record["issue_time"], 1)), "credential_uid": uid}]

    (finding,) = forged(site, invented)
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "no-revocation",
        "unknown",
        f"the ledger says that {CREDS}/LEASE was revoked at TIME, and the audit log has none that can be told to be of "
        "it",
    )


def test_a_credential_that_lived_on(site: Site) -> None:
    # Renewed after half of its time: later than clocks may differ.
    site.config.write_text(site.config.read_text().replace("ttl: 10s", "ttl: 12s"))
    site.step("exec", "verify", "--", "sleep", "7.5")
    issued = next(record for record in site.records() if record["kind"] == "credential.issued")
    assert codes(site.found()) == []

    assert codes(backdated(site, issued)) == [("renewed-late", "tampered"), ("revoked-late", "tampered")]


def test_a_lease_that_was_revoked_by_others(site: Site) -> None:
    """By its prefix, by its path, by its token: all of that is no expiry."""
    site.config.write_text(site.config.read_text().replace("ttl: 10s", "ttl: 120s"))
    with site.stack.client() as vault:
        for how in ("prefix", "path"):
            lease = site.killed("verify")["lease_id"]
            path = "revoke-prefix/" + CREDS if how == "prefix" else "revoke/" + lease
            assert vault.adapter.put(f"/v1/sys/leases/{path}").status_code == 204
        requested = [site.killed("verify"), *site.records()][-2]
        assert requested["kind"] == "credential.requested"
        vault.write_data("auth/token/revoke-accessor", data={"accessor": requested["token_accessor"]})
    assert codes(site.found()) == []


def test_a_step_that_was_killed_before_it_wrote_down_what_it_got(site: Site) -> None:
    site.killed("verify")
    (chain,) = site.chains()
    chain.write_bytes(b"".join(line + b"\n" for line in chain.read_bytes().split(b"\n")[:2]))
    chain.with_suffix(".checkpoints").unlink()
    findings = [finding for finding in site.found() if finding["code"] == "unrecorded"]
    assert [(each["certainty"], normalised(each["meaning"])) for each in findings] == [
        (
            "incomplete",
            f"Vault issued {CREDS}/LEASE at TIME to role app-verify, repository acme/shop, run_id 9000000001, "
            "run_attempt 1, and no ledger here has it; by its header it is the one that a step asked for which then "
            "wrote down nothing more",
        )
    ]
    assert [(entry["side"], entry["what"]) for entry in findings[0]["evidence"]] == [
        ("ledger", "credential.requested"),
        ("audit", f"response read {CREDS}"),
    ]


def test_one_credential_in_two_ledgers(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.stack.issuer.claims["run_id"] = "9000000002"
    try:
        site.step("exec", "verify", "--", "true", GITHUB_RUN_ID="9000000002")
    finally:
        site.stack.issuer.claims["run_id"] = "9000000001"
    first, second = ([json.loads(line) for line in chain.read_bytes().splitlines()] for chain in site.chains())
    taken = [{**record, "chain_uid": second[0]["chain_uid"], "step_uid": UID} for record in first[1:]]
    site.rewrite(site.chains()[1], [*second, *taken])
    findings = site.found()
    assert codes(findings) == [("shared-lease", "tampered"), ("shared-token", "tampered")]
    assert normalised(findings[0]["meaning"]) == (
        f"2 steps have the lease {CREDS}/LEASE on record, and stepcreds gives none to two"
    )
    # Without the ledger that it was taken from, the claims of its token tell.
    site.chains()[0].unlink()
    (other,) = [finding for finding in site.found() if finding["code"] == "other-job"]
    assert (other["certainty"], normalised(other["meaning"])) == (
        "tampered",
        f"Vault issued {CREDS}/LEASE to another job than the one whose ledger has it: run_id 9000000001, not 9000000002",
    )


def test_one_token_in_two_steps(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    with site.stack.login("app-verify") as vault:
        for uid in ("dddddddd-0000-4000-8000-000000000001", "dddddddd-0000-4000-8000-000000000002"):
            requests.get(
                f"{site.stack.address}/v1/{CREDS}",
                headers={"X-Vault-Token": vault.token, "X-Stepcreds-Step": uid},
                timeout=60,
            ).raise_for_status()
        vault.auth.token.revoke_self()
    findings = site.found()
    assert codes(findings) == [("shared-token", "unknown"), ("unrecorded", "unknown"), ("unrecorded", "unknown")]
    assert findings[0]["meaning"] == (
        "by their header, which anybody can set, 2 steps used one token: dddddddd-0000-4000-8000-000000000001, "
        "dddddddd-0000-4000-8000-000000000002"
    )


def test_a_second_credential_of_a_steps_token(site: Site) -> None:
    """The ledger has the first, so that somebody other than stepcreds asked for the second."""
    site.step("exec", "verify", "--", "true")
    log = site.audit().read_bytes()
    first = next(record for record in site.records() if record["kind"] == "credential.issued")
    answer = next(line for line in log.split(b"\n") if str(first["lease_id"]).encode() in line and b"/creds/" in line)
    again = json.loads(answer)
    again["request"]["id"] = "eeeeeeee-0000-4000-8000-000000000001"
    again["response"]["secret"]["lease_id"] = f"{CREDS}/{'B' * 24}"
    forged_log = site.folder / "second.log"
    forged_log.write_bytes(log + json.dumps(again, separators=(",", ":")).encode() + b"\n")
    findings = [finding for finding in site.found(audit="second.log") if finding["code"] == "unrecorded"]
    assert [(each["certainty"], normalised(each["meaning"])) for each in findings] == [
        (
            "tampered",
            f"Vault issued {CREDS}/LEASE at TIME to role app-verify, repository acme/shop, run_id 9000000001, "
            "run_attempt 1, and no ledger here has it; a ledger has another one of the same token, and stepcreds asks "
            "once with each",
        )
    ]
