"""Ledgers and seals in an object store: moto's S3, whose bucket keeps versions and locks them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sealing_site import EXAMPLES, SealingSite
from stores import BUCKET, S3

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint

pytest_plugins = ("store_fixtures",)

LEDGERS, SEALS = f"s3://{BUCKET}/sealing/chains", f"s3://{BUCKET}/sealing/seals"


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-6") as site:
        yield site


def put(s3: S3, key: str, data: bytes) -> None:
    time.sleep(0.01)  # moto orders versions by time
    s3.client.put_object(Bucket=BUCKET, Key=f"sealing/{key}", Body=data)


def upload(s3: S3, chain: Path) -> None:
    for path in (checkpoint.beside(chain), chain):
        put(s3, f"chains/{path.name}", path.read_bytes())


def verify(site: SealingSite, s3: S3) -> tuple[int, dict[str, object]]:
    done = site.run("verify", LEDGERS, "--seals", SEALS, "--json", **s3.environment())
    assert done.stdout, done.stderr
    told: dict[str, object] = json.loads(done.stdout)["seals"]
    return done.returncode, told


def test_a_chain_that_was_written_over_is_sealed_as_it_was(site: SealingSite, s3: S3) -> None:
    chain, other = site.life(), site.life()
    upload(s3, chain)
    put(s3, f"chains/{chain.name}", other.read_bytes())
    made = site.seal(LEDGERS, "--to", SEALS, "--json", **s3.environment())
    assert made.returncode == 0, made.stderr
    (told,) = json.loads(made.stdout)
    assert [(leaf["name"], leaf["size"]) for leaf in told["leaves"]] == [
        (chain.name, len(chain.read_bytes().splitlines()))
    ]


def test_the_example_for_github_and_what_a_store_lets_somebody_do_to_its_seals(site: SealingSite, s3: S3) -> None:
    """Its second run fetches what is new alone; what was written over fails it, and hides nothing."""
    steps = yaml.safe_load((EXAMPLES / "workflows/seal.yml").read_text())["jobs"]["seal"]["steps"]
    lines = [step["run"] for step in steps if step.get("name") in ("Fetch", "Seal", "Fetch the seal", "Verify")]

    def run(line: str) -> int:
        """One line, which is one command."""
        words = shlex.split(line.replace("$LEDGERS", f"s3://{BUCKET}/sealing"))
        assert words[:2] == ["stepcreds", "ledger"]
        return site.run(*words[2:], STEPCREDS_TRUST=None, **s3.environment()).returncode

    audit = site.folder / "audit"
    first, lost = site.life(), site.life("open")  # one of a runner that was lost
    upload(s3, first)
    assert list(map(run, lines)) == [0] * 4
    upload(s3, lost)
    before = {path: path.stat().st_ino for path in audit.rglob("*.jsonl")}
    assert list(map(run, lines)) == [0] * 4
    assert before.items() <= {path: path.stat().st_ino for path in audit.rglob("*.jsonl")}.items()
    site.seals = audit / "seals"
    log = site.log()
    assert ([(each.seal.seq, len(each.seal.leaves)) for each in log.seals], log.findings) == ([(1, 1), (2, 1)], [])
    assert len(list(site.seals.glob("*.parquet"))) == 2
    assert site.run("query", "--json", "SELECT count(*) AS n FROM chains", SEALS, **s3.environment()).stdout == (
        '[\n{\n  "n": 2\n}\n]\n'
    )

    put(s3, f"chains/{first.name}", lost.read_bytes())
    assert run(lines[0]) == 1

    # Written over and deleted: the oldest version is read, and what came after is told.
    second = s3.client.get_object(Bucket=BUCKET, Key="sealing/seals/seal-000002.json")["Body"].read()
    put(s3, "seals/seal-000001.json", second)
    s3.client.delete_object(Bucket=BUCKET, Key="sealing/seals/seal-000002.json")
    code, told = verify(site, s3)
    findings = told["findings"]
    assert isinstance(findings, list)
    assert (code, told["state"], told["seals"]) == (1, "signed", 2)
    assert [(each["layer"], each["code"]) for each in findings] == [("store", "overwritten"), ("store", "deleted")]
    # The next seal is the third all the same.
    made = site.seal(LEDGERS, "--to", SEALS, **s3.environment())
    assert (made.returncode, made.stderr) == (0, "")
    assert f"written to {SEALS}/seal-000003.json, SHA-256 " in made.stdout
