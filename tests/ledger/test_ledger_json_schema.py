"""The published JSON Schema of records, held against the table that `verify` reads, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ledger_samples import records
from ledger_site import make_site
from record_mutants import GONE, VALUES, changed, fits, one_of_each, paths

from stepcreds.ledger.canonical import MAX_INTEGER
from stepcreds.ledger.fields import KINDS
from stepcreds.ledger.json_schema import json_schema

PUBLISHED = Path(__file__).parents[2] / "schema" / "ledger.schema.json"
VALIDATOR = Draft202012Validator(json_schema())


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return one_of_each(tmp_path_factory.mktemp("ledger"))


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_the_schema_takes_what_verify_takes_and_nothing_else(
    samples: dict[str, dict[str, Any]], data: st.DataObject, kind: str
) -> None:
    record = samples[kind]
    for _ in range(data.draw(st.integers(1, 2))):
        there = [where for where in paths(record) if where]
        where = data.draw(st.sampled_from(there))
        record = changed(record, where, data.draw(VALUES))
    assert VALIDATOR.is_valid(record) == fits(record), record


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_is_held_alike(samples: dict[str, dict[str, Any]], kind: str) -> None:
    """Each field in turn: missing, of every type, and with what nearly fits."""
    record = samples[kind]
    assert VALIDATOR.is_valid(record)
    assert fits(record)
    refused = 0
    odd: list[object] = [GONE, None, True, -1, 0, "", "x", [], ["x"], [1], [{}], {}, {"x": 1}, MAX_INTEGER]
    for where in paths(record):
        for value in odd if where else ():
            mutant = changed(record, where, value)
            assert VALIDATOR.is_valid(mutant) == fits(mutant), (where, value)
            refused += not fits(mutant)
    assert refused > 50


def test_real_ledgers_fit(tmp_path: Path) -> None:
    site = make_site(tmp_path, repositories=2, runs=12)
    found = [record for path in site.chains for record in records(path)]
    assert [record for record in found if not VALIDATOR.is_valid(record)] == []
    assert len(found) == site.entries > 100


def test_later_fields_are_no_fault_and_later_kinds_are_not_known(samples: dict[str, dict[str, Any]]) -> None:
    record = samples["credential.closed"]
    assert VALIDATOR.is_valid({**record, "later": {"anything": [1]}})
    assert not VALIDATOR.is_valid({**record, "kind": "credential.reborn"})
    old = samples["chain.opened"]
    job = {name: text for name, text in old["job"].items() if name not in ("actor", "ref", "commit", "matrix")}
    assert VALIDATOR.is_valid({**old, "job": job})


def test_what_is_published_is_what_the_table_says() -> None:
    published = json.loads(PUBLISHED.read_text())
    assert published == json_schema()
    Draft202012Validator.check_schema(published)
