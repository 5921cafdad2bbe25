"""The same audit log in every form that one is kept in; logs that say nothing of the ledgers; hostile text in both."""

from __future__ import annotations

import gzip
import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile_runs import CREDS, KEY, Copy, Site, codes, normalised
from stepcreds.cli.ledger_reconcile_text import as_json, as_text
from stepcreds.devstack.stack import Stack
from stepcreds.reconciliation.reconciling import reconcile
from stepcreds.reconciliation.scope import Wanted
from stepcreds.review.sources import local

SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#reconcile-audit\n"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of two steps, each with the audit log from before its beginning to its end, and of a login with hostile claims."""
    folder = tmp_path_factory.mktemp("left")
    with Stack(ledger_key=KEY) as stack:
        site = Site(stack, folder)
        site.tune("sys", "lease_id")
        site.tune("transit", "input")
        site.begin()
        site.touch()
        site.step("exec", "verify", "--", "true")
        site.touch()
        site.audit("first.log")
        site.step("exec", "migrate", "--", "true")
        site.touch()
        site.audit()
        site.begin()
        with stack.login("app-verify", repository="a\x1b[2J\u202e\n::error::b##vso[c", run_id="\x1b]0;x\x07") as vault:
            vault.read(CREDS)
        site.audit("hostile.log")
    yield folder


@pytest.fixture
def site(left: Path, tmp_path: Path) -> Copy:
    return Copy(tmp_path / "work", left)


@pytest.mark.parametrize("form", ["gzip", "spaced", "prefixed", "noisy", "twice", "folder", "rotated"])
def test_forms_of_a_log(site: Copy, form: str) -> None:
    lines = site.lines
    place = "other.log"
    if form == "gzip":
        (site.folder / place).write_bytes(
            gzip.compress(site.log.read_bytes()[:2000]) + gzip.compress(site.log.read_bytes()[2000:])
        )
    elif form == "spaced":
        site.write(place, [json.dumps(json.loads(line)).encode() for line in lines])
    elif form == "prefixed":
        site.write(place, [b"@cee: " + line for line in lines])
    elif form == "noisy":
        noise = [
            b"",
            b"\x00\xff\xfe",
            b"{",
            b"[" * 100_000,
            b'{"path":"database/creds/' + b"x" * 6_000_000,
            b'"path":"sys/leases/re',
        ]
        noise += [
            b'{"time":"no","type":"response","request":{"path":"sys/leases/revoke"}}',
            b'{"time":1,"type":"x"}',
            b"null",
        ]
        site.write(place, [part for line in lines for part in (line, *noise[:2])] + noise)
    elif form == "twice":
        site.write(place, lines + lines)
    elif form == "folder":
        place = "logs"
        (site.folder / place / "node-1").mkdir(parents=True)
        site.write("logs/node-1/audit.log.1", lines[:20])
        (site.folder / "logs/audit.log.2.gz").write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines[20:])))
    elif form == "rotated":
        place = "part-*.log"
        for number, start in enumerate(range(0, len(lines), 10)):
            site.write(f"part-{99 - number}.log", lines[start : start + 10])
    whole = json.loads(site.reconcile("--json").stdout)
    run = site.reconcile("--json", audit=place)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout)
    assert found["ledgers"] == {"chains": 1, "credentials": 2, "confirmed": 2}
    assert (found["audit"]["issued"], found["audit"]["covers"]) == (2, whole["audit"]["covers"])


def test_standard_input(site: Copy) -> None:
    run = site.reconcile(audit="-", stdin=site.log.read_bytes())
    assert (run.returncode, run.stderr) == (0, "")
    assert normalised(run.stdout).startswith("-: N lines, TIME to TIME\nOn record: 1 chain, 2 credentials, ")


