"""What `ledger verify` says of signatures: with a trust file, without one, and where they are demanded."""

from __future__ import annotations

import atexit
import json
import os
import pty
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ledger_samples import write_ledger
from ledger_site import Site, make_site

from stepcreds.cli.ledger_findings import fails
from stepcreds.cli.ledger_verify_text import MOST_NAMED, NOT_COMPLETE
from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import CERTAINTIES, Finding
from stepcreds.review.sources import opened
from stepcreds.review.verification import SMALL, weight
from warm import Warm

CONFIG = """\
version: 1
vault: {address: https://vault.example.com:8200}
profiles:
  verify:
    creds: database/creds/app-verify
    database: postgresql://db.example.com:5432/app
    access: read-only
ledger:
  path: ledgers
"""
LESS = "this finds damage and changed lines, but not a chain that was rewritten as a whole."
REQUIRED = "no signature that counts covers any of it: whoever could write the file could write all of it"


def verify(folder: Path, *arguments: str, command: str = "verify", **variables: str) -> tuple[int, str, str]:
    done = _warm()("ledger", command, *arguments, cwd=folder, env={"HOME": str(folder), **variables})
    return done.returncode, done.stdout, done.stderr


@cache
def _warm() -> Warm:
    started = Warm("stepcreds.cli.ledger_verify", "stepcreds.cli.ledger_show", "cryptography").__enter__()
    atexit.register(started.__exit__, None, None, None)
    return started


