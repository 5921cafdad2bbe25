"""Chains out of the Parquet files of `ledger seal`: put together from their pieces, and counted once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ledger_samples import relinked
from ledger_site import Site, make_site

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


def test_what_pieces_contradict_each_other_in_is_a_finding(site: Site, tmp_path: Path) -> None:
    chain = site.chains[0]
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    records[2]["time"] = "2026-11-01T00:00:00.000Z"
    forged = [(chain.name, n, raw) for n, raw in enumerate(relinked(records).decode().splitlines(), 1)]
    one, other = table(tmp_path / "1.parquet", lines(chain)), table(tmp_path / "2.parquet", forged)
    found = asked([one, other], "SELECT layer, line, code, certainty, meaning FROM findings ORDER BY line")
    meaning = f"{one}, which counts, and {other} have different lines here"
    assert found == [("file", n, "contradiction", "tampered", meaning) for n in range(3, len(records) + 1)]
    assert asked([one, other], "SELECT raw FROM records") == [(raw,) for *_, raw in lines(chain)]


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
