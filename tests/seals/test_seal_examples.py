"""The lines of GitLab's sealing job, as its shell runs them, with a folder in the place of the bucket.

Those of GitHub's are tried with a bucket: tests/storage/test_storage_seals.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sealing_site import EXAMPLES, SealingSite

from stepcreds.devstack.stack import Stack


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path, mount="sealing-5") as site:
        site.ledgers.rmdir()
        site.ledgers, site.seals = tmp_path / "store/chains", tmp_path / "store/seals"
        site.ledgers.mkdir(parents=True)
        config = yaml.safe_load(site.config.read_text())
        del config["profiles"]  # as the example's first comment has it
        site.config.write_text(yaml.safe_dump(config))
        yield site


def test_gitlabs_seals_and_verifies_and_fails_where_something_is_missing(site: SealingSite) -> None:
    site.life()
    site.life("open")  # a runner that was lost
    lines = yaml.safe_load((EXAMPLES / "gitlab/seal.gitlab-ci.yml").read_text())["seal"]["script"]
    script, variables = "\n".join(lines), {"LEDGERS": str(site.folder / "store")}
    assert site.shell(script, **variables) == 0
    log = site.log()
    assert ([each.seal.seq for each in log.seals], log.findings) == ([1], [])
    assert log.seals[0].seal.parquet is not None

    (site.ledgers / "garbage.jsonl").write_bytes(b"{}\n")
    assert site.shell(script, **variables) == 1
    assert [each.seal.seq for each in site.log().seals] == [1, 2]
