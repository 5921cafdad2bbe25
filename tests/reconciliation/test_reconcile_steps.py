"""Real steps, and what somebody does to their ledgers or at OpenBao, found by the audit log."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconcile_runs import CREDS, KEY, Copy, Site, codes, normalised
from signatures import OURS, checkpoints
from stepcreds.clock import SystemClock, rfc3339
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import dsse
from stepcreds.ledger.canonical import canonical
from stepcreds.trust.file import dumps
from stepcreds.trust.keys import Trust, TrustedKey


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


@pytest.fixture(scope="module")
def left(audited: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two steps and the end of their job, and the time about them: the ledger, and the audit log."""
    folder = tmp_path_factory.mktemp("left")
    site = Site(audited, folder)
    site.tune("sys", "lease_id")
    site.tune("transit", "input")
    site.begin()
    site.pass_by(-6)
    site.pass_by(6)  # from here on it is as late as it is
    site.step("exec", "verify", "--", "true")
    site.step("exec", "migrate", "--", "true")
    site.step("revoke", "--all")
    site.pass_by(6)
    site.audit()
    (folder / "pinned.json").write_text(dumps(Trust("", keys_of(audited))))
    return folder


@pytest.fixture
def done(left: Path, tmp_path: Path) -> Copy:
    return Copy(tmp_path / "work", left)


def keys_of(stack: Stack) -> tuple[TrustedKey, ...]:
    """What a reviewer pins of OpenBao's key for the stack's repository."""
    with stack.client() as vault:
        said = vault.read(OURS)["data"]["keys"]["1"]
    begin = rfc3339(SystemClock().now() - 3600)
    return (TrustedKey("checkpoint", stack.address, OURS, 1, said["public_key"], begin, None),)


def test_steps_that_did_what_they_say(done: Copy) -> None:
    run = done.reconcile()
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


def test_a_credential_taken_out_of_its_ledger(done: Copy) -> None:
    site = done
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


def test_the_checkpoints_of_a_chain_that_was_rewritten(done: Copy) -> None:
    site = done
    (chain,) = site.chains()
    records = site.records()
    chain.with_suffix(".checkpoints").unlink()
    site.rewrite(chain, [{**record, "profile": "other"} if "profile" in record else record for record in records])
    assert codes(site.found()) == [("unshown-checkpoint", "tampered")] * 4


def test_a_chain_that_was_cut_with_its_checkpoints(done: Copy, audited: Stack) -> None:
    site = done
    (chain,) = site.chains()
    signed = [made.size for made in checkpoints(audited, chain)][2:]
    cut(site, 4, 2)
    findings = site.found()
    assert codes(findings) == [
        ("unshown-checkpoint", "tampered"),
        ("unshown-checkpoint", "tampered"),
        ("unrecorded", "unknown"),
    ]
    assert [normalised(each["meaning"]) for each in findings[:2]] == [
        f"Vault signed {size} records of CHAIN.jsonl at TIME, and 4 are there now" for size in signed
    ]


def cut(site: Site, records: int, checkpoints: int) -> tuple[Path, Path]:
    """Leave so many of each, the first ones. The chain's files."""
    (chain,) = site.chains()
    beside = chain.with_suffix(".checkpoints")
    for path, count in ((chain, records), (beside, checkpoints)):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))
    return chain, beside


def verified(site: Site) -> tuple[int, str]:
    run = site.stepcreds("ledger", "verify", "--trust", "pinned.json", "--require-signed", str(site.ledgers))
    return run.returncode, normalised(run.stdout)


def test_what_verify_does_not_find(done: Copy) -> None:
    """The last credential cut with its checkpoints, and the job closed once more: nobody signs that record."""
    records, (chain, _) = done.records(), cut(done, 4, 2)
    done.rewrite(chain, [*records[:4], {**records[-1], "entries": 5}])
    code, said = verified(done)
    assert (code, "ok, 5 records, closed, signed" in said) == (0, True), said
    findings = done.found()
    assert codes(findings) == [
        ("unshown-checkpoint", "tampered"),
        ("unshown-checkpoint", "tampered"),
        ("unrecorded", "unknown"),
    ]


def test_what_verify_does_not_find_and_an_honest_step_signs(done: Copy, audited: Stack) -> None:
    """The job goes on after a credential was cut whole with its checkpoints: the step that follows vouches for that."""
    log = done.log.read_bytes()
    cut(done, 1, 0)
    live = Site(audited, done.folder)
    live.step("exec", "migrate", "--", "true")
    code, said = verified(done)
    assert (code, "ok, 5 records, open, signed" in said) == (0, True), said
    done.log.write_bytes(log + live.audit("later.log").read_bytes())
    found = codes(done.found())
    assert found.count(("unshown-checkpoint", "tampered")) == 4
    assert [each for each in found if each[0] == "unrecorded"] == [("unrecorded", "unknown")] * 2


def test_checkpoints_that_are_gone(done: Copy) -> None:
    site = done
    cut(site, 4, 0)
    site.log.write_bytes(b"".join(line + b"\n" for line in site.lines if b"app-migrate" not in line))
    findings = [each for each in site.found() if each["certainty"] == "incomplete"]
    assert [(each["code"], each["certainty"], normalised(each["meaning"])) for each in findings] == [
        (
            "unshown-checkpoint",
            "incomplete",
            f"the checkpoint of CHAIN.jsonl that Vault signed at TIME, over {size} records, is not shown",
        )
        for size in (3, 4)
    ]


