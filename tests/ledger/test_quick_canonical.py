"""The quick reading of a line is the careful one: the same values, the same refusals."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.ledger.canonical import CanonicalError, canonical, parse
from stepcreds.ledger.quick_canonical import quick_parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["12:30:00.000Z", '":1.5', "9" * 20, "e", "\\", '"', "\u2028", "é"]
)
KEYS = st.text(st.characters(codec="ascii"), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
ODD = [
    b'{"a":1.0}', b'{"a":1e3}', b"[1.5]", b"[1,2E5]", b'{"a":9007199254740992}', b'{"a":-9007199254740992}',
    b'{"a":18446744073709551616}', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":-0}', b'{"a":01}',
    b'{"a":"\\u0041"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"\xc3\xa9":1}', b"NaN", b"[Infinity]", b"", b"{", b"1",
    b'"a"', b"[" * 33 + b"]" * 33, b"[" * 32 + b"]" * 32, b'{"a":"\x7f"}', b'{"a":"\x01"}', b'{"a":1}\n', b"\xef\xbb\xbf{}",
    b'{"a":1234567890123456}', b'{"a":9007199254740991}',
]  # fmt: skip


def outcome(read: object, line: bytes) -> tuple[str, object]:
    assert callable(read)
    try:
        return "value", json.dumps(read(line))
    except CanonicalError as error:
        return "refused", error.what


def test_it_is_the_quick_one() -> None:
    assert quick_parse() is not parse


@given(VALUES)
def test_what_is_canonical_is_read_alike(value: object) -> None:
    line = canonical(value)
    assert quick_parse()(line) == parse(line) == value


@given(VALUES, st.data())
def test_what_is_not_is_refused_alike(value: object, data: st.DataObject) -> None:
    line = bytearray(canonical(value))
    for _ in range(data.draw(st.integers(1, 3))):
        line.insert(data.draw(st.integers(0, len(line))), data.draw(st.integers(0, 255)))
    assert outcome(quick_parse(), bytes(line)) == outcome(parse, bytes(line))


@pytest.mark.parametrize("line", ODD)
def test_odd_lines(line: bytes) -> None:
    assert outcome(quick_parse(), line) == outcome(parse, line)