@pytest.mark.parametrize("form", ["plain", "gzip"])
def test_a_log_that_was_cut(site: Copy, form: str) -> None:
    data = site.log.read_bytes()
    if form == "gzip":
        (site.folder / "cut.log").write_bytes(gzip.compress(data + os.urandom(100_000))[:-5000])
    else:
        (site.folder / "cut.log").write_bytes(data[:-100])
    run = site.reconcile(audit="cut.log")
    assert (run.returncode, run.stderr) == (0, "")
    assert ", it ends in the middle of a line\n" in run.stdout


def test_an_answer_that_is_missing(site: Copy) -> None:
    """A request whose answer was lost with the end of the log."""
    answer = next(
        number for number, line in enumerate(site.lines) if b'"secret":{"lease_id":"database/creds/app-mig' in line
    )
    site.write("short.log", site.lines[:answer])
    findings = site.found(audit="short.log")
    assert codes(findings) == [("unanswered", "unknown")]
    assert normalised(findings[-1]["meaning"]) == (
        "database/creds/app-migrate was asked for at TIME, and the log has no answer: whether something was issued it "
        "does not say"
    )


def test_a_gap(site: Copy) -> None:
    first = (site.folder / "first.log").read_bytes().split(b"\n")[:-1]
    later = [re.sub(rb'^\{"time":"(....)', lambda match: b'{"time":"2099', line) for line in first[:1]]
    site.write("later.log", later)
    run = site.stepcreds("ledger", "reconcile", "--audit", "first.log", "--audit", "later.log")
    assert run.returncode == 1
    assert normalised(run.stdout) == (
        "first.log: N lines, TIME to TIME\n"
        "later.log: 1 line, TIME to TIME\n"
        "The audit log has 1 gap: it covers TIME to TIME, TIME to TIME\n"
        "On record: 1 chain, 2 credentials, of which Vault issued 1\n"
        "Issued by Vault: 1\n"
        "\n"
        "not-covered (unknown): 1 credential on record, of TIME: the audit log covers TIME to TIME and TIME to TIME, and "
        "says nothing of them\n"
        "  ledger  CHAIN.jsonl:N  TIME  credential.issued\n"
        "\n"
        "1 finding\n"
    )


def test_a_window(site: Copy) -> None:
    shown = json.loads(site.reconcile("--json", "--since", "2026-01-01", "--role", "app-verify").stdout)
    assert (shown["ledgers"]["credentials"], shown["audit"]["issued"], shown["findings"]) == (1, 1, [])
    shown = json.loads(site.reconcile("--json", "--mount", "database", "--until", "2099-01-01").stdout)
    assert (shown["ledgers"]["credentials"], shown["audit"]["issued"], shown["findings"]) == (2, 2, [])
    run = site.reconcile("--since", "yesterday")
    assert (run.returncode, run.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (("--role", "app-verify"), {"role": "app-else"}, ("other-job", "tampered")),
        (("--since", "2026-01-01"), {"issue_time": "2025-01-01T00:00:00.000Z"}, ("other-time", "unknown")),
    ],
)
def test_what_a_ledger_says_takes_nothing_out_of_a_window(
    site: Copy, arguments: tuple[str, ...], said: dict[str, str], expected: tuple[str, str]
) -> None:
    """Vault issued it then, and to that role; nothing of a ledger has to be signed."""
    (chain,) = site.chains()
    records = [
        {**record, **{name: text for name, text in said.items() if name in record and "verify" in json.dumps(record)}}
        for record in site.records()
    ]
    site.rewrite(chain, records)
    assert expected in codes(site.found(*arguments))


def test_what_the_role_of_a_step_was_issued_by_another_engine(site: Copy) -> None:
    """Its policy may have more in it than stepcreds asks for; no ledger names that engine, and no header that step."""
    answer = next(line for line in site.lines if b'"secret":{"lease_id":"database/creds/app-verify' in line)
    entry = json.loads(answer)
    entry["request"] |= {"id": "eeeeeeee-0000-4000-8000-000000000002", "headers": None, "path": "aws/creds/admin"}
    entry["response"]["secret"]["lease_id"] = "aws/creds/admin/" + "C" * 24
    site.write("other.log", [*site.lines, json.dumps(entry, separators=(",", ":")).encode()])
    assert ("unrecorded", "tampered") in codes(site.found(audit="other.log"))


