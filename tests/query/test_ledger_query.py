"""`stepcreds ledger query`: what its tables hold, what odd lines do to them, and what a query cannot do."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_samples import records, write_ledger
from ledger_site import Site, make_site

from stepcreds.cli.ledger_query import command
from stepcreds.errors import UsageError
from stepcreds.ledger.canonical import MAX_INTEGER
from stepcreds.ledger.link import MAX_LINE
from stepcreds.query.database import answer, loaded
from stepcreds.query.rows import credential_row
from stepcreds.query.tables import CREDENTIALS, TABLES
from stepcreds.review.dossier import read
from stepcreds.review.lifetimes import overlaps
from stepcreds.review.sharing import shared
from stepcreds.review.sources import Source, local
from stepcreds.review.verification import verify
from stepcreds.trust.file import load_trust
from warm import Warm

SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-query\n"
LIST = "  fix: What can be asked for, table by table: stepcreds ledger query\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=3, runs=24, signed=2)


def asked(site: Site, sql: str, *, trusted: bool = False) -> list[tuple[Any, ...]]:
    return rows_of(local(site.chains), sql, site.trust if trusted else None)


def rows_of(sources: list[Source], sql: str, trust: Path | None = None) -> list[tuple[Any, ...]]:
    with loaded(sources, None if trust is None else load_trust(trust), sql) as database:
        found = list(answer(database, sql).rows)
        assert database.errors == ()
    return found


@pytest.fixture(scope="module", autouse=True)
def started() -> Iterator[None]:
    with Warm("stepcreds.cli.ledger_query", "stepcreds.query.database", "duckdb") as warm:
        _warm.append(warm)
        yield
    _warm.clear()


_warm: list[Warm] = []


def query(folder: Path, *arguments: str) -> tuple[int, str, str]:
    run = _warm[0]("ledger", "query", *arguments, cwd=folder, env={"HOME": str(folder)})
    return run.returncode, run.stdout, run.stderr


def test_records_has_every_line_as_it_stands(site: Site) -> None:
    found = asked(
        site,
        "SELECT file, line, raw, seq, kind, credential_uid, chain_uid, strftime(time, '%Y-%m-%dT%H:%M:%S.%gZ'), record::VARCHAR FROM records",
    )
    expected = []
    for chain in site.chains:
        for number, line in enumerate(chain.read_text().splitlines(), 1):
            record = json.loads(line)
            names = ("kind", "credential_uid", "chain_uid", "time")
            expected.append((str(chain), number, line, number - 1, *(record.get(name) for name in names), line))
    assert found == expected
    assert len(found) == site.entries


def test_credentials_say_what_the_views_say(site: Site) -> None:
    found = asked(
        site,
        "SELECT credential_uid, verdict, proven, open, len(excess) > 0, leaked, seconds_alive, repository, epoch_ms(issue_time) FROM credentials",
    )
    expected = []
    for chapter, each in read(local(site.chains)).credentials:
        seconds = each.seconds_alive
        expected.append((
            each.credential_uid, each.verdict, each.proven, not each.closed, bool(each.excess) if each.level else None, bool(each.leaks),
            None if seconds is None else pytest.approx(seconds, abs=0.002), chapter.view.repository,
            None if each.issue_time is None else round(each.issue_time * 1000),
        ))  # fmt: skip
    assert found == expected
    kinds = dict(
        asked(
            site,
            "SELECT credential_uid, verdict FROM credentials WHERE open OR (NOT proven AND verdict <> 'not issued')",
        )
    )
    assert kinds.keys() == {uid for kind in ("open", "requested", "unproven", "expired") for uid in site.kinds[kind]}


def test_every_column_is_filled_somewhere(site: Site) -> None:
    """No column is misspelled between the table and the rows."""
    names = {
        name
        for chapter, each in read(local(site.chains)).credentials
        for name in credential_row(chapter.view, each, "x")
    }
    assert names == {name for name, _ in CREDENTIALS.columns}
    for table in TABLES:
        counts = ", ".join(f'count("{name}")' for name, _ in table.columns)
        (row,) = asked(site, f"SELECT {counts} FROM {table.name}", trusted=True)  # noqa: S608
        empty = {name for (name, _), count in zip(table.columns, row, strict=True) if not count}
        # What no job of this site has: a matrix, a reason, somebody who cancelled it; signing leaves `unknown` alone.
        assert empty <= {"matrix", "reason", "cancelled_by", "used"}, table.name


def test_steps_are_credentials_together(site: Site) -> None:
    assert asked(site, "SELECT sum(credentials), sum(unproven), sum(beyond_profile), sum(leaked) FROM steps") == [
        (
            site.steps,
            sum(len(site.kinds[kind]) for kind in ("open", "requested", "unproven", "expired")),
            len(site.kinds["excess"]) + len(site.kinds["warned"]),
            len(site.kinds["leaked"]),
        )
    ]


def test_chains_and_findings_are_those_of_verify(site: Site) -> None:
    checked = list(verify(local(site.chains), load_trust(site.trust)))
    found = asked(
        site,
        "SELECT file, entries, closed, signing, signed_entries, tampered + incomplete + unknown FROM chains",
        trusted=True,
    )
    assert found == [
        (each.file, each.entries, each.closed, each.signing.state, each.signing.entries, len(each.findings))
        for each in checked
    ]
    assert {row[3] for row in found} >= {"signed", "unsigned"}
    listed = asked(site, "SELECT file, coalesce(line, 0), layer, code, certainty, meaning FROM findings", trusted=True)
    assert (
        listed
        == [(f.file, f.line, f.layer, f.code, f.certainty, f.meaning) for each in checked for f in each.findings]
        != []
    )
    assert {row[0] for row in asked(site, "SELECT signing FROM chains WHERE repository_id <> '9000002'")} == {
        "not checked"
    }


def test_overlapping_and_shared_are_those_of_the_review(site: Site) -> None:
    expected = [
        (each.credential.credential_uid, each.other.credential_uid, each.certain)
        for chapter in read(local(site.chains)).chapters
        for each in overlaps(chapter.view.credentials)
    ]
    assert asked(site, "SELECT credential_uid, other_credential_uid, certain FROM overlapping") == expected != []
    found = {uid for (uid,) in asked(site, "SELECT DISTINCT credential_uid FROM shared WHERE what = 'lease_id'")}
    assert found >= set(site.kinds["shared"])
    assert len(found) == 2 * len(site.kinds["shared"]) > 0
    groups = shared(each for _, each in read(local(site.chains)).credentials)
    listed = {(group.what, group.value, each.credential_uid) for group in groups for each in group.credentials}
    assert set(asked(site, "SELECT what, value, credential_uid FROM shared")) == listed


# What a later version, a hand, or a disk may leave in the place of a record.
ODD = [
    b"garbage",
    b"",
    b"[1,2]",
    b"null",
    b'"text"',
    b'{"kind":5}',
    b'{"kind":"credential.reborn","credential_uid":"x","later":{"a":[1.5,1e999]},"seq":99999999999999999999}',
    b'{"kind":"credential.closed","credential_uid":"y","verdict":7,"verified":[],"time":"yesterday","step":"no"}',
    b'{"kind":"a","kind":"b"}',
    b'{"kind":"tab\there"}',
    b"\xff\xfe{\x00}",
    b'{"kind":"nul\\u0000 \\ud800 \\u2028","time":"2026-11-22T08:26:40.000Z"}',
    b'{"kind":"deep","a":' + b"[" * 130_000 + b"]" * 130_000 + b"}",
    b'"' * 3,
    b"a,b;c\rd",
    b'{"kind":"long","a":"' + b"x" * (MAX_LINE + 5000) + b'"}',
    '{"kind":"Zürich \U0001f511"}'.encode(),
]


def test_odd_lines_break_nothing(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger", lives=2)
    before = path.read_bytes()
    path.write_bytes(before + b"\n".join(ODD) + b"\n" + before.splitlines()[1] + b'\n{"kind":"torn')
    count = len(before.splitlines())
    with loaded(local([path]), None, "records credentials chains findings steps shared overlapping") as database:
        assert list(answer(database, "SELECT count(*), min(line), max(line) FROM records").rows) == [
            (count + len(ODD) + 2, 1, count + len(ODD) + 2)
        ]
        odd = dict(answer(database, f"SELECT line, kind FROM records WHERE line > {count}").rows)  # noqa: S608
        assert [odd[count + 1 + place] for place, _ in enumerate(ODD)] == [
            *[None] * 6,
            "credential.reborn",
            "credential.closed",
            "a",  # the first of two, as JSON's readers differ; `findings` has the line
            None,
            None,
            None,
            "deep",
            None,
            None,
            None,
            "Zürich \U0001f511",
        ]
        assert odd[count + len(ODD) + 1] == "credential.requested"
        assert odd[count + len(ODD) + 2] is None
        whole = list(answer(database, "SELECT credential_uid, verdict, proven FROM credentials").rows)
        assert [row for row in whole if row[0] not in ("x", "y")] == [
            (records_of["credential_uid"], "proven dead", True)
            for records_of in map(json.loads, before.splitlines())
            if records_of["kind"] == "credential.requested"
        ]
        assert ("y", "not closed", False) in whole
        assert len(list(answer(database, "FROM findings WHERE certainty = 'tampered'").rows)) > 5
        assert list(answer(database, "SELECT entries FROM chains").rows) != []


# A text where a time stands, and a year that strftime(3) writes with one digit.
TIMES = ["0", "yesterday", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]


@pytest.mark.parametrize("time", TIMES)
def test_what_is_no_time_breaks_no_load(tmp_path: Path, time: str) -> None:
    path = write_ledger(tmp_path / "ledger", lives=1)
    text = re.sub(rb"20[0-9]{2}-[0-9T:.-]+Z", time.encode(), path.read_bytes())
    path.write_bytes(text)
    whether = [time.startswith("9")]
    names = [name for name, kind in CREDENTIALS.columns if kind == "TIMESTAMP"]
    known = ", ".join(f"{name} IS NOT NULL" for name in names)
    assert [*rows_of(local([path]), f"SELECT {known} FROM credentials")[0]] == whether * len(names)  # noqa: S608
    assert rows_of(local([path]), "SELECT opened_time IS NOT NULL FROM chains") == [tuple(whether)]
    assert rows_of(local([path]), "SELECT count(*) FROM records") == [(5,)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(max_size=6) | st.sampled_from(
        ["never", "proven dead", "2026-11-22T08:26:40.000Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_whatever_stands_in_a_field_a_row_can_be_made_of_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Each value is of its column's type, or DuckDB would refuse the whole load. A load is slow, so it has many."""
    folder = tmp_path_factory.mktemp("ledger")
    good = write_ledger(folder, lives=1)
    paths = [folder / f"{number:02}.jsonl" for number in range(16)]
    for path in paths:
        spoil(good, path, data)
    chapters = read(local(paths)).chapters
    rows = rows_of(local(paths), "SELECT * FROM credentials")
    for chapter, row, path in zip(chapters, rows, paths, strict=True):
        made = credential_row(chapter.view, chapter.view.credentials[0], str(path))
        for (name, kind), value in zip(CREDENTIALS.columns, row, strict=True):
            if kind == "TIMESTAMP":
                assert (None if value is None else value.isoformat(timespec="milliseconds") + "Z") == made[name]
            elif kind == "JSON":
                assert (None if value is None else json.loads(value)) == made[name]
            else:
                assert value == made[name], name


