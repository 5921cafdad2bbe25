"""Chains out of the Parquet files of `ledger seal`: put together from their pieces, and counted once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ledger_samples import relinked
from ledger_site import Site, make_site

from stepcreds.errors import LedgerError
from stepcreds.ledger.link import MAX_LINE
from stepcreds.query import compacted, loading
from stepcreds.query.database import answer, loaded
from stepcreds.review.sources import local, opened

Row = tuple[str, int, str]
QUESTIONS = (
    "SELECT line, raw, kind, time FROM records",
    "SELECT * EXCLUDE (file) FROM credentials",
    "SELECT chain_uid, entries, closed, credentials, tampered, incomplete FROM chains",
    "SELECT line, code FROM findings",
    "SELECT * EXCLUDE (file) FROM overlapping",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=1, runs=12, signed=0)


def asked(files: Iterable[Path], sql: str) -> list[tuple[Any, ...]]:
    with loaded(local(files), None, sql) as database:
        found = list(answer(database, sql).rows)
        assert database.errors == ()
    return found


def lines(chain: Path) -> list[Row]:
    return [(chain.name, number, line) for number, line in enumerate(chain.read_text().splitlines(), 1)]


def table(path: Path, rows: list[Row]) -> Path:
    """As `ledger seal` writes one, with its rows in another order."""
    text = path.with_suffix(".json")
    text.write_text("".join(json.dumps({"file": f, "line": n, "raw": r}) + "\n" for f, n, r in reversed(rows)))
    with duckdb.connect() as connection:
        types = "{file: 'VARCHAR', line: 'INTEGER', raw: 'VARCHAR'}"
        found = f"FROM read_json('{text}', format = 'newline_delimited', columns = {types})"
        connection.execute(f"COPY ({found}) TO '{path}' (FORMAT parquet)")
    text.unlink()
    return path


def same(one: Iterable[Path], other: Iterable[Path]) -> None:
    for sql in QUESTIONS:
        assert sorted(map(repr, asked(one, sql))) == sorted(map(repr, asked(other, sql))), sql


def test_a_chain_in_pieces_is_one_chain(site: Site, tmp_path: Path) -> None:
    """What a seal caught in mid-job; and a table whose seal never came, with lines that the next has as well."""
    chains = site.chains[:6]
    cut, *others = chains
    first = table(tmp_path / "1.parquet", lines(cut)[:4])
    lost = table(tmp_path / "2.parquet", lines(cut)[4:7])
    last = table(tmp_path / "3.parquet", lines(cut)[4:] + [row for chain in others for row in lines(chain)])
    same([last, lost, first], chains)
    assert asked([first, lost, last], "SELECT count(DISTINCT file), min(file) FROM chains") == [
        (6, f"{first}:{cut.name}")
    ]


def test_chains_of_one_file_name_stay_two(site: Site, tmp_path: Path) -> None:
    one, other = site.chains[:2]
    renamed = [("same.jsonl", number, raw) for chain in (one, other) for _, number, raw in lines(chain)]
    same([table(tmp_path / "t.parquet", renamed)], [one, other])


def test_beside_its_ledger_a_chain_counts_once(site: Site, tmp_path: Path) -> None:
    chains = site.chains[:3]
    whole = table(tmp_path / "t.parquet", [row for chain in chains for row in lines(chain)])
    piece = table(tmp_path / "p.parquet", lines(chains[0])[2:5])
    same([*chains, whole, piece], chains)

    # But not where the ledger says something else than the table.
    cut = tmp_path / chains[0].name
    cut.write_text("".join(chains[0].read_text().splitlines(keepends=True)[:3]))
    assert asked([cut, whole], "SELECT file, entries FROM chains WHERE chain_uid = (SELECT any_value(chain_uid) FROM chains WHERE entries = 3)") == [
        (str(cut), 3),
        (f"{whole}:{cut.name}", len(lines(chains[0]))),
    ]  # fmt: skip


def forged(chain: Path) -> list[Row]:
    """`chain` with another time in its third record, linked anew."""
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    records[2]["time"] = "2026-11-01T00:00:00.000Z"
    return [(chain.name, n, raw) for n, raw in enumerate(relinked(records).decode().splitlines(), 1)]


def told(files: Iterable[Path], sql: str) -> tuple[list[tuple[Any, ...]], list[str]]:
    with loaded(local(files), None, sql) as database:
        return list(answer(database, sql).rows), [error.what for error in database.errors]


def test_pieces_that_contradict_each_other_are_both_shown(site: Site, tmp_path: Path) -> None:
    """Or whoever writes a table with a name before the true one's would take its records out."""
    chain, other = site.chains[:2]
    evil = table(tmp_path / "1.parquet", forged(chain))
    true = table(tmp_path / "2.parquet", lines(chain)[:5])
    rest = table(tmp_path / "3.parquet", lines(chain)[5:] + lines(other))
    rows, errors = told([evil, true, rest], "SELECT file, line, raw FROM records")
    expected = [
        *((f"{evil}:{name}", n, raw) for name, n, raw in forged(chain)),
        *((f"{true}:{name}", n, raw) for name, n, raw in lines(chain)[:5]),
        *((f"{rest}:{name}", n, raw) for name, n, raw in lines(chain)[5:] + lines(other)),
    ]
    assert sorted(rows) == sorted(expected)
    assert errors == [
        f"{evil} and {true} contradict each other in 1 chain",
        f"{evil} and {rest} contradict each other in 1 chain",
    ]
    found, _ = told([evil, true, rest], "SELECT file, line, meaning FROM findings WHERE code = 'contradiction'")
    count = len(lines(chain))
    meaning = {n: f"{evil} and {true if n <= 5 else rest} have different lines here" for n in range(3, count + 1)}
    assert sorted(found) == sorted(
        [(f"{evil}:{chain.name}", n, meaning[n]) for n in meaning]
        + [(f"{true if n <= 5 else rest}:{chain.name}", n, meaning[n]) for n in meaning]
    )


