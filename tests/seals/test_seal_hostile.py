"""What somebody can put among ledgers and seals does not keep the sealing job from sealing everybody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_samples import relinked
from sealing_site import SealingSite

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.link import chain_uid
from stepcreds.seals.log import changed_tables
from stepcreds.seals.place import Folder
from stepcreds.seals.seal import MOST_REFUSED


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-7") as site:
        yield site


def test_chains_with_more_to_say_than_a_seal_has_room_for(site: SealingSite) -> None:
    good = site.life()
    opened = json.loads(good.read_text().splitlines()[0])
    long = {**opened, "chain_uid": "x" * 200_000}
    (site.ledgers / "uid.jsonl").write_bytes(relinked([long]))
    job = {**opened["job"], "run_id": "9" * 200_000}
    uid = chain_uid(
        {name: job[name] for name in ("iss", "repository_id", "run_id", "run_attempt", "job")}, opened["nonce"]
    )
    (site.ledgers / "job.jsonl").write_bytes(relinked([{**opened, "job": job, "chain_uid": uid}]))
    (made,) = json.loads(site.seal("--json").stdout)
    assert [leaf["name"] for leaf in made["leaves"]] == [good.name]
    assert [each["name"] for each in made["refused"]] == ["job.jsonl", "uid.jsonl"]
    assert {each["chain_uid"] for each in made["refused"]} == {"", uid}
    assert (site.seals / "seal-000001.json").stat().st_size < 5000
    assert [each["code"] for each in made["findings"] if each["file"].endswith("job.jsonl")] == ["field"]
    assert site.log().findings == []


def test_what_is_refused_is_listed_once_and_not_without_end(site: SealingSite) -> None:
    for number in range(MOST_REFUSED + 5):
        (site.ledgers / f"hostile-{number:04d}.jsonl").write_bytes(b"{}\n")
    (first,) = json.loads(site.seal("--json").stdout)
    assert (len(first["refused"]), first["refused_in_all"]) == (MOST_REFUSED, MOST_REFUSED + 5)
    good = site.life()
    (second,) = json.loads(site.seal("--json").stdout)
    assert [leaf["name"] for leaf in second["leaves"]] == [good.name]
    assert (len(second["refused"]), second["refused_in_all"]) == (5, MOST_REFUSED + 5)
    (third,) = json.loads(site.seal("--json").stdout)
    assert (third["refused"], third["refused_in_all"]) == ([], MOST_REFUSED + 5)
    assert site.log().findings == []


def test_a_copy_that_somebody_went_on_with_does_not_take_the_place_of_what_is_signed(site: SealingSite) -> None:
    chain = site.life()
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    fork = [*records[:3], {**records[3], "time": "2026-11-01T00:00:00.000Z"}, *records[4:]]
    (site.ledgers / "a-fork.jsonl").write_bytes(relinked(fork))
    (site.ledgers / "z-fork.jsonl").write_bytes(relinked(fork))
    (made,) = json.loads(site.seal("--json").stdout)
    assert [leaf["name"] for leaf in made["leaves"]] == [chain.name]
    assert {(each["name"], each["code"]) for each in made["refused"]} == {
        ("a-fork.jsonl", "fork"),
        ("z-fork.jsonl", "fork"),
    }
    assert site.log().findings == []

    # Where neither is signed nobody knows which of them is the chain.
    for path in site.ledgers.glob("*.checkpoints"):
        path.unlink()
    for path in site.seals.iterdir():
        path.unlink()
    (made,) = json.loads(site.seal("--json").stdout)
    assert (made["leaves"], len(made["refused"])) == ([], 3)


def test_what_is_no_file_takes_a_number_and_nothing_else(site: SealingSite) -> None:
    site.life()
    assert site.seal("--parquet").returncode == 0
    (site.seals / "seal-000002.json").mkdir()
    (site.seals / "seal-000003.json").symlink_to("seal-000001.json")
    os.mkfifo(site.seals / "seal-000009.json")
    site.life()
    made = site.seal()
    assert made.returncode == 1
    odd = f"{site.seals}/seal-00000%d.json: seal/unreadable (unknown): no file: a folder, a link or a device has the name of a seal"
    assert made.stdout.splitlines()[2:] == [
        *(odd % number for number in (2, 3, 9)),
        made.stdout.splitlines()[-1],
    ]
    assert made.stdout.splitlines()[-1].startswith(f"written to {site.seals}/seal-000004.json, ")
    log = site.log()
    assert [each.seal.seq for each in log.seals] == [1, 4]
    assert [(each.code, each.certainty) for each in log.findings] == [("unreadable", "unknown")] * 3
    run = site.run("verify", "--seals", str(site.seals), str(site.ledgers), "--json")
    told = json.loads(run.stdout)
    assert (run.returncode, len(told["files"]), [each["code"] for each in told["seals"]["findings"]]) == (
        1,
        2,
        ["unreadable"] * 3,
    )

    # A seal that was put out of the way is missing all the same, and so is a table.
    table = next(site.seals.glob("*.parquet"))
    table.unlink()
    table.mkdir()
    assert [each.certainty for each in changed_tables(site.log(), Folder(site.seals))] == ["tampered"]
    (site.seals / "seal-000001.json").unlink()
    (site.seals / "seal-000001.json").mkdir()
    assert [each.code for each in site.log().findings] == [
        "unreadable",
        "unreadable",
        "unreadable",
        "gap",
        "unreadable",
    ]
    assert "seal-000004.json: the seals 1 to 3 are missing before it" in site.seal().stderr
