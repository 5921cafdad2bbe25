"""`stepcreds ledger show` and `verify` as child processes, and everything they print."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_samples import (
    FAILED,
    JOB,
    NOT_ISSUED,
    NOW,
    UIDS,
    UNPROVEN,
    closed,
    issued,
    leaked,
    open_journal,
    records,
    relinked,
    requested,
    write_ledger,
)

from manual_clock import ManualClock

CONFIG = """\
version: 1
vault:
  address: https://vault.example.com:8200
ledger:
  path: ledger
profiles:
  migrate:
    creds: database/creds/app-migrate
    database: postgresql://db.internal:5432/app?sslmode=verify-full
    access: ddl
    schemas: [app]
"""
UNSIGNED = "Not signed: this finds damage and changed lines, but not a chain that was rewritten as a whole.\n"


def ledger(folder: Path, *arguments: str) -> tuple[int, str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "ledger", *arguments],
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.returncode, run.stdout, run.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with an end of every kind: two job attempts, seven credentials."""
    journal = open_journal(tmp_path / "ledger")
    for event in (
        requested(UIDS[0]),
        issued(UIDS[0]),
        closed(UIDS[0]),
        requested(UIDS[1]),
        issued(UIDS[1]),
        closed(UIDS[1], UNPROVEN),
        requested(UIDS[2]),
        issued(UIDS[2]),
        closed(UIDS[2], FAILED),
        closed(UIDS[3], NOT_ISSUED, None),
        requested(UIDS[4]),
    ):
        journal.append(event)
    other = open_journal(tmp_path / "ledger", JOB._replace(run_id="4712", job="test"), ManualClock(NOW + 60))
    other.append(requested(UIDS[5]))
    other.append(issued(UIDS[5]))
    return tmp_path


DEPLOY = "ledger/4711-1-deploy-0eec0e3b3609.jsonl"
TEST = "ledger/4712-1-test-bc4291ed44c4.jsonl"

HEADER = (
    "TIME                  RUN    JOB     STEP      PROFILE    DECLARED    MEASURED      ALIVE          VERDICT"
    "                                      SIGNED    DB USER\n"
)
PROVEN_ROW = (
    "2026-11-22T08:26:40Z  4711   deploy  migrate   migrate    ddl         not measured  4.2 s          proven dead at "
    "2026-11-22T08:26:45Z          no        v-app-migrate-1\n"
)
UNPROVEN_ROWS = (
    "2026-11-22T08:26:40Z  4711   deploy  migrate   migrate    ddl         not measured  at most 120 s  revoked, not proven"
    "                          no        v-app-migrate-1\n"
    "2026-11-22T08:26:40Z  4711   deploy  migrate   migrate    ddl         not measured  at most 120 s  expires at "
    "2026-11-22T08:28:41.000Z          no        v-app-migrate-1\n"
)
NOT_ISSUED_ROW = (
    "2026-11-22T08:26:40Z  4711   deploy  migrate   migrate    -           not measured  -              not issued"
    "                                   no        -\n"
)
OPEN_ROWS = (
    "2026-11-22T08:26:40Z  4711   deploy  aaaaaaaa  migrate    ddl         -             -              not closed, may exist"
    "                        no        -\n"
    "2026-11-22T08:27:40Z  4712   test    aaaaaaaa  migrate    ddl         -             at most 120 s  not closed, expires "
    "at 2026-11-22T08:28:41Z  no        v-app-migrate-1\n"
)


def unsigned(count: int) -> str:
    """What `show` says under a table of `count` credentials of which none is signed."""
    return f"Unsigned: {count} of {count}. Whoever could write to such a file could have written all of it anew.\n"


def words(table: str) -> list[list[str]]:
    """The cells of a table, whatever the width of its columns."""
    return [line.split() for line in table.splitlines()]


def test_show_prints_a_line_for_each_credential(folder: Path) -> None:
    expected = HEADER + PROVEN_ROW + UNPROVEN_ROWS + NOT_ISSUED_ROW + OPEN_ROWS + unsigned(6)
    assert ledger(folder, "show", "ledger") == (0, expected, "")
    assert ledger(folder, "show", DEPLOY, TEST) == (0, expected, "")


