"""Canonical bytes: the same as the `rfc8785` package's inside the profile, and nothing outside it."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcreds.ledger.canonical import MAX_DEPTH, MAX_INTEGER, CanonicalError, canonical, fitted, loads, parse

# Surrogates are what makes a Python string no valid Unicode; everything else is, controls and unassigned included.
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
ascii_text = st.text(st.characters(max_codepoint=127))
profile_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | unicode_text,
    lambda inner: st.lists(inner) | st.dictionaries(ascii_text, inner),
    max_leaves=20,
)
foreign_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(profile_values)
def test_it_is_rfc_8785_inside_the_profile(value: object) -> None:
    line = canonical(value)
    assert line == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert parse(line) == value


@settings(deadline=None)
@given(foreign_values)
def test_whatever_a_token_claims_can_be_put_on_record(value: object) -> None:
    line = canonical(fitted(value))
    assert line == rfc8785.dumps(json.loads(line))


@settings(deadline=None)
@given(
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet='[]{}":,\\u0d8 1e-.').map(str.encode)
)
def test_bytes_are_either_canonical_or_refused(line: bytes) -> None:
    try:
        value = parse(line)
    except CanonicalError:
        return
    assert canonical(value) == line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "the value is a float, which a record cannot hold"),
        ({"a": [1, 2.0]}, "a[1] is a float, which a record cannot hold"),
        ({"a": {"b": 2**53}}, "a.b is an integer beyond 2^53-1"),
        ({"a": -(2**53)}, "a is an integer beyond 2^53-1"),
        ({"é": 1}, "the value has a key that is not ASCII text"),
        ({"a": {1: 1}}, "a has a key that is not ASCII text"),
        ({"a": "\ud800"}, "a is not valid Unicode"),
        ({"a": b"x"}, "a is a bytes, which a record cannot hold"),
        ({"a": {1}}, "a is a set, which a record cannot hold"),
    ],
)
def test_what_is_outside_the_profile_is_refused_by_its_place(value: object, message: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        canonical(value)
    assert str(caught.value) == message


def test_the_deepest_value_and_one_deeper() -> None:
    value: object = "bottom"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert parse(canonical(value)) == value
    with pytest.raises(CanonicalError) as caught:
        canonical([value])
    assert str(caught.value) == f"{'[0]' * MAX_DEPTH} is nested deeper than 32 levels"
    with pytest.raises(CanonicalError, match="nested deeper"):
        parse(b"[" * 33 + b"]" * 33)


NOT_JSON = "not JSON"
NOT_CANONICAL = "not canonical JSON: white space, the order of keys, or a key that comes twice"
NOT_INTEGER = "a number that is not an integer"
TOO_LARGE = "an integer beyond 2^53-1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", NOT_JSON),
        (b"{", NOT_JSON),
        (b"\xff", NOT_JSON),
        (b"\xef\xbb\xbf{}", NOT_JSON),
        (b'{"a":1}{"a":1}', NOT_JSON),
        (b"[" * 200_000, NOT_JSON),
        (b'{"a":1, "b":2}', NOT_CANONICAL),
        (b'{"a":1}\r', NOT_CANONICAL),
        (b'{"b":1,"a":2}', NOT_CANONICAL),
        (b'{"a":1,"a":2}', NOT_CANONICAL),
        (b'{"a":1,"a":1}', NOT_CANONICAL),
        (b'"\\u0041"', NOT_CANONICAL),
        (b'"\\u00e9"', NOT_CANONICAL),
        (b'"\\/"', NOT_CANONICAL),
        (b"-0", NOT_CANONICAL),
        (b"1.0", NOT_INTEGER),
        (b"1e3", NOT_INTEGER),
        (b"NaN", NOT_INTEGER),
        (b"-Infinity", NOT_INTEGER),
        (b"9007199254740992", TOO_LARGE),
        (b"1" * 100_000, TOO_LARGE),
        (b'"\\ud800"', "a string that is not valid Unicode"),
        ('{"é":1}'.encode(), "the value has a key that is not ASCII text"),
    ],
)
def test_a_line_that_is_not_canonical_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        parse(line)
    assert str(caught.value) == message


def test_a_reader_takes_a_line_in_any_form() -> None:
    assert loads(b'{ "b" : 1, "a": 2, "a": 3 }') == {"b": 1, "a": 3}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"exp": 1795336000.0, "ratio": 0.5}, {"exp": 1795336000, "ratio": "0.5"}),
        ({"n": 2**53, "inf": float("inf")}, {"n": "0x20000000000000", "inf": "inf"}),
        ({"é": "\udcff"}, {"\\xe9": "\\udcff"}),
        ({"kubernetes.io": {"pod": {"name": "p"}}}, {"kubernetes.io": {"pod": {"name": "p"}}}),
        ([[[[[[[[["deep"]]]]]]]]], [[[[[[[["…"]]]]]]]]),
        ({"x": b"bytes"}, {"x": "…"}),
    ],
)
def test_foreign_values_are_changed_only_where_they_must_be(value: object, expected: object) -> None:
    assert fitted(value) == expected
