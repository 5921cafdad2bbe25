"""The published JSON Schema of records, held against the table that `verify` reads, both ways."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ledger_samples import STEP, UIDS, closed, issued, leaked, open_journal, records, requested
from ledger_site import make_site

from stepcreds.ledger import credential
from stepcreds.ledger.canonical import MAX_INTEGER
from stepcreds.ledger.fields import COMMON, KINDS, misfit
from stepcreds.ledger.json_schema import json_schema
from stepcreds.measurement import Change

PUBLISHED = Path(__file__).parents[2] / "schema" / "ledger.schema.json"
VALIDATOR = Draft202012Validator(json_schema())


def fits(record: dict[str, Any]) -> bool:
    """What a chain's check asks of one record by itself."""
    kind = record.get("kind")
    shape = KINDS.get(kind) if isinstance(kind, str) else None
    return shape is not None and not misfit(record, COMMON) and not misfit(record, shape)


def one_of_each(folder: Path) -> dict[str, dict[str, Any]]:
    """A real record of every kind, with something in each of its lists."""
    journal = open_journal(folder)
    for event in (requested(), issued(), closed(), leaked()):
        journal.append(event)
    journal.append(credential.left(STEP, UIDS[0], "migrate", [Change("granted", "PUBLIC", "granted to PUBLIC")], ""))
    journal.append(credential.token_revoke_failed(STEP, UIDS[0], token_accessor="a", detail="503", expire_time=None))
    with journal.path.open("ab") as file:
        file.write(b"torn")
    journal.close(STEP)
    site = make_site(folder / "site", repositories=1, runs=36)
    found = {record["kind"]: record for path in site.chains for record in records(path)}
    found |= {record["kind"]: record for record in records(journal.path) if record["kind"] != "credential.closed"}
    # Of the endings one that goes beyond its profile: it has findings.
    found["credential.closed"] = next(
        record
        for path in site.chains
        for record in records(path)
        if record["kind"] == "credential.closed" and record["privileges"]["excess"]
    )
    return found


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return one_of_each(tmp_path_factory.mktemp("ledger"))


def paths(value: object, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield where
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from paths(item, (*where, name))


def changed(record: dict[str, Any], where: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """`record` with another value there; without the field where `value` is `GONE`."""
    record = copy.deepcopy(record)
    *outer, last = where
    place: Any = record
    for name in outer:
        place = place[name]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return record


GONE = object()
# What a canonical line can hold: no fractions, no number beyond 2^53-1.
SCALARS = (
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(max_size=5) | st.sampled_from(
        ["never", "proven dead", "revoked", "stepcreds.ledger/1", "0" * 64, UIDS[0], "2026-11-22T08:26:40.000Z",
         "2026-11-22T08:26:40.000Z\n", "٢026-11-22T08:26:40.000Z", "0" * 64 + "\n", "expires at 2026-11-22T08:26:40.000Z",
         "expires at never", *KINDS]
    )
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=2)
) | st.just(GONE)


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