def test_a_window_in_which_nothing_is_on_record(site: Copy) -> None:
    """What to look for the ledgers of other times say."""
    answer = next(line for line in site.lines if b'"secret":{"lease_id":"database/creds/app-verify' in line)
    entry = json.loads(answer)
    entry["time"] = "2099-01-01T00:00:00Z"
    entry["auth"] = {"policies": ["root"]}
    entry["request"] |= {"id": "eeeeeeee-0000-4000-8000-000000000001", "headers": None}
    entry["response"]["secret"]["lease_id"] = f"{CREDS}/{'B' * 24}"
    site.write("other.log", [*site.lines, json.dumps(entry, separators=(",", ":")).encode()])
    assert codes(site.found("--since", "2098-01-01", audit="other.log")) == [
        ("never-revoked", "unknown"),
        ("unrecorded", "unknown"),
    ]
    assert refused(site.reconcile("--since", "2099-06-01", audit="other.log")) == (
        "stepcreds: error: The audit log covers TIME to TIME, and nothing of the time that was asked for\n"
        "  cause: It is the log of another time, or a part of it is missing.\n"
        "  fix: Name all files of the log that are of that time, or change --since and --until.\n" + SEE
    )


def test_a_ledger_with_times_of_its_own(site: Copy) -> None:
    (chain,) = site.chains()
    text = re.sub(r"(\d{4}-\d\d-\d\dT)\d\d(?=:\d\d:\d\d\.\d{3}Z)", lambda match: f"{match[1]}25", chain.read_text())
    assert "T25:" in text  # no hour, so that all its times are none
    records = [json.loads(line) for line in text.splitlines()]
    site.rewrite(chain, records)
    assert {code for code, _ in codes(site.found())} <= {"never-revoked", "not-covered", "unshown-checkpoint"}
    site.rewrite(
        chain, [json.loads(line.replace("T25:", "T00:").replace("-11-", "-01-")) for line in text.splitlines()]
    )
    dated = [finding for finding in site.found() if finding["code"] == "other-time"]
    assert [(each["certainty"], normalised(each["meaning"])) for each in dated] == [
        (
            "unknown",
            f"Vault issued database/creds/app-{name}/LEASE at TIME, and the ledger says at TIME: its other times are to be "
            "doubted as well",
        )
        for name in ("verify", "migrate")
    ]


def test_a_record_that_borrows_a_request(site: Copy) -> None:
    (chain,) = site.chains()
    records = site.records()
    uid = "cccccccc-0000-4000-8000-000000000000"
    borrowed = [{**each, "credential_uid": uid} for each in records[1:3]]
    borrowed[1]["lease_id"] = None
    site.rewrite(chain, [*records, *borrowed])
    (finding,) = [each for each in site.found() if each["code"] == "other-lease"]
    assert (finding["certainty"], normalised(finding["meaning"])) == (
        "tampered",
        f"Vault answered the request on record with {CREDS}/LEASE, and the ledger has no lease for it",
    )


def test_a_revocation_that_was_only_queued(site: Copy) -> None:
    lease = next(str(record["lease_id"]) for record in site.records() if record["kind"] == "credential.issued").encode()
    lines = [line.replace(b'"sync":true', b'"sync":false') if lease in line else line for line in site.lines]
    assert lines != site.lines
    site.write("queued.log", lines)
    (finding,) = site.found(audit="queued.log")
    assert (finding["code"], finding["certainty"], normalised(finding["meaning"])) == (
        "no-revocation",
        "tampered",
        f"the ledger says that {CREDS}/LEASE was revoked at TIME, and the audit log, which covers that time, has no such "
        "revocation; at TIME it was asked to do so some time (sync=false)",
    )


