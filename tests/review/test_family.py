"""Chains of one job attempt, however many there are and whatever their files are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_samples import open_journal
from signed_chains import found, review

from stepcreds.ledger.chain import Finding

STEP = "3f0e8a52-1c6d-4b9e-8f27-5a94d0c7b611"
MANY = 60


def chains(folder: Path, count: int) -> list[Path]:
    """Chains of one job attempt, each begun in a folder of its own."""
    made = []
    for number in range(count):
        journal = open_journal(folder / str(number))
        journal.close(STEP)
        made.append(journal.path)
    return made


def test_each_of_many_chains_of_a_job_attempt_names_one_and_counts_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for number, path in enumerate(chains(tmp_path, MANY)):
        path.rename(folder / f"{number:03d}.jsonl")
    results = review(folder, None)
    told = [finding for result in results for finding in result.findings]
    first, of = str(folder / "000.jsonl"), "another chain of the job attempt in"
    rest = "and by its name not the one after it"
    assert [(each.file, each.code, each.meaning) for each in told] == [
        (
            str(folder / f"{number:03d}.jsonl"),
            "second-chain",
            f"{of} {first}, {rest}" if number == 1 else f"{of} {first} and in {number - 1} more, {rest}",
        )
        for number in range(1, MANY)
    ]


def test_chains_of_one_name_in_many_folders(tmp_path: Path) -> None:
    paths = chains(tmp_path, 3)
    assert len({path.name for path in paths}) == 1
    results = review(tmp_path, None)
    assert found(results) == [("folder", "second-chain", 0, "unknown")] * 2
    assert " and in 1 more, " in results[2].findings[0].meaning


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("first", ["a", "b"])
def test_one_chain_is_closed_before_the_next_is_begun(first: str, closed: bool, tmp_path: Path) -> None:
    """Whichever of the two is read first."""
    one, two = chains(tmp_path / "made", 2)
    if not closed:
        one.write_bytes(b"".join(one.read_bytes().splitlines(keepends=True)[:-1]))
    name = one.stem
    places = {"one": first, "two": "b" if first == "a" else "a"}
    for place in ("a", "b"):
        (tmp_path / "all" / place).mkdir(parents=True)
    file = one.rename(tmp_path / "all" / places["one"] / f"{name}.jsonl")
    after = two.rename(tmp_path / "all" / places["two"] / f"{name}.2.jsonl")
    told = [each for result in review(tmp_path / "all", None) for each in result.findings if each.code != "gap"]
    meaning = f"the job attempt went on in {after}, which nobody begins before this chain is closed"
    assert told == ([] if closed else [Finding("folder", str(file), 0, "not-closed", meaning, "tampered")])


@pytest.mark.parametrize("name", ["a\nb.jsonl", "chain.log", "\n.jsonl", ".2.jsonl"])
def test_a_file_of_any_name_is_reviewed(name: str, tmp_path: Path) -> None:
    (path,) = chains(tmp_path / "made", 1)
    folder = tmp_path / "all"
    folder.mkdir()
    path.rename(folder / name)
    results = review(folder / name if name.endswith(".log") else folder, None)
    assert [result.closed for result in results] == [True]


def test_a_link_does_not_stand_for_the_file_that_it_leads_to(tmp_path: Path) -> None:
    """Its checkpoints are beside that, and nothing is beside the link."""
    (path,) = chains(tmp_path, 1)
    path.with_suffix(".checkpoints").write_bytes(b"garbage\n")
    (path.parent / "0.jsonl").symlink_to(path.name)
    (result,) = review(path.parent, None)
    assert result.file == str(path)
    assert found([result]) == [("checkpoint", "envelope", 1, "tampered")]
