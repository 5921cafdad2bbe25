"""A chain that is too long for memory is read in parts, and says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ledger_site import Site, make_site

from stepcreds.ledger.reading import read_chain
from stepcreds.query import parts as module
from stepcreds.query.parts import parts


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=1, runs=24, signed=0)


@pytest.mark.parametrize("part", [1, 3000])
def test_parts_are_the_whole(site: Site, tmp_path: Path, part: int) -> None:
    most = 0
    for chain in site.chains:
        whole, ticks = read_chain(chain), list[int]()
        found = list(parts(chain, tmp_path, ticks.append, part))
        assert all(replace(each, credentials=whole.credentials) == whole for each in found)
        # Each says of its file where it is meanwhile; nothing else of it differs.
        named = [replace(one, file=chain) for each in found for one in each.credentials]
        assert named == list(whole.credentials)
        assert sum(ticks) == chain.stat().st_size
        most = max(most, len(found))
    assert most > 1
    assert list(tmp_path.iterdir()) == []


def test_odd_lines_are_counted_and_a_chain_of_nothing_is_one_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    path = tmp_path / "odd.jsonl"
    path.write_bytes(b'garbage\n{"kind":5}\n[]\n{"kind":"chain.closed"}\n\xff\n')
    (view,) = parts(path, tmp_path, lambda done: None, 1)
    assert (view, view.unreadable, view.closed) == (read_chain(path), 4, True)
