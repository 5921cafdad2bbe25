"""`stepcreds ledger show` over the ledgers of many repositories: what each filter leaves, and the forms it prints."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ledger_samples import records, relinked, write_ledger
from ledger_site import START, Site, make_site

from stepcreds.cli.ledger_show import command
from stepcreds.clock import rfc3339
from stepcreds.errors import UsageError
from stepcreds.review.selection import moment

HOUR = 3600.0


def show(folder: Path, *arguments: str) -> tuple[int, str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "ledger", "show", *arguments],
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return run.returncode, run.stdout.decode(), run.stderr.decode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """72 runs of 3 repositories; every third has something wrong; two repositories sign."""
    return make_site(tmp_path_factory.mktemp("site"), repositories=3, runs=24, signed=2)


def shown(site: Site, *arguments: str) -> list[dict[str, Any]]:
    # In this process: a start of Python for each filter would be most of the test.
    run = CliRunner().invoke(command, ["--json", *arguments, str(site.ledgers)], standalone_mode=False)
    assert (run.return_value, run.stderr, run.exception) == (0, "", None)
    listed: list[dict[str, Any]] = json.loads(run.stdout)
    return listed


def uids(site: Site, *arguments: str) -> set[str]:
    return {each["credential_uid"] for each in shown(site, *arguments)}


def of_kinds(site: Site, *kinds: str) -> set[str]:
    return {uid for kind in kinds for uid in site.kinds[kind]}


def test_each_filter_leaves_what_it_says(site: Site) -> None:
    everything = shown(site)
    assert len(everything) == site.steps == len({each["credential_uid"] for each in everything})
    assert uids(site, "--open") == of_kinds(site, "open", "requested") != set()
    assert uids(site, "--excess") == of_kinds(site, "excess", "warned") != set()
    assert uids(site, "--unproven") == of_kinds(site, "open", "requested", "unproven", "expired")
    assert uids(site, "--leaked") == of_kinds(site, "leaked") != set()
    assert (
        uids(site, "--profile", "seed") == {e["credential_uid"] for e in everything if e["profile"] == "seed"} != set()
    )
    step = everything[7]["step_uid"]
    assert uids(site, "--step", step) == uids(site, "--step", step[:8]) == {everything[7]["credential_uid"]}
    assert uids(site, "--step", step[:7]) == set()  # too short to be meant
    named = uids(site, "--repository", "acme/shop-01")
    assert named == uids(site, "--repository", "9000001") != set()
    assert named == {e["credential_uid"] for e in everything if e["job"]["repository_id"] == "9000001"}
    assert uids(site, "--run", "50000004", "--attempt", "1", "--job", "deploy") == {
        e["credential_uid"] for e in everything if e["job"]["run_id"] == "50000004"
    }
    assert uids(site, "--attempt", "2") == uids(site, "--job", "test") == uids(site, "--repository", "shop-01") == set()


def test_filters_are_combined(site: Site) -> None:
    both = uids(site, "--unproven", "--open", "--repository", "acme/shop-00")
    assert both == uids(site, "--open") & uids(site, "--repository", "acme/shop-00")
    assert uids(site, "--open", "--leaked") == set()


def test_times_leave_what_may_have_lived_then(site: Site) -> None:
    everything = shown(site)
    middle = START + 15 * 24 * HOUR
    since, until = uids(site, "--since", rfc3339(middle)), uids(site, "--until", rfc3339(middle))
    assert since | until == {each["credential_uid"] for each in everything}
    early = {e["credential_uid"] for e in everything if e["requested"] and e["requested"]["time"] < rfc3339(middle)}
    assert early - since != set() != until - early or until == early
    # What nobody closed and has no end on record is never left out for being old.
    requested_only = of_kinds(site, "requested")
    assert requested_only <= uids(site, "--since", rfc3339(site.end + HOUR))
    # A date counts with all of its day.
    first_day = uids(site, "--until", "2026-10-24")
    assert first_day == uids(site, "--until", "2026-10-24T23:59:59.999Z") != set()
    assert uids(site, "--until", "2026-10-23") == set()


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2026-11-22T08:26:40Z", 1_795_336_000.0),
        ("2026-11-22T08:26:40.250Z", 1_795_336_000.25),
        ("2026-11-22t10:26:40+02:00", 1_795_336_000.0),
        ("2026-11-22 08:26", 1_795_335_960.0),
        ("2026-11-22", 1_795_305_600.0),
        ("90s", 1_795_336_000.0 - 90),
        ("2h ago", 1_795_336_000.0 - 7200),
        ("3d", 1_795_336_000.0 - 259_200),
        ("1w", 1_795_336_000.0 - 604_800),
    ],
)
def test_a_moment_as_people_write_it(text: str, epoch: float) -> None:
    assert moment(text, 1_795_336_000.0) == epoch


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-11-22T25:00Z", "2h3", "1e9s", "2026-11-22T08", "\u0662h"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment(text, 0.0)
    assert caught.value.what == f"{text!r} is no time"


def test_a_wrong_time_is_said_whole(site: Site) -> None:
    assert show(site.ledgers.parent, "--since", "tea\x1btime", "ledgers") == (
        2,
        "",
        "stepcreds: error: 'tea\\\\x1btime' is no time\n"
        "  fix: Write 2026-11-22T14:02:00Z, 2026-11-22 14:02 (UTC), 2026-11-22, or how long ago: 90m, 2h, 3d, 1w.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-filters\n",
    )


def test_two_forms_at_once_are_refused(site: Site) -> None:
    assert show(site.ledgers.parent, "--json", "--csv", "ledgers") == (
        2,
        "",
        "stepcreds: error: --json and --csv ask for two forms at once\n"
        "  fix: Name one of them.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-filters\n",
    )


def test_whether_it_is_signed_stands_beside_each(site: Site) -> None:
    """Two of three repositories sign; nobody looks at signatures without a trust file."""
    folder = site.ledgers.parent
    listed = shown(site, "--trust", str(site.trust))
    signs = {
        repository: {e["signed"] for e in listed if e["job"]["repository_id"] == repository}
        for repository in ("9000000", "9000001", "9000002")
    }
    assert signs["9000002"] == {False}
    assert True in signs["9000000"]
    assert True in signs["9000001"]
    unsigned = uids(site, "--trust", str(site.trust), "--unsigned")
    assert unsigned == {e["credential_uid"] for e in listed if not e["signed"]}
    code, out, _ = show(folder, "--trust", str(site.trust), "--repository", "acme/shop-02", "--limit", "2", "ledgers")
    assert code == 0
    assert out.splitlines()[-1] == (
        "Unsigned: 2 of 2. Whoever could write to such a file could have written all of it anew."
    )
    code, out, _ = show(folder, "--json", "--repository", "9000000", "ledgers")
    assert {each["signed"] for each in json.loads(out)} == {None}
    out = show(folder, "--repository", "acme/shop-00", "--limit", "3", "ledgers")[1]
    assert out.splitlines()[-1] == "Signatures were not checked for 3 of 3: name a trust file with --trust."
    assert "  not checked  " in out


def test_a_file_that_was_changed_is_called_so(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger", lives=2)
    assert path.read_bytes().count(b'"v-app-migrate-1"') == 2
    path.write_bytes(path.read_bytes().replace(b'"v-app-migrate-1"', b'"v-app-migrate-2"', 1))
    code, out, err = show(tmp_path, "ledger")
    assert (code, err) == (0, "")
    assert [line.split()[-2:] for line in out.splitlines()[:3]] == [
        ["DB", "USER"],
        ["TAMPERED", "v-app-migrate-2"],
        ["TAMPERED", "v-app-migrate-1"],
    ]
    assert out.splitlines()[-1] == "TAMPERED: 1 file. What is wrong: stepcreds ledger verify"
    assert {each["tampered"] for each in json.loads(show(tmp_path, "--json", "ledger")[1])} == {True}


def test_the_newest_come_last_and_the_limit_keeps_them(site: Site) -> None:
    everything = shown(site)
    times = [(each["requested"] or each["closed"][0])["time"] for each in everything]
    assert times == sorted(times)
    assert shown(site, "--limit", "4") == everything[-4:]
    out = show(site.ledgers.parent, "--trust", str(site.trust), "--limit", "4", "ledgers")[1].splitlines()
    assert out[-2] == f"Left out by --limit: {site.steps - 4} older than these"
    assert len(out) == 1 + 4 + 2


def test_whose_it_is_stands_beside_each_unless_all_that_was_read_is_of_one(site: Site) -> None:
    folder, one = site.ledgers.parent, str(site.chains[0])
    for arguments, columns in (
        (("--limit", "1", "ledgers"), ["TIME", "REPOSITORY", "RUN", "JOB"]),
        (("--repository", "acme/shop-01", "ledgers"), ["TIME", "RUN", "JOB"]),
        (("--run", "50000004", "ledgers"), ["TIME", "REPOSITORY", "JOB"]),
        (("--run", "50000004", "--repository", "9000001", "ledgers"), ["TIME", "JOB"]),
        ((one,), ["TIME", "JOB"]),
    ):
        code, out, err = show(folder, "--trust", str(site.trust), *arguments)
        assert (code, err) == (0, "")
        head, first, *_ = out.splitlines()
        assert [name for name in head.split() if name in ("TIME", "REPOSITORY", "RUN", "JOB")] == columns
        assert ("acme/shop-" in first) is ("REPOSITORY" in columns)


def test_what_a_file_says_beside_another_counts_for_its_rows(tmp_path: Path) -> None:
    """Two files hold one chain, each of them in order by itself."""
    path = write_ledger(tmp_path / "ledger", lives=2)
    entries = records(path)
    entries[2]["db_user"] = "v-somebody-else"
    (tmp_path / "ledger" / "copy.jsonl").write_bytes(relinked(entries))
    listed = json.loads(show(tmp_path, "--json", "ledger")[1])
    assert [(Path(each["file"]).name == "copy.jsonl", each["tampered"]) for each in listed] == [
        (False, False), (False, False), (True, True), (True, True),
    ]  # fmt: skip
    out = show(tmp_path, "ledger")[1]
    assert [line.split().count("TAMPERED") for line in out.splitlines()] == [0, 0, 0, 1, 1, 0]
    assert out.splitlines()[-1] == "TAMPERED: 1 file. What is wrong: stepcreds ledger verify"


def test_lines_behind_a_hundred_findings_are_still_shown(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger", lives=2)
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"{}\n" * 150 + b"".join(others))
    code, out, err = show(tmp_path, "--json", "ledger")
    assert (code, len(json.loads(out))) == (0, 2)
    assert err == "ledger/NAME: 150 lines could not be read; run: stepcreds ledger verify ledger/NAME\n".replace(
        "NAME", path.name
    )


def test_csv_has_a_line_for_each_and_every_column(site: Site) -> None:
    code, out, err = show(site.ledgers.parent, "--csv", "--trust", str(site.trust), "ledgers")
    assert (code, err) == (0, "")
    assert out.count("\r\n") == out.count("\n") == site.steps + 1
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    listed = shown(site, "--trust", str(site.trust))
    for row, each in zip(rows, listed, strict=True):
        assert row["credential_uid"] == each["credential_uid"]
        assert row["verdict"] == each["verdict"]
        assert row["proven"] == str(each["proven"]).lower()
        assert row["signed"] == str(each["signed"]).lower()
        assert row["lease_id"] == ((each["issued"] or {}).get("lease_id") or "")
        assert row["repository"] == f"acme/shop-{each['job']['repository_id'][-2:]}"
    beyond = [row for row in rows if row["excess"]]
    assert {row["excess"] for row in beyond} == {"PG.SCHEMA.OWN app"}
    assert not {None} & {value for row in rows for value in row.values()}


def test_csv_is_no_formula_and_steers_nothing(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger", lives=1, close=False)
    entries = records(path)
    evil = "=cmd|' /C calc'!A0,\"quoted\"\r\nsecond\x1b[31m"
    entries[0]["job"]["job"] = evil
    entries[0]["job"]["actor"] = "  @SUM(1)"
    entries[1]["profile"] = "-2+3"
    entries[1]["role"] = "\uff1d1"
    entries[2]["db_user"] = "+x"
    entries[3]["step"]["name"] = "::add-mask::x"
    path.write_bytes(relinked(entries))
    code, out, err = show(tmp_path, "--csv", "ledger")
    assert (code, err) == (0, "")
    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    assert row["job"] == "'=cmd|' /C calc'!A0,\"quoted\"\\r\nsecond\\x1b[31m"
    assert (row["actor"], row["profile"], row["role"], row["db_user"]) == ("'  @SUM(1)", "'-2+3", "'\uff1d1", "'+x")
    assert row["step"] == "\\::add-mask::x"
    assert not [character for character in out if not (character.isprintable() or character in "\r\n")]


# The memory of a command counts from what its parent had: so its parent is a small process, and not this one.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "stepcreds", "ledger", "show", *sys.argv[1:]])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_what_is_not_printed_is_not_kept(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", repositories=40, runs=4)
    times = 5_000 // site.steps + 1
    for number in range(times):
        folder = tmp_path / "many" / str(number)
        folder.mkdir(parents=True)
        for chain in site.chains:
            (folder / f"{chain.parent.name}-{chain.name}").hardlink_to(chain)
    arguments = [sys.executable, "-c", MEASURED, "--limit", "10", "many"]
    environment = {"HOME": str(tmp_path)}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=True)
    *_, left_out, _, memory = done.stdout.decode().splitlines()
    assert left_out == f"Left out by --limit: {times * site.steps - 10} older than these"
    assert int(memory) < 70_000  # KiB: the interpreter with what it imports is 40,000; all records were 60,000 more


def test_where_every_chain_is_gone_it_does_not_say_that_there_never_was_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ledgers").mkdir()
    for signed in sorted(site.ledgers.rglob("*.checkpoints"))[:2]:
        (tmp_path / "ledgers" / signed.name).write_bytes(signed.read_bytes())
    code, out, err = show(tmp_path, "ledgers")
    assert (code, out, err.count("the chain is not here")) == (1, "No ledger could be read.\n", 2)
