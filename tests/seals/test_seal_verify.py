"""`stepcreds ledger verify --seals`: what a reviewer reads who has the ledgers, the seals and the trust file."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealing_site import SealingSite, warm

from stepcreds.cli.ledger_verify_text import NOT_COMPLETE
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint
from stepcreds.review.sources import local
from stepcreds.review.verification import verify


@pytest.fixture(scope="module")
def sealed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path_factory.mktemp("sealed"), mount="sealing-4") as site:
        for _ in range(2):
            site.life()
            assert site.seal().returncode == 0
        yield site


@pytest.fixture
def folder(sealed: SealingSite, tmp_path: Path) -> Path:
    """What the reviewer has."""
    for name in ("ledgers", "seals"):
        shutil.copytree(sealed.folder / name, tmp_path / name)
    shutil.copy(sealed.trust_file, tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without a network, a CI or a configuration."""
    trust = folder / "stepcreds-trust.json"
    env = {"HOME": str(folder), **({"STEPCREDS_TRUST": str(trust)} if trust.exists() else {})}
    return warm()("ledger", "verify", *arguments, cwd=folder, env=env)


def test_nothing_is_found(sealed: SealingSite, folder: Path) -> None:
    done = run(folder, "--seals", "seals", "ledgers")
    first, second = sorted((folder / "ledgers").glob("*.jsonl"))
    sizes = [len(path.read_bytes().splitlines()) for path in (first, second)]
    newest = sealed.log().seals[-1]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"ledgers/{first.name}: ok, {sizes[0]} records, closed, signed\n"
        f"ledgers/{second.name}: ok, {sizes[1]} records, closed, signed\n"
        f"seals: ok, 2 seals, signed, the newest of {newest.seal.time}\n"
        f"2 files, {sum(sizes)} records: nothing found.\n"
        "Signed: 2 chains, by keys of " + f"{folder}/stepcreds-trust.json.\n{NOT_COMPLETE}\n"
    )
    told = json.loads(run(folder, "--seals", "seals", "--json", "ledgers").stdout)
    assert told["seals"] == {
        "place": "seals",
        "state": "signed",
        "seals": 2,
        "newest": {"seq": 2, "time": newest.seal.time, "root": newest.seal.root, "sha256": newest.digest},
        "findings": [],
    }
    assert "seals" not in json.loads(run(folder, "--json", "ledgers").stdout)


def test_a_deleted_segment_and_a_cut_end_are_told(sealed: SealingSite, folder: Path) -> None:
    """The two rows of the table of attacks that nothing but a seal, or Vault's audit log, finds."""
    cut, gone = sorted((folder / "ledgers").glob("*.jsonl"))
    sizes = [len(path.read_bytes().splitlines()) for path in (cut, gone)]
    cut.write_bytes(cut.read_bytes().splitlines(keepends=True)[0])
    for path in (gone, checkpoint.beside(gone), checkpoint.beside(cut)):
        path.unlink()
    without = run(folder, "ledgers")
    assert (without.returncode, "tampered" in without.stdout) == (0, False)

    done = run(folder, "--seals", "seals", "ledgers")
    first, second = (each.seal.time for each in sealed.log().seals)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        f"ledgers/{cut.name}: 1 finding, 1 record, open",
        f"  line 1: seal/shorter (tampered): 1 record, and {sizes[0]} in the seal of {first} (seals/seal-000001.json): its "
        "end was cut, or this is an older copy",
        f"seals: 1 finding, 2 seals, signed, the newest of {second}",
        f"  {gone.name}: seal/deleted (incomplete): a chain of {sizes[1]} records is in the seal of {second} "
        "(seals/seal-000002.json) and is not here: it was removed, or is not among the ledgers that were named",
    ]
    told = json.loads(run(folder, "--seals", "seals", "--json", "ledgers").stdout)
    assert [each["code"] for each in told["seals"]["findings"]] == ["deleted"]


def test_without_a_trust_file_that_is_said(sealed: SealingSite, folder: Path) -> None:
    (folder / "stepcreds-trust.json").unlink()
    done = run(folder, "--seals", "seals", "ledgers")
    newest = sealed.log().seals[-1].seal.time
    assert done.returncode == 0
    assert done.stdout.splitlines()[2] == f"seals: ok, 2 seals, signatures not checked, the newest of {newest}"


def test_no_seals_are_no_proof(folder: Path) -> None:
    (folder / "none").mkdir()
    done = run(folder, "--seals", "none", "ledgers")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stepcreds: error: There is no seal at none\n"
        "  cause: No job has sealed yet, or the seals are elsewhere, or all of them were removed.\n"
        "  fix: Name the folder or the URL that `stepcreds ledger seal` writes to (ledger.seal.to).\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-seal\n"
    )


def test_several_processes_find_the_same(sealed: SealingSite, folder: Path) -> None:
    cut = sorted((folder / "ledgers").glob("*.jsonl"))[0]
    cut.write_bytes(cut.read_bytes().splitlines(keepends=True)[0])
    sources = local(sorted((folder / "ledgers").glob("*.jsonl")))
    alone = list(verify(sources, sealed.trust(), seals=sealed.log(), processes=1))
    together = list(verify(sources, sealed.trust(), seals=sealed.log(), processes=2))
    assert alone == together
    assert ("seal", "shorter") in {(each.layer, each.code) for each in together[0].findings}


def test_where_every_ledger_is_gone_the_seals_tell_of_each(sealed: SealingSite, folder: Path) -> None:
    for path in (folder / "ledgers").iterdir():
        path.unlink()
    assert run(folder, "ledgers").returncode == 2  # there is nothing to verify
    done = run(folder, "--seals", "seals", "ledgers")
    assert (done.returncode, done.stderr) == (1, "")
    first, *others = done.stdout.splitlines()
    assert first == f"seals: 2 findings, 2 seals, signed, the newest of {sealed.log().seals[-1].seal.time}"
    assert [line.split(": ")[1] for line in others] == ["seal/deleted (incomplete)"] * 2