def checked(site: Site, *arguments: str, command: str = "verify") -> tuple[int, str, str]:
    """What is said in the folder of the site, whose trust file was named."""
    return verify(site.trust.parent, *arguments, command=command, STEPCREDS_TRUST=str(site.trust))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three chains of two repositories, of which the first has a key."""
    return make_site(tmp_path, repositories=2, runs=2, signed=1, every=10)


def names(site: Site) -> list[str]:
    return [str(path.relative_to(site.trust.parent)) for path in sorted(site.chains)]


def counts(site: Site) -> list[int]:
    return [len(path.read_bytes().splitlines()) for path in sorted(site.chains)]


def test_each_chain_says_whether_it_is_signed(site: Site) -> None:
    folder = site.trust.parent
    (a, b, c, d), (m, n, o, p) = names(site), counts(site)
    code, out, err = checked(site, "ledgers")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{a}: ok, {m} records, closed, signed"
    assert lines[1] == f"{b}: ok, {n} records, closed, signed"
    assert lines[2] == f"{c}: ok, {o} records, closed"
    assert lines[3] == f"{d}: ok, {p} records, closed"
    assert lines[4:] == [
        f"4 files, {m + n + o + p} records: nothing found.",
        f"Signed: 2 of 4 chains, by keys of {folder}/stepcreds-trust.json.",
        f"Not signed: 2 of 4 chains; {LESS}",
        NOT_COMPLETE,
    ]


def test_verify_fails_for_what_is_as_sure_as_was_asked_for(site: Site) -> None:
    folder = site.trust.parent
    a, b, c, d = names(site)

    def codes(*arguments: str) -> list[int]:
        return [
            checked(site, *said, *arguments)[0] for said in ((), ("--fail-on", "incomplete"), ("--fail-on", "tampered"))
        ]

    (folder / a).unlink()  # an orphan, which is unknown
    assert codes(str(checkpoint.beside(Path(a))), b, c) == [1, 0, 0]
    with (folder / b).open("ab") as file:
        file.write(b'{"torn"')  # incomplete
    assert codes("ledgers") == [1, 1, 0]
    # What somebody demands is no question of how sure it is.
    assert codes("--require-signed", c) == [1, 1, 1]
    lines = (folder / d).read_bytes().splitlines(keepends=True)
    (folder / d).write_bytes(b"".join([lines[0], *lines[2:]]))
    code, out, err = checked(site, "--fail-on", "tampered", "ledgers")
    assert (code, err) == (1, "")
    # What is surest is said last, and once more, as its line is far up in a long list.
    assert out.startswith(f"{a}: 1 finding, gone\n  {Path(a).stem}.checkpoints line ")
    tampered = out.count("(tampered)")
    assert f" ({tampered} tampered, 1 incomplete, " in out
    assert f"\nTampered: {d}:2\nGone: 1 of 4 chains, of which nothing but checkpoints is here.\nSigned: 1 of 4 " in out


def test_what_the_seals_know_counts_however_sure_it_is() -> None:
    deleted = Finding("seal", "", 0, "deleted", "", "incomplete")
    unclosed = Finding("order", "", 0, "unclosed", "", "incomplete")
    assert [fails(deleted, each) for each in CERTAINTIES] == [True, True, True]
    # Nor what is another thing here than in its store: what is there was not read.
    conflict = Finding("store", "", 0, "conflict", "", "unknown")
    assert [fails(conflict, each) for each in CERTAINTIES] == [True, True, True]
    assert [fails(unclosed, each) for each in CERTAINTIES] == [False, True, True]


def test_of_many_files_that_were_tampered_with_some_are_named(tmp_path: Path) -> None:
    for number in range(MOST_NAMED + 2):
        path = write_ledger(tmp_path / "ledger" / f"{number:02d}", lives=1)
        path.write_bytes(path.read_bytes().replace(b"v-app-migrate-1", b"v-app-migrate-2", 1))
    _, out, _ = verify(tmp_path, "ledger")
    (line,) = [line for line in out.splitlines() if line.startswith("Tampered: ")]
    assert line.count(":4, ") == MOST_NAMED
    assert line.endswith(":4, and 2 more files")


def test_what_cannot_be_read_is_not_verified(tmp_path: Path) -> None:
    (tmp_path / "ledger" / "a.jsonl").mkdir(parents=True)
    for flags in ((), ("--json",), ("--fail-on", "tampered")):
        code, out, err = verify(tmp_path, *flags, "ledger")
        assert (code, err) == (2, "")
        assert "unreadable" in out
    write_ledger(tmp_path / "ledger")
    for flags in ((), ("--fail-on", "tampered")):
        code, out, err = verify(tmp_path, *flags, "ledger")
        assert (code, err) == (1, "")
        assert "ledger/a.jsonl: 1 finding, 0 records, open\n  file/unreadable (unknown): " in out


def test_signatures_may_be_demanded(site: Site) -> None:
    _, _, c, d = names(site)
    code, out, err = checked(site, "--require-signed", "ledgers")
    assert (code, err) == (1, "")
    for name in (c, d):
        assert f"{name}: 1 finding," in out
    assert out.count(f"\n  trust/required (unknown): {REQUIRED}\n") == 2


def test_without_a_trust_file_nothing_is_checked(site: Site) -> None:
    folder = site.trust.parent
    trust = site.trust.rename(folder / "pinned.json")
    a, b, *_ = names(site)
    m, n, *_ = counts(site)
    expected = (
        f"{a}: ok, {m} records, closed, signatures not checked\n"
        f"{b}: ok, {n} records, closed, signatures not checked\n"
        f"2 files, {m + n} records: nothing found.\n"
        "Not checked: 2 chains; nobody said whose signatures count: --trust FILE (stepcreds ledger trust export).\n"
    )
    assert verify(folder, a, b) == (0, expected, "")
    code, out, _ = verify(folder, "--require-signed", a)
    assert code == 1
    assert "\n  trust/required (unknown): it is not known whose signatures these are\n" in out
    assert verify(folder, a, STEPCREDS_TRUST=str(trust))[1].endswith(
        f"Signed: 1 chain, by keys of {trust}.\n{NOT_COMPLETE}\n"
    )
    assert verify(folder, "--trust", "pinned.json", a)[1].endswith(
        f"Signed: 1 chain, by keys of pinned.json.\n{NOT_COMPLETE}\n"
    )


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_trust_file_that_nobody_named_is_not_believed(site: Site, command: str) -> None:
    """An artifact may hold anything, and a reviewer may stand in the folder that it was unpacked to."""
    folder = site.trust.parent
    _, out, err = verify(folder, "ledgers", command=command)
    assert err.splitlines()[0] == (
        "stepcreds: warning: No signature is checked: stepcreds-trust.json lies here, and nobody named it. Whose signatures "
        "count is not said by the maker of a folder. If it is yours: --trust stepcreds-trust.json, or STEPCREDS_TRUST"
    )
    assert "by keys of" not in out
    assert "not checked" in out
    assert verify(folder, "ledgers", command=command, STEPCREDS_TRUST="stepcreds-trust.json")[2] == ""


def test_a_chain_that_is_gone_keeps_no_other_from_being_shown(site: Site) -> None:
    folder = site.trust.parent
    a, *_ = names(site)
    (folder / a).unlink()
    count = len(checkpoint.beside(folder / a).read_bytes().splitlines())
    assert count
    code, out, err = checked(site, "ledgers", command="show")
    assert code == 1
    assert out.count("\n") > 3
    lines = err.splitlines()
    assert re.fullmatch(
        rf"stepcreds: error: {re.escape(a)}: the chain is not here, with [0-9]+ records that Vault signed for: it was "
        "removed, or not copied",
        lines[0],
    )
    assert lines[1:] == [
        "  fix: Look for it where it was copied to (ledger.push). What it held, Vault's audit log knows: ledger reconcile",
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-gone",
    ]


def test_the_json_of_a_signed_chain(site: Site) -> None:
    folder = site.trust.parent
    name, entries = names(site)[0], counts(site)[0]
    code, out, err = checked(site, "--json", name)
    report = json.loads(out)
    (told,) = report.pop("files")
    assert (code, err) == (0, "")
    assert report == {
        "schema": "stepcreds.verification/1",
        "trust": {"file": f"{folder}/stepcreds-trust.json", "keys": 2},
    }
    assert (told["file"], told["entries"], told["closed"], told["findings"]) == (name, entries, True, [])
    count = len(checkpoint.beside(folder / name).read_bytes().splitlines())
    key = f"transit/keys/stepcreds-ledger-{told['job']['repository_id']}:1"
    assert told["signing"] == {"state": "signed", "entries": entries, "checkpoints": count, "keys": [key]}


def test_places_are_files_folders_and_patterns_and_each_file_counts_once(site: Site) -> None:
    folder = site.trust.parent
    a = names(site)[0]
    whole = checked(site, "ledgers")
    (folder / a.replace(".jsonl", ".jsonl.pushed")).write_text("a note of stepcreds")
    assert checked(site, "ledgers/*") == whole
    assert checked(site, "ledgers/**/*") == whole
    assert checked(site, "ledgers", a, f"./{a}", a.replace(".jsonl", ".checkpoints")) == whole
    assert checked(site, *(str(path.relative_to(folder)) for path in sorted(site.ledgers.glob("*/*")))) == whole


def test_more_files_than_are_listed(tmp_path: Path) -> None:
    site = make_site(tmp_path, repositories=3, runs=8, every=100)
    broken = sorted(site.chains)[5]
    with broken.open("ab") as file:
        file.write(b'{"torn"')
    code, out, err = checked(site, "ledgers")
    name, entries = broken.relative_to(tmp_path), len(broken.read_bytes().splitlines()) - 1
    assert (code, err) == (1, "")
    assert out == (
        f"{name}: 1 finding, {entries} records, closed, signed\n"
        f"  line {entries + 1}: file/torn (incomplete): the last line has no end: its writer was killed, or is writing now\n"
        f"24 files, {site.entries} records: 1 finding in 1 file (1 incomplete).\n"
        f"Signed: 24 chains, by keys of {tmp_path}/stepcreds-trust.json.\n{NOT_COMPLETE}\n"
    )
    assert checked(site, "--verbose", "ledgers")[1].count(": ok, ") == 23


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    from stepcreds.review.verification import verify as checked
    from stepcreds.trust.file import load_trust

    site = make_site(tmp_path, repositories=4, runs=5)
    done: list[int] = []
    with opened([str(site.ledgers)]) as sources:
        trust = load_trust(site.trust)
        alone = list(checked(sources, trust, keep=True, processes=1, tick=done.append))
        assert sum(done) == sum(map(weight, sources))
        done.clear()
        assert list(checked(sources, trust, keep=True, processes=3, tick=done.append)) == alone
        assert sum(done) == sum(map(weight, sources))
    assert any(result.findings for result in alone)
    assert all(result.signing.covered for result in alone)


def test_there_is_a_bar_on_a_terminal_for_what_takes_a_while(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger")
    with path.open("ab") as file:
        file.write(b"x" * 100 + b"\n")
        file.truncate(SMALL + 1)
    main, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "stepcreds", "ledger", "verify", "ledger"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        out = process.communicate(timeout=120)[0]
    shown = os.read(main, 100_000).decode()
    os.close(main)
    assert "Verifying" in shown
    assert "100%" in shown
    assert out.splitlines()[0].endswith("findings, 12 records, closed")