def test_show_reads_the_folder_of_the_configuration(folder: Path) -> None:
    (folder / "stepcreds.yml").write_text(CONFIG)
    assert ledger(folder, "show") == ledger(folder, "show", "ledger")
    (folder / "elsewhere").mkdir()
    (folder / "stepcreds.yml").rename(folder / "other.yml")
    assert ledger(folder, "show", "--config", "other.yml") == ledger(folder, "show", "ledger")
    (folder / "ledger").rename(folder / "gone")
    assert ledger(folder, "show", "--config", "other.yml") == (0, "No ledger here yet.\n", "")


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("--unproven",), UNPROVEN_ROWS + OPEN_ROWS),
        (("--open",), OPEN_ROWS),
        (("--run", "4712"), OPEN_ROWS.splitlines(keepends=True)[1]),
        (("--run", "4711", "--open"), OPEN_ROWS.splitlines(keepends=True)[0]),
        (("--step", "migrate"), PROVEN_ROW + UNPROVEN_ROWS + NOT_ISSUED_ROW),
        (("--profile", "migrate"), PROVEN_ROW + UNPROVEN_ROWS + NOT_ISSUED_ROW + OPEN_ROWS),
    ],
)
def test_show_leaves_out_what_was_not_asked_for(arguments: tuple[str, ...], rows: str, folder: Path) -> None:
    code, out, err = ledger(folder, "show", *arguments, "ledger")
    table, count = words(HEADER + rows), rows.count("\n")
    if "--run" in arguments:  # then nobody needs to be told
        table = [[*line[:1], *line[2:]] for line in table]
    assert (code, words(out), err) == (0, table + words(unsigned(count)), "")


def test_show_says_when_nothing_is_left(folder: Path) -> None:
    assert ledger(folder, "show", "--profile", "other", "ledger") == (0, "No such credential on record.\n", "")


def test_show_as_json_has_every_record_whole(folder: Path) -> None:
    code, out, err = ledger(folder, "show", "--json", "ledger")
    entries = records(folder / DEPLOY)
    shown = json.loads(out)
    assert (code, err, len(shown)) == (0, "", 6)
    assert shown[0] == {
        "file": DEPLOY,
        "job": entries[0]["job"],
        "credential_uid": UIDS[0],
        "step_uid": entries[1]["step_uid"],
        "profile": "migrate",
        "verdict": "proven dead",
        "proven": True,
        "seconds_alive": 4.25,
        "requested": entries[1],
        "issued": entries[2],
        "measured": None,
        "closed": [entries[3]],
        "leaked": [],
        "left": None,
        "token_left": [],
        "signed": False,
        "tampered": False,
    }
    assert [(entry["verdict"], entry["proven"], entry["seconds_alive"]) for entry in shown[1:]] == [
        ("revoked, not proven", False, 120.0),
        ("expires at 2026-11-22T08:28:41.000Z", False, 120.0),
        ("not issued", False, None),
        ("not closed", False, None),
        ("not closed", False, 120.0),
    ]
    assert (shown[4]["issued"], shown[4]["closed"]) == (None, [])
    assert ledger(folder, "show", "--json", "--profile", "other", "ledger") == (0, "[]\n", "")


def test_show_goes_on_past_what_it_cannot_read(folder: Path) -> None:
    with (folder / DEPLOY).open("ab") as file:
        file.write(b"garbage\n")
    os.mkfifo(folder / "ledger" / "fifo.jsonl")
    assert ledger(folder, "show", "--open", "ledger")[1:] == (
        ledger(folder, "show", "--open", DEPLOY, TEST)[1],
        f"{DEPLOY}: 1 line could not be read; run: stepcreds ledger verify {DEPLOY}\n"
        "stepcreds: error: The ledger cannot use ledger/fifo.jsonl: it is not a regular file\n"
        "  cause: Something else was put in its place.\n"
        "  fix: Look at what it is, and remove it.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n",
    )
    assert ledger(folder, "show", "ledger")[0] == 1


def test_what_others_wrote_cannot_steer_a_terminal(tmp_path: Path) -> None:
    """Fields come from branch names, job names and servers: they are shown, not obeyed."""
    evil = "\x1b]0;owned\x07\r\n::add-mask::x\u202e\x9b31m" + "x" * 200
    path = write_ledger(tmp_path / "ledger", lives=1, close=False)
    entries = records(path)
    entries[0]["job"]["job"] = evil
    entries[1]["profile"] = entries[2]["db_user"] = entries[3]["step"]["name"] = evil
    entries[1]["declared"]["access"] = entries[3]["verdict"] = entries[3]["privileges"]["measured_by"] = evil
    path.write_bytes(relinked(entries))
    named = path.with_name("\x1b[31mred.jsonl")
    path.rename(named)
    for arguments in (("show",), ("verify",), ("show", "--json"), ("verify", "--json")):
        code, out, err = ledger(tmp_path, *arguments, "ledger")
        assert [character for character in out + err if not (character.isprintable() or character == "\n")] == []
        assert not [line for line in out.splitlines() if line.startswith("::")]
        assert code == (1 if "verify" in arguments else 0)
    assert "\\x1b]0;owned\\x07 ::add-mask::x\\u202e\\x9b31m" in ledger(tmp_path, "show", "ledger")[1]


