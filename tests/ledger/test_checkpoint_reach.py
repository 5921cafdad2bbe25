"""How far checkpoints reach, for the step's own summary: what stands beside a chain, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

from ledger_samples import records
from ledger_site import make_site

from stepcreds.ledger.checkpoint import beside, reach


def test_the_farthest_counts_and_what_cannot_be_read_ends_the_search(tmp_path: Path) -> None:
    chain = make_site(tmp_path, repositories=1, runs=1).chains[0]
    assert reach(chain) == len(records(chain))
    envelopes = beside(chain).read_bytes().splitlines(keepends=True)
    beside(chain).write_bytes(b"".join(reversed(envelopes)))
    assert reach(chain) == len(records(chain))
    beside(chain).write_bytes(envelopes[0] + b"garbage\n" + b"".join(envelopes[1:]))
    assert 0 < reach(chain) < len(records(chain))
    beside(chain).write_bytes(envelopes[0][:-40])
    assert reach(chain) == 0
    beside(chain).unlink()
    assert reach(chain) == 0


def test_something_else_in_its_place_is_none(tmp_path: Path) -> None:
    chain = make_site(tmp_path, repositories=1, runs=1, signed=0).chains[0]
    beside(chain).mkdir()
    assert reach(chain) == 0
