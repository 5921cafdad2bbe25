"""The lines of the examples' sealing jobs, as their shells run them, with folders in the place of buckets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sealing_site import SealingSite

from stepcreds.devstack.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-5") as site:
        site.life()
        yield site


def github() -> list[str]:
    steps = yaml.safe_load((EXAMPLES / "workflows/seal.yml").read_text())["jobs"]["seal"]["steps"]
    return [step["run"] for step in steps if step.get("name") in ("Seal", "Verify")]


def gitlab() -> list[str]:
    lines: list[str] = yaml.safe_load((EXAMPLES / "gitlab/seal.gitlab-ci.yml").read_text())["seal"]["script"]
    return ["set -eo pipefail\n" + "\n".join(lines)]


def run(site: SealingSite, script: str) -> int:
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=site.folder,
        env=site.environment(PATH=path, LEDGERS=str(site.ledgers), SEALS=str(site.seals)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("scripts", [github, gitlab])
def test_they_seal_and_verify_and_fail_where_something_is_missing(site: SealingSite, scripts: object) -> None:
    assert callable(scripts)
    lines = scripts()
    assert [run(site, line) for line in lines] == [0] * len(lines)
    site.life()
    assert [run(site, line) for line in lines] == [0] * len(lines)
    log = site.log()
    assert ([each.seal.seq for each in log.seals], log.findings) == ([1, 2], [])
    assert all(each.seal.parquet is not None for each in log.seals)
    for path in site.ledgers.iterdir():
        path.unlink()
    assert run(site, lines[-1]) == 1


def test_gitlab_says_as_well_that_something_was_not_sealed(site: SealingSite) -> None:
    (site.ledgers / "garbage.jsonl").write_bytes(b"{}\n")
    (script,) = gitlab()
    assert run(site, script) == 1
    assert [each.seal.seq for each in site.log().seals] == [1]