@pytest.fixture(scope="module")
def hashed(audited: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a step left where the log has a hash of what was signed; and the keys that a reviewer has pinned."""
    folder = tmp_path_factory.mktemp("hashed")
    site = Site(audited, folder)
    site.tune("transit")
    site.begin()
    site.step("exec", "verify", "--", "true")
    site.audit()
    (folder / "pinned.json").write_text(dumps(Trust("", keys_of(audited))))
    return folder


def made_up(line: bytes) -> bytes:
    """A checkpoint that nobody signed, of the same chain."""
    envelope = dsse.loads(line)
    payload = canonical({**json.loads(envelope.payload), "head": "0" * 64})
    return dsse.dumps(envelope._replace(payload=payload, signatures=(envelope.signatures[0]._replace(sig=bytes(64)),)))


@pytest.mark.parametrize(
    ("beside", "trust", "shown"),
    [
        (lambda first, _: [first], [], 1),
        (lambda first, _: [first, first, first], [], 1),  # a line that was copied is none more
        (lambda first, _: [first, made_up(first)], ["--trust", "pinned.json"], 1),
        (lambda first, second: [first, second], ["--trust", "pinned.json"], 2),
        (lambda first, second: [first, second], [], 2),
    ],
    ids=["gone", "copied", "made up", "all", "all, by nobody's keys"],
)
def test_checkpoints_are_counted_where_the_log_has_hashes(
    hashed: Path, tmp_path: Path, beside: Callable[[bytes, bytes], list[bytes]], trust: list[str], shown: int
) -> None:
    site = Copy(tmp_path / "work", hashed)
    (chain,) = site.chains()
    path = chain.with_suffix(".checkpoints")
    path.write_bytes(b"".join(line + b"\n" for line in beside(*path.read_bytes().splitlines())))
    said = [(each["code"], each["certainty"], each["meaning"]) for each in site.found(*trust)]
    counted = (
        "unshown-checkpoint",
        "unknown",
        "Vault signed 2 texts with transit/keys/stepcreds-71717171 and the ledgers show 1 checkpoint of it; what was "
        "signed the audit log has as a hash",
    )
    assert said == ([] if shown == 2 else [counted])


def test_checkpoints_that_cannot_be_read(done: Copy) -> None:
    """The rest is compared all the same."""
    (chain,) = done.chains()
    beside = chain.with_suffix(".checkpoints")
    beside.unlink()
    beside.mkdir()
    run = done.reconcile("--json")
    said = f"stepcreds: error: The ledger cannot use {beside}: it is not a regular file"
    assert (run.returncode, run.stderr.splitlines()[0]) == (1, said)
    assert json.loads(run.stdout)["ledgers"] == {"chains": 1, "credentials": 2, "confirmed": 2}


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


def test_a_lease_that_vault_never_gave(done: Copy) -> None:
    site = done
    (chain,) = site.chains()
    records = site.records()
    issued = [record for record in records if record["kind"] == "credential.issued"][-1]
    own = [each for each in records if each.get("credential_uid") == issued["credential_uid"]]
    wanted = ("credential.requested", "credential.issued", "credential.closed")
    own = [each for each in own if each["kind"] in wanted]
    forged = json.loads(json.dumps(own).replace(issued["lease_id"], f"{CREDS}/{'A' * 24}"))
    uid = "cccccccc-0000-4000-8000-000000000000"
    forged[1]["request_id"]["creds"] = uid
    site.rewrite(chain, [*records, *({**each, "credential_uid": uid, "token_accessor": "x"} for each in forged)])
    (finding,) = site.found()
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "invented",
        "tampered",
        f"the ledger says that Vault issued {CREDS}/LEASE at TIME; the audit log covers that time, and Vault did not",
    )
    assert [entry["what"] for entry in finding["evidence"]] == list(wanted)


def test_a_file_that_repeats_ids_takes_the_place_of_none(done: Copy) -> None:
    """Whoever reads a ledger can repeat its ids, in a file that comes before it by name."""
    site = done
    (chain,) = site.chains()
    issued = [record for record in site.records() if record["kind"] == "credential.issued"]
    text = json.dumps(site.records())
    for number, record in enumerate(issued):
        text = text.replace(record["lease_id"], f"{CREDS}/{'AB'[number] * 24}")
        text = text.replace(record["request_id"]["creds"], f"cccccccc-0000-4000-8000-00000000000{number}")
    site.rewrite(chain.with_name(f"0-{chain.name}"), json.loads(text))
    findings = site.found()
    assert codes(findings) == [("invented", "tampered")] * len(issued)
    assert all("AAAA" in each["meaning"] or "BBBB" in each["meaning"] for each in findings)
    shutil.copy(chain, chain.with_name(f"1-{chain.name}"))  # the same in whole: it counts once
    assert len(site.found()) == len(findings)


def test_a_step_that_was_killed_and_whose_credential_expired(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace("ttl: 120s", "ttl: 10s"))
    issued = site.killed("verify")
    time.sleep(11)  # OpenBao logs nothing of what it does then
    site.touch()
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