def test_a_table_that_contradicts_a_ledger_is_told_of(site: Site, tmp_path: Path) -> None:
    chain = site.chains[0]
    evil, true = table(tmp_path / "1.parquet", forged(chain)), table(tmp_path / "2.parquet", lines(chain))
    one = f"{chain} and {evil} contradict each other in 1 chain"
    rows, errors = told([chain, evil], "SELECT file, entries, tampered FROM chains")
    count = len(lines(chain))
    assert [row[:2] for row in rows] == [(str(chain), count), (f"{evil}:{chain.name}", count)]
    assert rows[1][2] >= 1
    assert errors == [one]
    # The true table is the ledger, also where the two tables are at odds.
    rows, errors = told([chain, evil, true], "SELECT file FROM chains")
    assert rows == [(str(chain),), (f"{evil}:{chain.name}",)]
    assert sorted(errors) == sorted([one, f"{evil} and {true} contradict each other in 1 chain"])


def test_a_table_with_two_lines_of_one_number_is_told_of(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", [("x.jsonl", 1, "b"), ("x.jsonl", 1, "a")])
    assert told([path], "SELECT raw FROM records") == ([("a",)], [f"{path} contradicts itself in 1 chain"])


def bomb(path: Path, rows: int, raw: str, file: str = "'x.jsonl'") -> Path:
    with duckdb.connect() as connection:
        found = f"SELECT {file} AS file, i + 1 AS line, {raw} AS raw FROM range({rows}) t(i)"  # noqa: S608
        connection.execute(f"COPY ({found}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)")
    return path


TOO_MUCH = "it stands for more than 50 times what it is"


@pytest.mark.parametrize(
    ("rows", "raw", "file", "why"),
    [
        (900, "repeat('x', 200000)", "'x'", TOO_MUCH),  # one text, which only its rows are many of
        (40_000, "repeat('x', 10000) || i", "'x'", TOO_MUCH),  # pages that unpack to much
        (400_000, "''", "'x'", TOO_MUCH),  # rows of nothing
        (1, f"repeat('x', {MAX_LINE + 1})", "'x'", f"a line of more than {MAX_LINE} bytes"),
        (1, "''", "repeat('x', 1025)", "a name of more than 1024 bytes"),
    ],
    ids=["dictionary", "pages", "rows", "line", "name"],
)
def test_a_table_that_unpacks_to_too_much_costs_itself_alone(
    site: Site, tmp_path: Path, rows: int, raw: str, file: str, why: str
) -> None:
    evil = bomb(tmp_path / "1.parquet", rows, raw, file)
    assert evil.stat().st_size < 2_000_000
    true = table(tmp_path / "2.parquet", lines(site.chains[0]))
    assert told([evil, true], "SELECT file, line, raw FROM records") == (
        [(f"{true}:{name}", n, line) for name, n, line in lines(site.chains[0])],
        [f"{evil} is no Parquet file of `ledger seal`: {why}"],
    )


def test_tables_that_duckdb_cannot_join_leave_the_ledgers(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, a memory that is too small."""
    chain = site.chains[0]
    path = table(tmp_path / "t.parquet", lines(site.chains[1]))
    # So that it needs no disk of ours.
    monkeypatch.setattr(compacted, "_JOIN", "SELECT error('disk full') FROM pieces")
    rows, errors = told([chain, path], "SELECT count(*) FROM records")
    assert rows == [(len(lines(chain)),)]
    assert errors == ["1 Parquet file cannot be put together: Invalid Input Error: disk full"]


def test_what_duckdb_cannot_load_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_MAKE_LINES", "SELECT error('disk full'), ?")
    with pytest.raises(LedgerError) as raised:
        told(site.chains[:1], "FROM records")
    assert raised.value.what == "The ledgers cannot be loaded: Invalid Input Error: disk full"


def test_a_fifo_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.parquet")
    assert told([tmp_path / "t.parquet"], "FROM records") == (
        [],
        [f"{tmp_path}/t.parquet is no Parquet file of `ledger seal`: it is no file, or not there"],
    )


def test_a_contradiction_is_said_to_whoever_asks_for_something_else(site: Site, tmp_path: Path) -> None:
    chain = site.chains[0]
    table(tmp_path / "1.parquet", forged(chain))
    table(tmp_path / "2.parquet", lines(chain))
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "ledger", "query", "--csv", "SELECT count(*) AS n FROM records", "."],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, f"n\n{2 * len(lines(chain))}\n")
    assert run.stderr == (
        "stepcreds: error: 1.parquet and 2.parquet contradict each other in 1 chain\n"
        "  cause: One of them was changed, or was never made by `ledger seal`. The chain is shown as each has it.\n"
        "  fix: The column `file` says who has a row; `stepcreds ledger verify --seals` says which tables the seals name.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-query\n"
    )


def test_lines_that_are_in_no_table_are_no_tampering(site: Site, tmp_path: Path) -> None:
    chain = site.chains[0]
    rows = lines(chain)
    gap = table(tmp_path / "1.parquet", rows[:2] + rows[4:])
    found = asked([gap], "SELECT layer, line, code, certainty, meaning FROM findings")
    meaning = "the lines 3 to 4 are in none of the Parquet files that were named; its links were not checked"
    assert found == [("file", 3, "gap", "incomplete", meaning)]
    assert asked([gap], "SELECT line, raw FROM records") == [(n, raw) for _, n, raw in rows[:2] + rows[4:]]
    head = table(tmp_path / "2.parquet", rows[1:])
    assert asked([head], "SELECT line, code, meaning FROM findings") == [
        (1, "gap", "line 1 is in none of the Parquet files that were named; its links were not checked")
    ]


@pytest.mark.parametrize("row", [("x.jsonl", 0, "{}"), ("x.jsonl", None, "{}"), ("x.jsonl", 1, None), (None, 1, "{}")])
def test_rows_that_no_seal_writes(tmp_path: Path, row: Row) -> None:
    path = table(tmp_path / "t.parquet", [row])
    with loaded(local([path]), None, "FROM records") as database:
        assert list(answer(database, "FROM records").rows) == []
        assert [error.what for error in database.errors] == [
            f"{path} is no Parquet file of `ledger seal`: a row without a file, a line from 1, or a text"
        ]


def test_a_line_with_a_newline_in_it_is_one_line(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", [("x.jsonl", 1, '{"kind":\n"a"}'), ("x.jsonl", 2, "")])
    assert asked([path], "SELECT line, kind, raw FROM records") == [(1, None, '{"kind":?"a"}'), (2, None, "")]


def test_a_folder_is_asked_for_its_tables_where_that_is_wanted(site: Site, tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", lines(site.chains[0]))
    (tmp_path / "seal-000001.json").write_text("{}\n")
    with opened([str(tmp_path)]) as plain, opened([str(tmp_path)], tables=True) as found:
        assert ([source.path for source in plain], [source.path for source in found]) == ([], [path])