def on_a_terminal(folder: Path, *arguments: str, **variables: str) -> str:
    primary, secondary = pty.openpty()
    with os.fdopen(primary, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "ledger", *arguments],
            cwd=folder,
            env={"HOME": str(folder), "TERM": "xterm", **variables},
            stdin=subprocess.DEVNULL,
            stdout=secondary,
        )
        os.close(secondary)
        said = b""
        # The end of a terminal that nobody holds open any more reads as EIO.
        try:
            while part := terminal.read(65536):
                said += part
        except OSError:
            pass
        process.wait(timeout=60)
    return said.decode().replace("\r\n", "\n")


def test_colour_is_for_terminals(folder: Path) -> None:
    green, yellow, red, plain = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
    shown = on_a_terminal(folder, "show", "ledger")
    for code, verdict in (
        (green, "proven dead at 2026-11-22T08:26:45Z"),
        (yellow, "revoked, not proven"),
        (red, "expires at 2026-11-22T08:28:41.000Z"),
        (red, "not closed, may exist"),
    ):
        assert f"{code}{verdict}{plain}" in shown
    bare = ledger(folder, "show", "ledger")[1]
    assert shown != bare
    assert shown.replace(green, "").replace(yellow, "").replace(red, "").replace(plain, "") == bare
    assert on_a_terminal(folder, "show", "ledger", NO_COLOR="1") == bare
    assert on_a_terminal(folder, "show", "ledger", TERM="dumb") == bare
    write_ledger(folder / "clean", lives=1)
    assert f": {green}ok{plain}, 5 records, closed\n" in on_a_terminal(folder, "verify", "clean")
    verified = on_a_terminal(folder, "verify", "ledger")
    assert (verified.count(f"{yellow}3 findings{plain}"), verified.count(f"{yellow}1 finding{plain}")) == (1, 1)
    assert f"{yellow}order/unproven (unknown){plain}: " in verified
    (folder / TEST).write_bytes(b"garbage\n" + (folder / TEST).read_bytes())
    verified = on_a_terminal(folder, "verify", "ledger")
    assert f"line 1: {red}line/not-canonical (tampered){plain}: " in verified
    assert re.search(
        r" \(\x1b\[31m\d tampered\x1b\[0m, \x1b\[33m\d incomplete\x1b\[0m, \x1b\[33m\d unknown\x1b\[0m\)\.\n", verified
    )
    assert f"\n{red}Tampered{plain}: {TEST}:1\n" in verified


