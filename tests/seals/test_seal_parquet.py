"""The Parquet file beside a seal: every line that the seal is the first to seal, exactly, and its hash in what is signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sealing_site import SealingSite

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Finding
from stepcreds.seals.log import changed_tables
from stepcreds.seals.place import Folder
from stepcreds.seals.seal import Table, digest

Row = tuple[str, int, str]


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-3") as site:
        yield site


def rows(*files: Path) -> list[Row]:
    with duckdb.connect() as connection:
        names = [str(file) for file in files]
        found: list[Row] = connection.execute(
            "SELECT file, line, raw FROM read_parquet(?) ORDER BY file, line", [names]
        ).fetchall()
    return found


def lines(site: SealingSite) -> list[Row]:
    return [
        (path.name, number, line.decode())
        for path in sorted(site.ledgers.glob("*.jsonl"))
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
    ]


def tables(site: SealingSite) -> list[Table | None]:
    return [each.seal.parquet for each in site.log().seals]


def test_it_holds_each_line_as_it_stands(site: SealingSite) -> None:
    for kind in ("proven", "leaked", "not issued", "open"):
        site.life(kind)
    made = site.seal("--parquet")
    assert (made.returncode, made.stderr) == (0, "")
    (table,) = tables(site)
    assert table is not None
    file = site.seals / table.name
    assert table == Table(
        f"seal-000001-{digest(file.read_bytes())[:12]}.parquet", digest(file.read_bytes()), len(lines(site))
    )
    assert rows(file) == lines(site)
    assert made.stdout.splitlines()[-2] == f"{table.rows} records in {table.name}"
    with duckdb.connect() as connection:
        kinds = connection.execute(
            f"SELECT kind, count(*), min(line), count(DISTINCT chain_uid), min(length(step_uid)), min(time) FROM '{file}' "  # noqa: S608
            "WHERE kind = 'chain.opened' GROUP BY kind"
        ).fetchall()
    assert [each[:5] for each in kinds] == [("chain.opened", 4, 1, 4, 36)]
    assert kinds[0][5] in lines(site)[0][2] or kinds[0][5].endswith("Z")


def test_together_they_hold_each_line_once(site: SealingSite) -> None:
    grows = site.life()
    restore = site.shorten(grows, 3)
    assert site.seal("--parquet").returncode == 0
    assert site.seal("--parquet").returncode == 0  # nothing is new: there is no file
    restore()
    site.life()
    assert site.seal("--parquet").returncode == 0
    first, none, last = tables(site)
    assert none is None
    assert first is not None
    assert last is not None
    assert first.rows == 3
    assert rows(site.seals / first.name, site.seals / last.name) == lines(site)


def test_names_and_texts_from_outside_stay_what_they_are(site: SealingSite) -> None:
    chain = site.life()
    hostile = chain.with_name('it\'s; DROP TABLE "x" -- \N{SNOWMAN}.jsonl')
    chain.rename(hostile)
    checkpoint.beside(chain).rename(checkpoint.beside(hostile))
    assert site.seal("--parquet").returncode == 0
    (table,) = tables(site)
    assert table is not None
    assert rows(site.seals / table.name) == lines(site)


def test_a_table_that_is_another_is_found(site: SealingSite) -> None:
    site.life()
    assert site.seal("--parquet").returncode == 0
    (table,) = tables(site)
    assert table is not None
    file, place = site.seals / table.name, Folder(site.seals)
    assert changed_tables(site.log(), place) == []
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"?")
    seal = site.seals / "seal-000001.json"
    assert changed_tables(site.log(), place) == [
        Finding(
            "seal",
            str(file),
            0,
            "table",
            f"not the Parquet file that {seal} was signed with: what queries read in it was changed",
            "tampered",
        )
    ]
    file.unlink()
    (gone,) = changed_tables(site.log(), place)
    assert (gone.certainty, gone.meaning) == (
        "incomplete",
        f"the Parquet file of {seal} is not here: removed, or not copied",
    )
