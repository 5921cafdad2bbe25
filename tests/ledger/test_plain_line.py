"""What one regular expression takes for a whole line is what the careful reading takes, and says the same of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_site import Site, make_site
from record_mutants import GONE, VALUES, changed, fits, one_of_each, paths

from stepcreds.ledger.canonical import MAX_INTEGER, CanonicalError, canonical, parse
from stepcreds.ledger.chain import Chain
from stepcreds.ledger.fields import KINDS
from stepcreds.ledger.plain_line import ASKED, MOST, plain_record
from stepcreds.ledger.reading import stored_lines

PLAIN = sorted(KINDS.keys() - {"chain.opened"})


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return one_of_each(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), repositories=3, runs=12, signed=1)


def asked(record: dict[str, Any]) -> dict[str, Any]:
    """What a record has of `ASKED`."""
    found: dict[str, Any] = {}
    for name in ASKED:
        outer, _, inner = name.partition(".")
        if inner and outer in record:
            found.setdefault(outer, {})[inner] = record[outer][inner]
        elif not inner and outer in record:
            found[outer] = record[outer]
    return found


def careful(line: bytes) -> dict[str, Any] | None:
    """What stands in a line that is canonical, and whose record fits its table by itself."""
    try:
        value = parse(line)
    except CanonicalError:
        return None
    return asked(value) if isinstance(value, dict) and fits(value) else None


def is_held_alike(line: bytes) -> bool:
    return plain_record(line) in (None, careful(line))


@pytest.mark.parametrize("kind", PLAIN)
def test_each_kind_is_plain(samples: dict[str, dict[str, Any]], kind: str) -> None:
    line = canonical(samples[kind])
    assert plain_record(line) == careful(line) == asked(samples[kind]) != {}


def test_a_first_record_is_not_as_anything_may_stand_in_its_claims(samples: dict[str, dict[str, Any]]) -> None:
    assert plain_record(canonical(samples["chain.opened"])) is None
    assert fits(samples["chain.opened"])


def test_all_lines_of_a_site_are_plain_but_the_first(site: Site) -> None:
    for chain in site.chains:
        first, *others = chain.read_bytes().splitlines()
        assert plain_record(first) is None
        assert [line for line in others if plain_record(line) is None or not is_held_alike(line)] == []


@pytest.mark.parametrize("kind", PLAIN)
def test_every_field_of_every_kind(samples: dict[str, dict[str, Any]], kind: str) -> None:
    """Each field in turn: missing, of every type, with what nearly fits; and one field more in each object."""
    record, taken, refused = samples[kind], 0, 0
    odd: list[object] = [
        GONE, None, True, -1, 0, 7, "", "x", "é", "\x7f", "\n", '"', "\\", [], ["x"], [1], [{}], {}, {"x": 1}, MAX_INTEGER,
    ]  # fmt: skip
    for where in paths(record):
        for value in odd if where else ():
            line = canonical(changed(record, where, value))
            assert is_held_alike(line), line
            taken += plain_record(line) is not None
            refused += plain_record(line) is None
        place: Any = record
        for name in where:
            place = place[name]
        if isinstance(place, dict):
            mutant = changed(record, (*where, "later"), 1) if where else {**record, "later": 1}
            assert plain_record(canonical(mutant)) is None
    assert taken > 2
    assert refused > 50


@given(data=st.data(), kind=st.sampled_from(PLAIN))
def test_other_values(samples: dict[str, dict[str, Any]], data: st.DataObject, kind: str) -> None:
    record = samples[kind]
    for _ in range(data.draw(st.integers(1, 2))):
        there = [where for where in paths(record) if where]
        record = changed(record, data.draw(st.sampled_from(there)), data.draw(VALUES))
    assert is_held_alike(canonical(record))


@given(data=st.data(), kind=st.sampled_from(PLAIN))
def test_other_bytes(samples: dict[str, dict[str, Any]], data: st.DataObject, kind: str) -> None:
    line = bytearray(canonical(samples[kind]))
    pieces = st.binary(max_size=2) | st.sampled_from(
        [b'"', b"\\", b"0", b"-", b".0", b"e1", b"null", b" ", b"{}", b","]
    )
    for _ in range(data.draw(st.integers(1, 2))):
        start = data.draw(st.integers(0, len(line)))
        line[start : start + data.draw(st.integers(0, 3))] = data.draw(pieces)
    assert is_held_alike(bytes(line))


Change = Callable[[bytes], bytes]
NOT_PLAIN: dict[str, Change] = {
    "a zero before a number": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":00'),
    "a zero with a sign": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":-0'),
    "a fraction": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":0.0'),
    "a power": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":1e3'),
    "a number beyond 2^53-1": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":9007199254740992'),
    "a text for a number": lambda line: line.replace(b'"sessions_ended":0', b'"sessions_ended":"0"'),
    "an escaped letter": lambda line: line.replace(b'"locked"', b'"l\\u006fcked"'),
    "a letter that is not UTF-8": lambda line: line.replace(b'"locked"', b'"\xff"'),
    "a control character": lambda line: line.replace(b'"locked"', b'"\x1f"'),
    "a key twice": lambda line: line.replace(b'"status":"locked"', b'"status":"locked","status":"locked"'),
    "keys in another order": lambda line: line.replace(
        b'"method":"lease","status":"revoked"', b'"status":"revoked","method":"lease"'
    ),
    "a space": lambda line: line.replace(b",", b", ", 1),
    "a space at the end": lambda line: line + b" ",
    "a newline at the end": lambda line: line + b"\n",
    "the end of a line of Windows": lambda line: line + b"\r",
    "a byte order mark": lambda line: b"\xef\xbb\xbf" + line,
    "another schema": lambda line: line.replace(b"stepcreds.ledger/1", b"stepcreds.ledger/2"),
    "another kind": lambda line: line.replace(b"credential.closed", b"credential.reborn"),
    "the kind of another table": lambda line: line.replace(b"credential.closed", b"credential.issued"),
    "a time with a newline": lambda line: line.replace(b'Z","verdict"', b'Z\n","verdict"'),
    "a verdict of its own": lambda line: line.replace(b"proven dead", b"proven alive"),
    "a digest in capitals": lambda line: line.replace(b'"prev":"', b'"prev":"A')[:-1],
    "no end": lambda line: line[:-1],
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain(samples: dict[str, dict[str, Any]], name: str) -> None:
    record = {**samples["credential.closed"], "verdict": "proven dead"}
    record["revoke"] = {**record["revoke"], "method": "lease", "status": "revoked"}
    record["lock"] = {**record["lock"], "status": "locked", "sessions_ended": 0}
    line = canonical(record)
    assert plain_record(line) == asked(record)
    changed_line = NOT_PLAIN[name](line)
    assert changed_line != line
    assert plain_record(changed_line) is None


def test_a_long_line_is_read_with_care(samples: dict[str, dict[str, Any]]) -> None:
    for length, is_plain in ((MOST - 4000, True), (MOST, False)):
        line = canonical({**samples["credential.requested"], "inherited": ["x" * 10] * (length // 13)})
        assert (len(line) <= MOST) is is_plain is (plain_record(line) is not None)
        assert careful(line) is not None


@settings(max_examples=60)
@given(data=st.data())
def test_a_chain_is_found_alike_without_it(site: Site, data: st.DataObject) -> None:
    """Lines dropped, moved, repeated, changed: every finding and what the chain says of itself."""
    lines = list(stored_lines(data.draw(st.sampled_from(site.chains))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        byte = data.draw(st.integers(0, len(line) - 1))
        lines[at : at + 1] = data.draw(
            st.sampled_from(
                [[], [line, line], [line[:byte] + b"0" + line[byte + 1 :]], [line[:byte] + line[byte + 1 :]]]
            )
        )
        if not lines:
            break
    outcomes = []
    for is_quick in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not is_quick:
                patch.setattr("stepcreds.ledger.chain.plain_record", lambda _: None)
            chain = Chain("x.jsonl")
            found = list(chain.check(lines))
        outcomes.append((found, chain.entries, chain.head, chain.uid, chain.closed, chain.opened))
    assert outcomes[0] == outcomes[1]


def test_neither_a_long_list_nor_a_long_text_takes_more_than_its_length(samples: dict[str, dict[str, Any]]) -> None:
    """What nearly matches fails at once, wherever it ends: matching tries no second way."""
    for name, value in (("inherited", ["x"] * 3000), ("profile", "x" * 12_000), ("inherited", ["x" * 4000] * 3)):
        line = canonical({**samples["credential.requested"], name: value})
        assert plain_record(line) is not None
        for end in (b"", b"x", b'"}', b"]}"):
            assert plain_record(line[:-1] + end) is None
