"""Text from outside, made safe to print: terminals are not steered, and no CI takes a line of it for a command."""

from __future__ import annotations

import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.printable import json_text, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é ✓ text\n\tand a line", "plain é ✓ text\n\tand a line"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\rb\x00c\x9b", "a\\rb\\x00c\\x9b"),
        ("\u202eturned\u2066 \u061c\u2060\xad\U000e0041", "\\u202eturned\\u2066 \\u061c\\u2060\\xad\\U000e0041"),
        ("\udcff", "\\udcff"),
        ("::set-env name=A::b", "\\::set-env name=A::b"),
        ("first\n \t::error::second", "first\n \t\\::error::second"),
        ("\u00a0::debug::x", "\u00a0\\::debug::x"),
        ("std::vector", "std::vector"),
        ("Vault said: ##[add-mask]a", "Vault said: #\\#[add-mask]a"),
        ("##TeamCity[x] ##VSO[y]", "#\\#TeamCity[x] #\\#VSO[y]"),
        ("x ##vso[task.setvariable variable=A]b", "x #\\#vso[task.setvariable variable=A]b"),
    ],
)
def test_what_could_steer_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert printable("a" * 11, limit=10) == "aaaaaaaaaa… (1 more characters)"


def test_a_value_in_a_sentence_is_one_line() -> None:
    assert one_line(" a\n b\t\tc ") == "a b c"


def test_every_character_that_is_not_seen_or_steers_is_written_out() -> None:
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    steering = {char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in hidden}
    assert {char for char in steering if printable(char) == char} == {"\t", "\n"}


@given(st.text())
def test_nothing_of_it_is_a_command_or_an_escape(text: str) -> None:
    shown = printable(text, limit=10**6)
    assert not re.search(r"(?m)^\s*::", shown)
    assert "##[" not in shown
    assert not re.search("(?i)##(vso|teamcity)", shown)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)
    shown.encode()


@given(
    st.recursive(st.text(alphabet="#[:vso a\n") | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
)
def test_json_is_no_command_either_and_still_says_the_same(value: object) -> None:
    shown = json_text(value)
    assert json.loads(shown) == value
    assert "##" not in shown
    assert not re.search(r"(?m)^\s*::", shown)
    assert shown.replace("\n", "").isprintable()
    assert shown.isascii()