def spoil(good: Path, path: Path, data: st.DataObject) -> None:
    changed = records(good)
    for _ in range(3):
        record = changed[data.draw(st.integers(0, 3))]
        place: Any = record
        name = data.draw(st.sampled_from(sorted(set(record) - {"kind", "credential_uid"})))
        if isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
            place, name = place[name], data.draw(st.sampled_from(sorted(place[name])))
        place[name] = data.draw(VALUES)
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in changed))


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("COPY (SELECT 1) TO '{folder}/out.csv'", "The query is no question: DuckDB takes it for COPY"),
        ("ATTACH '{folder}/other.duckdb' AS other", "The query is no question: DuckDB takes it for ATTACH"),
        ("INSTALL httpfs", "The query is no question: DuckDB takes it for LOAD"),
        ("LOAD json", "The query is no question: DuckDB takes it for LOAD"),
        ("SET lock_configuration = false", "The query is no question: DuckDB takes it for SET"),
        ("CREATE TABLE t AS SELECT 1", "The query is no question: DuckDB takes it for CREATE"),
        ("INSERT INTO findings SELECT * FROM findings", "The query is no question: DuckDB takes it for INSERT"),
        ("DELETE FROM records", "The query is no question: DuckDB takes it for DELETE"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'", "The query is no question: DuckDB takes it for EXPLAIN"),
        ("EXPORT DATABASE '{folder}/export'", "The query is no question: DuckDB takes it for EXPORT"),
        ("PRAGMA database_list", "The query is no question: DuckDB takes it for PRAGMA"),
        ("CALL duckdb_settings()", "The query is no question: DuckDB takes it for CALL"),
        ("SELECT 1; DROP TABLE records", "The query holds 2 statements"),
        (" ", "The query holds 0 statements"),
        ("SELECT * FROM read_text('{folder}/secret')", 'Permission Error: Cannot access file "{folder}/secret" - file system operations are disabled'),
        ("SELECT * FROM read_csv('{folder}/secret')", "file system operations are disabled"),
        ("SELECT * FROM read_parquet('https://example.com/x.parquet')", "disabled"),
        ("SELECT * FROM glob('{folder}/*')", "file system operations are disabled"),
        ("SELECT * FROM '{folder}/secret'", "does not exist"),
        ("SELECT * FROM site", "Table with name site does not exist"),
        ("SELECT getenv('HOME')", "Scalar Function with name getenv does not exist"),
    ],
)  # fmt: skip
def test_a_query_reaches_nothing_else(site: Site, tmp_path: Path, sql: str, what: str) -> None:
    (tmp_path / "secret").write_text("canary\n")
    asking = sql.format(folder=tmp_path)
    with loaded(local(site.chains[:1]), None, asking) as database, pytest.raises(UsageError) as caught:
        list(answer(database, asking).rows)
    assert what.format(folder=tmp_path) in caught.value.what
    assert (caught.value.docs, "canary" in str(caught.value)) == ("ledger-query", False)
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_without_our_own_refusal_duckdb_refuses_as_well(site: Site, tmp_path: Path) -> None:
    """The second line of defence by itself: the same connection, asked directly."""
    with loaded(local(site.chains[:1]), None, "records") as database:
        for sql in (
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            "CREATE TABLE t AS SELECT 1",
            "DELETE FROM records",
            f"ATTACH '{tmp_path}/x.duckdb' AS x",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
            "LOAD httpfs",
        ):
            with pytest.raises(duckdb.Error):
                database.connection.execute(sql).fetchall()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_it(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert asked(site, "SELECT count(*) FROM records") == [(site.entries,)]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    """DuckDB would take these for patterns, or for something on the network."""
    path = write_ledger(tmp_path / "ledger", lives=1)
    names = [
        "*.jsonl",
        "[a-z].jsonl",
        "x?.jsonl",
        "s3:__x.jsonl",
        "a'b\"c.jsonl",
        "new\nline.jsonl",
        "tab\t.jsonl",
        "\udcff.jsonl",
    ]
    odd = tmp_path / "odd"
    odd.mkdir()
    for name in names:
        (odd / name).write_bytes(path.read_bytes())
    sources = local(sorted(odd.iterdir()))
    found = rows_of(sources, "SELECT file, count(*) FROM records GROUP BY file")
    assert len(found) == len(names)
    assert {count for _, count in found} == {5}
    assert len(rows_of(sources, "SELECT DISTINCT file FROM credentials")) == len(names)


def test_what_cannot_be_read_is_said_and_the_rest_is_answered(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", lives=2)
    os.mkfifo(tmp_path / "ledger" / "fifo.jsonl")
    (tmp_path / "ledger" / "empty.jsonl").touch()
    (tmp_path / "seals.parquet").write_bytes(b"PAR1 nothing of the kind")
    code, out, err = query(tmp_path, "SELECT count(*) AS n FROM records", "ledger", "seals.parquet")
    assert (code, out) == (1, "n\n8\n")
    assert err == (
        "stepcreds: error: " + err.splitlines()[0].removeprefix("stepcreds: error: ") + "\n"
        "  fix: Name the ledgers themselves, or fetch that file again.\n"
        + SEE
        + "stepcreds: error: The ledger cannot use ledger/fifo.jsonl: it is not a regular file\n"
        "  cause: Something else was put in its place.\n"
        "  fix: Look at what it is, and remove it.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )
    assert err.startswith("stepcreds: error: seals.parquet is no Parquet file of `ledger seal`: ")


def test_parquet_is_the_chains_again(site: Site, tmp_path: Path) -> None:
    """The columns that `ledger seal` writes, in a file with a pattern for a name."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (extra INTEGER, file VARCHAR, line BIGINT, raw VARCHAR)")
        rows = [
            (1, chain.name, number, line)
            for chain in site.chains[:6]
            for number, line in enumerate(chain.read_text().splitlines(), 1)
        ]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", list(reversed(rows)))
        connection.execute(f"COPY t TO '{tmp_path}/plain.parquet' (FORMAT parquet)")
    path = (tmp_path / "plain.parquet").rename(tmp_path / "[s]*.parquet")
    sources, plain = local([path]), local(site.chains[:6])
    for sql in (
        "SELECT line, raw, kind, time FROM records",
        "SELECT * EXCLUDE (file) FROM credentials",
        "SELECT chain_uid, entries, tampered FROM chains",
        "SELECT line, code FROM findings WHERE code <> 'none'",
    ):
        # Checkpoints stand beside the chains, and not in Parquet.
        assert sorted(map(repr, rows_of(sources, sql))) == sorted(map(repr, rows_of(plain, sql)))
    assert {name for (name,) in rows_of(sources, "SELECT DISTINCT file FROM chains")} == {
        f"{path}:{chain.name}" for chain in site.chains[:6]
    }


def test_forms_of_an_answer(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", lives=1)
    sql = """SELECT '=1+1' AS "=name", -1 AS n, TIMESTAMP '2026-11-22 08:26:40' AS t, [1, NULL] AS l, {'a': true} AS s,
             '{"b": 1}'::JSON AS j, NULL AS nothing, 1.5 AS d, 'infinity'::DOUBLE AS i, INTERVAL 90 SECONDS AS v,
             '\\xff'::BLOB AS b, 'two' AS n, E'\\x1b[31m##[error]' AS evil, DATE '2026-11-22' AS day"""
    code, out, err = query(tmp_path, "--json", sql, "ledger")
    assert (code, err) == (0, "")
    assert json.loads(out) == [{
        "=name": "=1+1", "n": -1, "t": "2026-11-22T08:26:40.000Z", "l": [1, None], "s": {"a": True}, "j": {"b": 1},
        "nothing": None, "d": 1.5, "i": "inf", "v": 90.0, "b": "ff", "n_2": "two", "evil": "\x1b[31m##[error]", "day": "2026-11-22",
    }]  # fmt: skip
    assert "##[" not in out
    code, out, err = query(tmp_path, "--csv", sql, "ledger")
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows == [
        ["'=name", "n", "t", "l", "s", "j", "nothing", "d", "i", "v", "b", "n", "evil", "day"],
        ["'=1+1", "-1", "2026-11-22T08:26:40.000Z", "1; ", '{"a": true}', '{"b": 1}', "", "1.5", "inf", "90.0", "ff", "two", "\\x1b[31m#\\#[error]", "2026-11-22"],
    ]  # fmt: skip
    code, out, err = query(tmp_path, "SELECT E'\\x1b[31mred\\n\\nlines' AS a, 1 AS b", "ledger")
    assert (code, out, err) == (0, "a                  b\n\\x1b[31mred lines  1\n", "")
    assert query(tmp_path, "--json", "SELECT 1 WHERE false", "ledger") == (0, "[]\n", "")
    assert query(tmp_path, "--csv", "SELECT 1 AS one WHERE false", "ledger") == (0, "one\r\n", "")
    out = query(tmp_path, "SELECT i FROM range(1234) t(i)", "ledger")[1]
    assert (len(out.splitlines()), out.splitlines()[-1]) == (
        1 + 1000 + 1,
        "And 234 more rows: --csv and --json print all of them.",
    )


def ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def is_asked(pid: int) -> bool:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            flags = int(Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split()[3], 8)
            if fd.readlink().name == "ledger.duckdb" and flags & os.O_ACCMODE == os.O_RDONLY:
                return True
    return False


def test_ctrl_c_ends_a_query_that_would_take_years(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", lives=1)
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "stepcreds",
            "ledger",
            "query",
            "SELECT sum(hash(i) % 7) FROM range(1000000000000000) t(i)",
            "ledger",
        ],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        # It has the database open to read alone, and uses time: it is in the query.
        deadline, used = time.monotonic() + 120, 0
        while not used or ticks(process.pid) < used + 20:
            assert process.poll() is None
            assert time.monotonic() < deadline
            used = used or (ticks(process.pid) if is_asked(process.pid) else 0)
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_empty_place_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert query(tmp_path, "SELECT count(*) AS n FROM credentials", "empty") == (
        0,
        "n\n0\n",
        "stepcreds: warning: there is no ledger here, so that every table is empty: name files, folders, or the URL of a "
        "store\n",
    )


def test_a_terminal_is_told_how_far_it_is(tmp_path: Path) -> None:
    size = write_ledger(tmp_path / "ledger", lives=2).stat().st_size
    ours, theirs = os.openpty()
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "ledger", "query", "SELECT count(*) AS n FROM credentials", "ledger"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=120,
        check=False,
    )
    os.close(theirs)
    said = os.read(ours, 1000).decode()
    os.close(ours)
    assert (run.returncode, run.stdout) == (0, b"n\n2\n")
    assert said == f"\r\x1b[K\r\x1b[KLoading {size:,} of {size:,}\r\x1b[K"


def test_what_a_wrong_query_is_told(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", lives=1)
    code, out, err = query(tmp_path, "SELECT wrong FROM credentials", "ledger")
    assert (code, out) == (2, "")
    assert err.startswith(
        'stepcreds: error: The query cannot be answered: Binder Error: Referenced column "wrong" not found in FROM clause!\n'
    )
    assert err.endswith(LIST + SEE)
    assert query(tmp_path, "SELECT 1; SELECT 2", "ledger") == (
        2,
        "",
        "stepcreds: error: The query holds 2 statements\n  fix: Ask one question at a time.\n" + SEE,
    )
    assert query(tmp_path, "DROP TABLE records", "ledger") == (
        2,
        "",
        "stepcreds: error: The query is no question: DuckDB takes it for DROP\n"
        "  cause: A ledger is only read: nothing can be written, loaded or set.\n"
        "  fix: Begin with SELECT, WITH, FROM, DESCRIBE or SUMMARIZE.\n" + SEE,
    )
    assert query(tmp_path, "ledger") == (
        2,
        "",
        "stepcreds: error: ledger is a place, and no SQL\n"
        "  cause: The SQL comes first, in quotes; then the places.\n"
        '  fix: stepcreds ledger query "FROM credentials" ledger\n' + SEE,
    )
    assert query(tmp_path, "--json", "--csv", "SELECT 1", "ledger") == (
        2,
        "",
        "stepcreds: error: --json and --csv ask for two forms at once\n  fix: Name one of them.\n" + SEE,
    )


def test_without_sql_it_lists_what_can_be_asked(tmp_path: Path) -> None:
    code, out, err = query(tmp_path)
    assert (code, err) == (0, "")
    for table in TABLES:
        assert f"{table.name}: a row is {table.row}\n" in out
        assert all(re.search(rf"\b{name}\b", out) for name, _ in table.columns)
    code, out, err = query(tmp_path, "--json")
    assert [each["name"] for each in json.loads(out)] == [table.name for table in TABLES]


def examples_of_help() -> list[list[str]]:
    return [
        shlex.split(line)
        for line in str(command.epilog).splitlines()
        if line.strip().startswith("stepcreds ledger query")
    ]


def examples_of_docs() -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "query.md").read_text()
    section = page.split("## Examples\n")[1].split("\n## ")[0]
    return [block.strip() for block in section.split("\n\n") if block.startswith("    --")]


@pytest.mark.parametrize("example", examples_of_help(), ids=lambda words: " ".join(words[3:])[:40])
def test_the_examples_of_the_help_run(site: Site, tmp_path: Path, example: list[str]) -> None:
    (tmp_path / "artifacts").symlink_to(site.ledgers)
    (tmp_path / "trust.json").symlink_to(site.trust)
    words = example[3:]
    if ">" in words:  # the shell's
        words = words[: words.index(">")]
    code, out, err = query(tmp_path, *words)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 1


@pytest.mark.parametrize("example", examples_of_docs(), ids=lambda sql: sql.splitlines()[0][3:40])
def test_the_examples_of_the_page_run(site: Site, example: str) -> None:
    found = asked(site, example)
    if "14:02" not in example and "no records" not in example:  # of days that this site has not, and of a good ledger
        assert found


def test_there_are_examples() -> None:
    assert (len(examples_of_help()), len(examples_of_docs())) == (5, 7)
