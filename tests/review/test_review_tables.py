"""Chains out of Parquet files, as `ledger seal` compacts them: an honest job leaves nothing to be found in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ledger_samples import JOB, STEP, UIDS, closed, issued, requested

from stepcreds.clock import SystemClock
from stepcreds.config.model import LedgerSettings
from stepcreds.ledger.journal import Journal
from stepcreds.query.database import answer, loaded
from stepcreds.review.sources import Source, local
from stepcreds.sealing.chains import look
from stepcreds.sealing.table import parquet
from stepcreds.seals.log import Log

FINDINGS = "SELECT file, layer, code, certainty, meaning FROM findings ORDER BY file, code"


def write(folder: Path, chains: int) -> list[Path]:
    """The chains of one job that went on after each was closed, and names a key."""
    paths = []
    for _ in range(chains):
        where = LedgerSettings(folder, "transit/keys/stepcreds-123456")
        journal = Journal.open(where, JOB, step_uid=STEP, claims={}, vault_addr="http://vault", clock=SystemClock())
        for event in (requested(UIDS[0]), issued(UIDS[0]), closed(UIDS[0])):
            journal.append(event)
        journal.close(STEP)
        paths.append(journal.path)
    return paths


def table(path: Path, chains: Iterable[Path]) -> Path:
    path.write_bytes(parquet(look(local(chains), Log("", checked=False), None))[0])
    return path


def asked(*files: Path) -> list[tuple[Any, ...]]:
    with loaded(local(files), None, FINDINGS) as database:
        assert database.errors == ()
        return list(answer(database, FINDINGS).rows)


@pytest.fixture
def chains(tmp_path: Path) -> list[Path]:
    made = write(tmp_path / "made", 3)
    stem = made[0].stem
    assert [path.name for path in made] == [f"{stem}.jsonl", f"{stem}.2.jsonl", f"{stem}.3.jsonl"]
    return made


def test_a_job_that_went_on_after_its_chain_was_closed(chains: list[Path], tmp_path: Path) -> None:
    """Its chains in one table, in one for each hour, and in tables and as they were."""
    assert asked(table(tmp_path / "all.parquet", chains)) == []
    each = [table(tmp_path / f"{number}.parquet", [path]) for number, path in enumerate(chains)]
    assert asked(*each) == []
    assert asked(*reversed(each)) == []
    copy = tmp_path / chains[0].name
    copy.write_bytes(chains[0].read_bytes())
    none = "the chain says that 'transit/keys/stepcreds-123456' signs it, and there is no checkpoint"
    # Of a file it is asked what signs it: its checkpoints would be beside it.
    assert asked(copy, *each[1:]) == [(str(copy), "checkpoint", "none", "incomplete", none)]


def test_what_is_in_none_of_the_tables_is_not_here(chains: list[Path], tmp_path: Path) -> None:
    first, second, third = chains
    one, three = table(tmp_path / "1.parquet", [first]), table(tmp_path / "3.parquet", [third])
    meaning = f"the chain before it, {second.name}, is not here: it was removed, or not copied"
    assert asked(one, three) == [(f"{three}:{third.name}", "folder", "gap", "unknown", meaning)]


def test_an_end_that_is_in_another_table_is_no_tampering(chains: list[Path], tmp_path: Path) -> None:
    """A seal came while the first was written: its end is in the next table, which nobody named."""
    first, second, _ = chains
    begun = tmp_path / first.name
    begun.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    one, two = table(tmp_path / "1.parquet", [begun]), table(tmp_path / "2.parquet", [second])
    meaning = (
        f"the job attempt went on in {two}:{second.name}, and the end of this chain is in none of the Parquet files "
        "that were named"
    )
    assert asked(one, two) == [(f"{one}:{first.name}", "folder", "not-closed", "incomplete", meaning)]


@pytest.mark.parametrize("name", ["x.parquet:joined-1.jsonl", "joined-1.jsonl", "x.parquet:chain.jsonl"])
def test_no_file_says_by_its_name_that_it_is_out_of_a_table(chains: list[Path], tmp_path: Path, name: str) -> None:
    """It would not be asked what signs it."""
    path = chains[0].rename(tmp_path / name)
    assert not Source(str(path), path).is_of_table
    assert [row[2] for row in asked(path)] == ["none"]
