"""A real record of every kind, and what becomes of it when its fields are changed; it judges nothing but by fields.py."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from ledger_samples import STEP, UIDS, closed, issued, leaked, open_journal, records, requested
from ledger_site import make_site

from stepcreds.ledger import credential
from stepcreds.ledger.canonical import MAX_INTEGER
from stepcreds.ledger.fields import COMMON, KINDS, misfit
from stepcreds.measurement import Change


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
