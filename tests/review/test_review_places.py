"""Folders that nobody can search to their end: they are told of, and what lies elsewhere is reviewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from ledger_samples import write_ledger
from signed_chains import found, review

from stepcreds.cli.ledger_verify import command
from stepcreds.config.store_url import folder_url
from stepcreds.errors import UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.printable import one_line
from stepcreds.query.database import answer, loaded
from stepcreds.review.dossier import read
from stepcreds.review.sources import opened
from stepcreds.sealing.chains import look
from stepcreds.seals.log import Log
from stepcreds.storage.pull import pull


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder of a ledger and, beside it, of folders in folders whose path is longer than one may be."""
    folder = tmp_path / "ledgers"
    write_ledger(folder, lives=1)
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("lost.jsonl").write_bytes(b"x\n")
    finally:
        os.fchdir(before)
        os.close(before)
    yield folder


WHY = "ledgers may lie here, and nobody could look: its path is longer than one may be"


def test_a_folder_that_is_too_deep_is_told_of_and_the_rest_is_verified(deep: Path) -> None:
    results = review(deep, None)
    assert found(results) == [("file", "unreadable", 0, "unknown")]
    assert [result.entries for result in results] == [5, 0]
    (finding,) = results[1].findings
    assert finding.meaning == WHY
    assert finding.file.startswith(f"{deep}/{'d' * 200}/")
    with opened([str(deep)]) as sources:
        dossier = read(sources)
    assert [error.what for error in dossier.errors] == [f"{one_line(finding.file)}: {WHY}"]
    assert len(dossier.chapters) == 1


def test_it_fails_a_job_that_asks_only_for_what_is_sure(deep: Path) -> None:
    run = CliRunner().invoke(command, ["--fail-on", "tampered", str(deep)], standalone_mode=False)
    assert (run.return_value, run.exception) == (1, None)
    assert f"  file/unreadable (unknown): {WHY}\n" in run.output


def test_a_query_and_a_seal_go_on_with_what_is_left(deep: Path) -> None:
    with opened([str(deep)], tables=True) as sources:
        asked = "SELECT code, meaning FROM findings"
        with loaded(sources, None, asked) as database:
            assert list(answer(database, asked).rows) == [("unreadable", WHY)]
            assert [error.what.endswith(f" more characters): {WHY}") for error in database.errors] == [True]
        seen = look(sources, Log("", checked=False), None)
    assert [[finding.meaning for finding in each.wrong] for each in seen] == [[], [WHY]]


def test_what_is_fetched_out_of_it_is_all_but_that(deep: Path, tmp_path: Path) -> None:
    """What a copy, or a fetching, that was killed left there is left out; but no folder that is only called so."""
    (chain,) = deep.glob("*.jsonl")
    (deep / ".chain.jsonl.0123abcd").write_bytes(b"half")
    (deep / ".stepcreds-pull").mkdir()
    (deep / ".stepcreds-pull" / "part").write_bytes(b"half")
    hidden = deep / ".y.01234567"
    hidden.mkdir()
    (hidden / "z.jsonl").write_bytes(chain.read_bytes())
    pulled = pull(folder_url(deep), tmp_path / "here")
    assert [each.file for each in pulled.files] == [tmp_path / "here" / chain.name]
    elsewhere, longer = pulled.findings
    assert elsewhere == Finding(
        "store",
        f"{hidden}/z.jsonl",
        0,
        "refused",
        "not fetched: its name leads elsewhere, or to a hidden file",
        "unknown",
    )
    assert (longer.code, longer.meaning) == ("refused", "not fetched: its name is longer than that of a file may be")
    assert longer.file.startswith(f"{deep}/{'d' * 200}/")


def test_a_place_of_any_length_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no ledger at "), opened([f"{tmp_path}/{'a' * 300}"]):
        pass
    link = tmp_path / f"{'n' * 249}.jsonl"  # its checkpoints could not be called after it
    link.symlink_to("nowhere")
    assert found(review(tmp_path, None)) == [("file", "unreadable", 0, "unknown")]
