"""Real steps, and what somebody does to their ledgers or at OpenBao, found by the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile_runs import CREDS, KEY, Site, codes, normalised
from signatures import checkpoints
from stepcreds.devstack.stack import Stack


@pytest.fixture(scope="module")
def audited() -> Iterator[Stack]:
    """Servers whose audit log nobody else writes to, and ledgers that are signed."""
    with Stack(ledger_key=KEY) as stack:
        yield stack


@pytest.fixture
def site(audited: Stack, tmp_path: Path) -> Site:
    """With the settings that docs/reconcile.md asks for."""
    site = Site(audited, tmp_path)
    site.tune("sys", "lease_id")
    site.tune("transit", "input")
    site.begin()
    return site


def test_steps_that_did_what_they_say(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.step("exec", "migrate", "--", "true")
    site.step("revoke", "--all")
    run = site.reconcile()
    assert normalised(run.stdout) == (
        "audit.log: N lines, TIME to TIME\n"
        "On record: 1 chain, 2 credentials, of which Vault issued 2\n"
        "Issued by Vault: 2\n"
        "\n"
        "0 findings\n"
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_steps_that_did_what_they_say_in_a_log_as_it_is_by_default(site: Site) -> None:
    site.tune("sys")
    site.tune("transit")
    site.begin()
    site.step("exec", "verify", "--", "true")
    site.step("exec", "migrate", "--", "true")
    run = site.reconcile()
    assert normalised(run.stdout) == (
        "audit.log: N lines, TIME to TIME\n"
        "On record: 1 chain, 2 credentials, of which Vault issued 2\n"
        "Issued by Vault: 2\n"
        "\n"
        "Cannot be told from this audit log:\n"
        "  which lease a revocation was of: the log has it as a hash, so it is taken for the one lease of its token. "
        "OpenBao tells it with: bao write sys/mounts/sys/tune audit_non_hmac_request_keys=lease_id\n"
        "  which checkpoints Vault signed: transit tells it with: "
        "bao write sys/mounts/transit/tune audit_non_hmac_request_keys=input\n"
        "\n"
        "0 findings\n"
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_credential_past_every_ledger(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    lease = site.issue()
    site.touch()
    run = site.reconcile()
    assert normalised(run.stdout) == (
        "audit.log: N lines, TIME to TIME\n"
        "On record: 1 chain, 1 credential, of which Vault issued 1\n"
        "Issued by Vault: 2\n"
        "\n"
        f"never-revoked (unknown): nobody revoked {CREDS}/LEASE by TIME, where this part of the audit log ends; "
        "when it ends by itself is not known here\n"
        f"  audit   audit.log:N  TIME  response read {CREDS} request UID\n"
        "\n"
        f"unrecorded (unknown): Vault issued {CREDS}/LEASE at TIME to a root token, and no ledger here has it\n"
        f"  audit   audit.log:N  TIME  response read {CREDS} request UID\n"
        "\n"
        "2 findings\n"
    )
    assert (run.returncode, run.stderr) == (1, "")
    findings = site.found()
    assert [finding["lease_id"] for finding in findings] == [lease, lease]
    (entry,) = findings[1]["evidence"]
    line = json.loads(Path(entry["file"]).read_bytes().split(b"\n")[entry["line"] - 1])
    assert (line["request"]["id"], line["time"]) == (entry["request_id"], entry["time"])
    assert line["response"]["secret"]["lease_id"] == lease


def test_a_credential_taken_out_of_its_ledger(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.step("exec", "migrate", "--", "true")
    (chain,) = site.chains()
    records = site.records()
    gone = next(record for record in records if record.get("profile") == "verify")["credential_uid"]
    site.rewrite(chain, [record for record in records if record.get("credential_uid") != gone])
    chain.with_suffix(".checkpoints").unlink()
    findings = site.found()
    unrecorded = [each for each in findings if each["code"] == "unrecorded"]
    assert [(each["certainty"], normalised(each["meaning"])) for each in unrecorded] == [
        (
            "unknown",
            f"Vault issued {CREDS}/LEASE at TIME to role app-verify, repository acme/shop, run_id 9000000001, "
            "run_attempt 1, and no ledger here has it; its header names a step that CHAIN.jsonl has",
        )
    ]


def test_the_checkpoints_of_a_chain_that_was_rewritten(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.step("exec", "migrate", "--", "true")
    (chain,) = site.chains()
    records = site.records()
    chain.with_suffix(".checkpoints").unlink()
    site.rewrite(chain, [{**record, "profile": "other"} if "profile" in record else record for record in records])
    assert codes(site.found()) == [("unshown-checkpoint", "tampered")] * 4


def test_a_chain_that_was_cut_with_its_checkpoints(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    (chain,) = site.chains()
    beside = chain.with_suffix(".checkpoints")
    whole = chain.read_bytes().split(b"\n"), beside.read_bytes().split(b"\n")
    site.step("exec", "migrate", "--", "true")
    signed = [made.size for made in checkpoints(site.stack, chain)][2:]
    chain.write_bytes(b"\n".join(whole[0]))
    beside.write_bytes(b"\n".join(whole[1]))
    findings = site.found()
    assert codes(findings) == [
        ("unshown-checkpoint", "tampered"),
        ("unshown-checkpoint", "tampered"),
        ("unrecorded", "unknown"),
    ]
    assert [normalised(each["meaning"]) for each in findings[:2]] == [
        f"Vault signed {size} records of CHAIN.jsonl at TIME, and 4 are there now" for size in signed
    ]


def test_checkpoints_that_are_gone(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    (chain,) = site.chains()
    chain.with_suffix(".checkpoints").unlink()
    findings = site.found()
    assert [(each["code"], each["certainty"], normalised(each["meaning"])) for each in findings] == [
        (
            "unshown-checkpoint",
            "incomplete",
            f"the checkpoint of CHAIN.jsonl that Vault signed at TIME, over {size} records, is not shown",
        )
        for size in (3, 4)
    ]


def test_checkpoints_that_are_gone_are_counted_where_the_log_has_hashes(site: Site) -> None:
    site.tune("transit")
    site.begin()
    site.step("exec", "verify", "--", "true")
    (chain,) = site.chains()
    beside = chain.with_suffix(".checkpoints")
    beside.write_bytes(beside.read_bytes().split(b"\n")[0] + b"\n")
    (finding,) = site.found()
    assert (finding["code"], finding["certainty"], finding["meaning"]) == (
        "unshown-checkpoint",
        "unknown",
        "Vault signed 2 times with transit/keys/stepcreds-71717171 and the ledgers show 1 checkpoint of it; what was "
        "signed the audit log has as a hash",
    )


def test_a_run_whose_ledger_is_gone(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.stack.issuer.claims["run_id"] = "9000000002"
    try:
        site.step("exec", "verify", "--", "true", GITHUB_RUN_ID="9000000002")
    finally:
        site.stack.issuer.claims["run_id"] = "9000000001"
    _, second = site.chains()
    second.unlink()
    second.with_suffix(".checkpoints").unlink()
    findings = site.found()
    assert codes(findings) == [
        ("silent-login", "unknown"),
        ("unrecorded", "unknown"),
        ("unshown-checkpoint", "unknown"),
    ]
    assert [normalised(each["meaning"]) for each in findings] == [
        "a job logged in 1 time from TIME on (role app-verify, repository acme/shop, run_id 9000000002, run_attempt 1) "
        "and was issued 1 credential; no ledger here is of that run",
        f"Vault issued {CREDS}/LEASE at TIME to role app-verify, repository acme/shop, run_id 9000000002, "
        "run_attempt 1, and no ledger here has it",
        "Vault signed 4 records of a chain that is not here (repository 71717171, run 9000000002, attempt 1), the last "
        "at TIME: HASH",
    ]


def test_no_ledger_at_all(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    (chain,) = site.chains()
    chain.unlink()
    chain.with_suffix(".checkpoints").unlink()
    both = [("silent-login", "unknown"), ("unrecorded", "unknown")]
    assert codes(site.found("--role", "app-verify")) == both
    assert codes(site.found("--mount", "database")) == both
    assert codes(site.found("--role", "app-migrate")) == []


def test_a_lease_that_vault_never_gave(site: Site) -> None:
    site.step("exec", "verify", "--", "true")
    site.pass_by(6)
    site.step("exec", "verify", "--", "true")
    site.pass_by(6)
    (chain,) = site.chains()
    records = site.records()
    forged = json.loads(json.dumps(records[4:7]).replace(records[5]["lease_id"], f"{CREDS}/{'A' * 24}"))
    uid = "cccccccc-0000-4000-8000-000000000000"
    forged[1]["request_id"]["creds"] = uid
    site.rewrite(chain, [*records, *({**each, "credential_uid": uid, "token_accessor": "x"} for each in forged)])
    (finding,) = site.found()
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "invented",
        "tampered",
        f"the ledger says that Vault issued {CREDS}/LEASE at TIME; the audit log covers that time, and Vault did not",
    )
    assert [entry["what"] for entry in finding["evidence"]] == [
        "credential.requested",
        "credential.issued",
        "credential.closed",
    ]


def test_a_step_that_was_killed_and_whose_credential_expired(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace("ttl: 120s", "ttl: 10s"))
    issued = site.killed("verify")
    site.pass_by(12)
    (finding,) = site.found()
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "never-revoked",
        "incomplete",
        f"{CREDS}/LEASE expired at TIME by its TTL, nobody revoked it",
    )
    assert finding["lease_id"] == issued["lease_id"]
    assert [(entry["side"], entry["what"]) for entry in finding["evidence"]] == [
        ("ledger", "credential.requested"),
        ("ledger", "credential.issued"),
        ("audit", f"response read {CREDS}"),
    ]