@pytest.mark.parametrize("increment", [60, 10**30, -(10**30), True, "x", None])
def test_a_renewal_for_as_long_as_somebody_liked(site: Copy, increment: object) -> None:
    """What a request asks for anybody may make up; Vault gives what it gives."""
    number, answer = next(
        each for each in enumerate(site.lines) if b'"secret":{"lease_id":"database/creds/app-verify' in each[1]
    )
    renewal = json.loads(answer)
    lease = renewal["response"]["secret"]["lease_id"]
    renewal["request"] |= {"id": "eeeeeeee-0000-4000-8000-000000000001", "path": "sys/leases/renew"}
    renewal["request"]["data"] = {"lease_id": lease, "increment": increment}
    site.write("renewed.log", [*site.lines[: number + 1], json.dumps(renewal, separators=(",", ":")).encode()])
    (chain,) = site.chains()
    site.rewrite(chain, [record for record in site.records()[:4] if record["kind"] != "credential.closed"])
    (finding,) = [each for each in site.found(audit="renewed.log") if each["code"] == "never-revoked"]
    assert finding["certainty"] == "unknown"
    assert normalised(finding["meaning"]) == (
        f"nobody revoked {CREDS}/LEASE by TIME, where this part of the audit log ends; by its TTL it ends at TIME"
    )


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    float("nan"),
    "",
    "x",
    "hmac-sha256:0",
    "\x1b[2J",
    [],
    {},
    ["a"],
    {"a": 1},
    [[1]],
)


def spoiled(value: Any, chance: random.Random) -> Any:
    """`value` with something odd at a place in it."""
    if chance.random() < 0.05 or not isinstance(value, (dict, list)) or not value:
        return chance.choice(ODD)
    changed = value.copy()
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    changed[key] = spoiled(value[key], chance)
    return changed


@pytest.mark.parametrize("seed", range(30))
def test_odd_values_anywhere(site: Copy, seed: int) -> None:
    """In the log and in the ledger: whatever comes of it, it is no traceback, and can be shown."""
    chance = random.Random(seed)  # noqa: S311
    (chain,) = site.chains()
    site.write(
        "odd.log", [json.dumps(spoiled(json.loads(line), chance)).encode() for line in site.lines * 3] + site.lines
    )
    lines = [json.dumps(spoiled(record, chance)) for record in site.records() for _ in range(3)]
    chain.write_text("\n".join([*chain.read_text().splitlines(), *lines, ""]))
    result = reconcile(local([chain]), [str(site.audit("odd.log"))], Wanted())
    assert as_text(result, colour=True)
    assert json.dumps(as_json(result))


def refused(run: subprocess.CompletedProcess[str]) -> str:
    assert (run.returncode, run.stdout) == (2, "")
    return normalised(run.stderr)


def test_a_log_of_another_time(site: Copy) -> None:
    site.write("other.log", [re.sub(rb'^\{"time":"....', b'{"time":"2021', line) for line in site.lines[:1]])
    assert refused(site.reconcile(audit="other.log")) == (
        "stepcreds: error: The audit log covers TIME to TIME, and the credentials on record are of TIME to TIME\n"
        "  cause: It is the log of another time, or of another Vault, or a part of it is missing.\n"
        "  fix: Name all files of the log that are of that time; rotated ones as well.\n" + SEE
    )


def test_a_log_of_another_vault(site: Copy) -> None:
    """All that identifies anything is different, though the roles and paths are called the same, and the time is that."""

    def other(line: bytes) -> bytes:
        entry: dict[str, Any] = json.loads(line)
        entry["request"].pop("headers", None)
        text = json.dumps(entry, separators=(",", ":"))
        text = re.sub(r"(?<=creds/app-)(\w+)/\w+", r"\1/AAAAAAAAAAAAAAAAAAAAAAAA", text)
        return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", "00000000-0000-4000", text).encode()

    early, late = (
        re.sub(rb'^(\{"time":"....)-(..)-(..)T..', rb"\1-\2-\3T" + hour, site.lines[0]) for hour in (b"00", b"23")
    )
    site.write("other.log", [early, *map(other, site.lines), late])
    run = site.reconcile(audit="other.log")
    assert re.sub(r"http://[^\s;]+", "ADDRESS", refused(run)) == (
        "stepcreds: error: The audit log knows nothing of the 2 credentials on record: no lease, no request, no entity\n"
        "  cause: It is the log of another Vault than ADDRESS; or all of these ledgers are invented.\n"
        "  fix: Name the audit log of that Vault; for a cluster, those of all its nodes.\n" + SEE
    )


