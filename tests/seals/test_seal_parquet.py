"""The Parquet file beside a seal: every line that the seal is the first to seal, exactly, and its hash in what is signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml
from sealing_site import SealingSite

from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint
from stepcreds.ledger.chain import Finding
from stepcreds.review.sources import local
from stepcreds.sealing import making
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


def test_what_was_sealed_without_a_table_is_in_the_next(site: SealingSite) -> None:
    grows, whole = site.life(), site.life()
    restore = site.shorten(grows, 3)
    assert site.seal().returncode == 0
    restore()
    made = site.seal("--parquet")
    table = tables(site)[-1]
    assert table is not None
    assert [(part.chain_uid, part.size) for part in table.also] == [
        (json.loads(whole.read_text().splitlines()[0])["chain_uid"], len(whole.read_text().splitlines()))
    ]
    assert rows(site.seals / table.name) == lines(site)
    said = f"{table.rows} records in {table.name}, of 1 chain that earlier seals have as well"
    assert made.stdout.splitlines()[-2] == said
    assert site.seal("--parquet").returncode == 0
    assert tables(site)[-1] is None  # all of it is in a table

    # Sealed without a table, and not here any more when one is made.
    third = site.life()
    assert site.seal().returncode == 0
    for path in (third, checkpoint.beside(third)):
        path.unlink()
    said = site.seal("--parquet").stdout.splitlines()[2]
    assert said == "not here, and not to its end in a Parquet file: 1 chain"
    assert site.log().findings == []


def test_more_than_one_table_takes_is_in_several(site: SealingSite, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        site.life()
    assert site.seal().returncode == 0
    monkeypatch.setattr(making, "TABLE_ROOM", 1)
    order = making.Order(local(sorted(site.ledgers.glob("*.jsonl"))), Folder(site.seals), site.trust(), compact=True)
    made = list(making.make(order, site.sign, SystemClock()))
    assert [(len(each.added), each.seal.parquet and len(each.seal.parquet.also)) for each in made] == [(0, 1)] * 3
    assert site.log().findings == []
    names = [each.name for each in tables(site) if each is not None]
    assert rows(*(site.seals / name for name in names)) == lines(site)


def test_where_nobody_signs_there_is_no_table(site: SealingSite) -> None:
    site.life()
    document = yaml.safe_load(site.config.read_text())
    document["ledger"]["seal"]["role"] = "app-verify"
    site.config.write_text(yaml.safe_dump(document))
    assert site.seal("--parquet").returncode == 1
    assert not site.seals.exists()


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
