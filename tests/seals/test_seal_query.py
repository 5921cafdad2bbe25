"""`ledger query` over the tables of seals that were made while a job ran, on a real OpenBao."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealing_site import SealingSite
from step_runs import Running, until

from stepcreds.devstack.stack import Stack


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-8") as site:
        yield site


def asked(site: SealingSite, sql: str, *places: Path) -> list[list[object]]:
    run = site.run("query", "--json", sql, *map(str, places))
    assert (run.returncode, run.stderr) == (0, "")
    return [list(row.values()) for row in json.loads(run.stdout)]


def test_a_job_that_a_seal_catches_in_the_middle_is_one_chain_that_nobody_tampered_with(site: SealingSite) -> None:
    """Also where the table of one seal is left of a job that was killed before it had its seal."""
    going, go = site.folder / "going", site.folder / "go"
    wait = f"touch {going}; until test -e {go}; do sleep 0.05; done"
    with Running(site.stack, site.config, "exec", "verify", "--", "sh", "-c", wait) as step:
        until(going.exists, "the command")
        assert site.seal("--parquet").returncode == 0
        go.touch()
        done = step.wait()
    assert done.returncode == 0, done.stderr
    assert site.seal("--parquet").returncode == 0
    (site.seals / "seal-000002.json").unlink()
    with Running(site.stack, site.config, "revoke", "--all") as ending:
        assert ending.wait().returncode == 0
    assert site.seal("--parquet").returncode == 0

    tables = sorted(site.seals.glob("*.parquet"))
    assert [path.name[:11] for path in tables] == ["seal-000001", "seal-000002", "seal-000002"]
    (chain,) = site.ledgers.glob("*.jsonl")
    whole = chain.read_text().splitlines()
    name = f"{tables[0]}:{chain.name}"
    for places in (tables, [site.seals]):
        records = asked(site, "SELECT file, line, raw FROM records ORDER BY line", *places)
        assert records == [[name, number, line] for number, line in enumerate(whole, 1)]
        found = asked(site, "SELECT file, open, proven, verdict, delivery FROM credentials", *places)
        assert [row for row in found if row[4] == "exec"] == [[name, False, True, "proven dead", "exec"]]
        assert asked(site, "SELECT closed, tampered, incomplete, unknown FROM chains", *places) == [[True, 0, 0, 0]]
    # Beside the ledger itself they add nothing.
    assert asked(site, "SELECT file FROM chains", site.ledgers, site.seals) == [[str(chain)]]