def test_what_is_no_log(site: Copy) -> None:
    assert refused(site.reconcile(audit="stepcreds.yml")) == (
        "stepcreds: error: There is no entry of an audit log in stepcreds.yml\n"
        "  cause: It is empty, the log of another program, or written with format=jsonx.\n"
        "  fix: Name the file of a file audit device with its usual format, json.\n" + SEE
    )
    assert refused(site.reconcile(audit="missing/*.log")) == (
        "stepcreds: error: There is no audit log at missing/*.log\n"
        "  fix: Name files, folders, patterns in quotes, or - for standard input.\n" + SEE
    )
    (site.folder / "bad.gz").write_bytes(b"\x1f\x8bno gzip at all")
    assert refused(site.reconcile(audit="bad.gz")).startswith(
        "stepcreds: error: The audit log bad.gz cannot be read: it is damaged ("
    )


def test_a_folder_that_nobody_can_look_into(site: Copy) -> None:
    """There may be an audit log in it, so the comparison would not be whole."""
    logs = site.folder / "logs"
    logs.mkdir()
    shutil.copy(site.log, logs)
    place = os.open(logs, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=place)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    said = (
        r"stepcreds: error: The audit log logs/[d/]+… \([0-9]+ more characters\) cannot be read: File name too long\n"
    )
    assert re.fullmatch(said + re.escape(SEE), refused(site.reconcile(audit="logs")))


def test_nothing_to_compare_with(site: Copy) -> None:
    (site.folder / "empty").mkdir()
    assert refused(site.reconcile("empty")) == (
        "stepcreds: error: There is nothing to compare the audit log with: no credential is on record\n"
        "  cause: No step has asked for one yet, or it was removed.\n"
        "  fix: Name the files or folders. Where there should be none, --role or --mount says what to look for.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )


def test_hostile_text(site: Copy) -> None:
    """Of the claims of a job, of the names of files, and of a ledger."""
    (chain,) = site.chains()
    records = site.records()
    evil = f"{CREDS}/\x1b[31m\u2028::error::##vso[x"
    site.rewrite(
        chain, [{**each, "lease_id": evil} if each["kind"] == "credential.issued" else each for each in records]
    )
    chain = chain.rename(chain.with_name("\x1b[1m##vso[a]\u202e.jsonl"))
    lines = [*site.lines, *(site.folder / "hostile.log").read_bytes().split(b"\n")[:-1]]
    site.write("\x1b[5mevil.log", lines)
    for form in ([], ["--json"]):
        run = site.reconcile(*form, audit="\x1b[5mevil.log")
        assert run.returncode == 1
        said = run.stdout + run.stderr
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", said)
        assert "##vso[" not in said
        assert not re.search(r"(?m)^\s*::", said)
    assert "repository a\\x1b[2J\\u202e ::error::b#\\#vso[c" in site.reconcile(audit="\x1b[5mevil.log").stdout


def test_a_terminal(site: Copy) -> None:
    """Colours for what was found, and a line of progress that is gone at the end."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "stepcreds", "ledger", "reconcile", "--audit", "audit.log"],
        cwd=site.folder,
        env={"HOME": str(site.folder), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert run.wait() == 0
    assert b"Reading the audit log: megabytes" in shown
    assert shown.endswith(b"\x1b[32m0 findings\x1b[0m\r\n")