def test_verify_of_clean_ledgers(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger")
    open_journal(tmp_path / "ledger", JOB._replace(run_id="4712", job="test"))
    expected = (
        f"{DEPLOY}: ok, 11 records, closed\n{TEST}: ok, 1 record, open\n2 files, 12 records: nothing found.\n{UNSIGNED}"
    )
    assert ledger(tmp_path, "verify", "ledger") == (0, expected, "")
    (tmp_path / "stepcreds.yml").write_text(CONFIG)
    assert ledger(tmp_path, "verify") == (0, f"{tmp_path}/" + expected.replace("\nledger", f"\n{tmp_path}/ledger"), "")


def test_verify_names_what_is_wrong(folder: Path) -> None:
    path = folder / DEPLOY
    path.write_bytes(path.read_bytes().replace(b"v-app-migrate-1", b"v-app-migrate-2", 1) + b'{"torn"')
    assert ledger(folder, "verify", "ledger") == (
        1,
        f"{DEPLOY}: 5 findings, 12 records, open\n"
        "  line 4: chain/prev (tampered): prev is not the hash of the line before: that line was changed, or lines "
        "removed, added or moved\n"
        "  line 13: file/torn (incomplete): the last line has no end: its writer was killed, or is writing now\n"
        "  line 7: order/unproven (unknown): a credential was ended without a proof that it is dead\n"
        "  line 10: order/unproven (unknown): a credential was ended without a proof that it is dead\n"
        "  line 12: order/unclosed (incomplete): a credential was requested and may exist, and no record says how it "
        "ended\n"
        f"{TEST}: 1 finding, 3 records, open\n"
        "  line 3: order/unclosed (incomplete): a credential was issued, and no record says how it ended\n"
        "2 files, 15 records: 6 findings in 2 files (1 tampered, 3 incomplete, 2 unknown).\n"
        f"Tampered: {DEPLOY}:4\n"
        f"{UNSIGNED}",
        "",
    )


def test_verify_as_json(folder: Path) -> None:
    code, out, err = ledger(folder, "verify", "--json", TEST)
    entries = records(folder / TEST)
    report = json.loads(out)
    assert (report["schema"], report["trust"]) == ("stepcreds.verification/1", None)
    (result,) = report["files"]
    head = result.pop("head")
    assert (code, err, len(head)) == (1, "", 64)
    assert result == {
        "file": TEST,
        "chain_uid": entries[0]["chain_uid"],
        "entries": 3,
        "closed": False,
        "job": {name: entries[0]["job"][name] for name in ("iss", "repository_id", "run_id", "run_attempt", "job")},
        "signing": {"state": "unsigned", "entries": 0, "checkpoints": 0, "keys": []},
        "findings": [
            {
                "layer": "order",
                "file": TEST,
                "line": 3,
                "code": "unclosed",
                "meaning": "a credential was issued, and no record says how it ended",
                "certainty": "incomplete",
            }
        ],
    }


def test_there_is_nothing_to_verify(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    expected = (
        2,
        "",
        "stepcreds: error: There is no ledger to verify\n"
        "  cause: No step has written one yet, or it was removed.\n"
        "  fix: Name the files or folders: stepcreds ledger verify PLACES\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n",
    )
    assert ledger(tmp_path, "verify", "ledger") == expected
    (tmp_path / "stepcreds.yml").write_text(CONFIG)
    assert ledger(tmp_path, "verify") == expected


@pytest.mark.parametrize("name", ["show", "verify"])
def test_wrong_usage_and_wrong_configuration(name: str, tmp_path: Path) -> None:
    code, out, err = ledger(tmp_path, name, "nowhere")
    assert (code, out) == (2, "")
    assert err == (
        "stepcreds: error: There is no ledger at nowhere\n"
        "  cause: No step has written one yet, or it was removed.\n"
        "  fix: Name files, folders, patterns in quotes, or the URL of an object store.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )
    code, out, err = ledger(tmp_path, name)
    assert (code, out) == (2, "")
    assert err.startswith("stepcreds: error: 1 problem in the configuration\n")


def test_help_says_what_the_commands_are_for(tmp_path: Path) -> None:
    for name in ("show", "verify"):
        code, out, err = ledger(tmp_path, name, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: stepcreds ledger {name} [OPTIONS] [PLACES]...\n")
        assert f"\n  Examples:\n    stepcreds ledger {name}\n" in out


def test_a_leak_is_seen_in_the_table_and_in_json(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(UIDS[0]), issued(UIDS[0]), closed(UIDS[0]), leaked(UIDS[0])):
        journal.append(event)
    code, out, err = ledger(tmp_path, "show", "ledger")
    assert (code, err) == (0, "")
    assert "  proven dead at 2026-11-22T08:26:45Z; leaked  no        v-app-migrate-1\n" in out
    (shown,) = json.loads(ledger(tmp_path, "show", "--json", "ledger")[1])
    assert shown["leaked"] == [records(journal.path)[4]]
    assert ledger(tmp_path, "verify", "ledger")[0] == 0


@pytest.mark.parametrize(
    "command", [("show",), ("export", "--format", "ocsf"), ("postmortem", "--run", "1"), ("query", "FROM chains")]
)
def test_a_trust_file_that_nobody_named_is_not_read(command: tuple[str, ...], tmp_path: Path) -> None:
    """Whoever wrote the ledgers could have written it, too."""
    open_journal(tmp_path)
    (tmp_path / "stepcreds-trust.json").write_text("no trust file at all")
    _, _, err = ledger(tmp_path, *command, ".")
    assert err.splitlines()[0] == (
        "stepcreds: warning: No signature is checked: stepcreds-trust.json lies here, and nobody named it. Whose signatures "
        "count is not said by the maker of a folder. If it is yours: --trust stepcreds-trust.json, or STEPCREDS_TRUST"
    )


def test_an_export_of_nothing_is_wrong_usage(tmp_path: Path) -> None:
    assert ledger(tmp_path, "export", "--format", "otel", ".") == (
        2,
        "",
        "stepcreds: error: There is no ledger here\n"
        "  cause: No step has written one yet, or it was removed, or the place is another.\n"
        "  fix: Name files, folders, or the URL of an object store: stepcreds ledger export PLACES\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n",
    )
