"""Durations: every form that is taken, those that are not, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.config.duration import in_words, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("0", 0.0),
        ("90s", 90.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h30m5s", 5405.0),
        ("1h5s", 3605.0),
        ("90m", 5400.0),
    ],
)
def test_a_duration(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "m", "1.5h", "-1", "+1", "2 m", " 2m", "2m\n", "5s1m", "1m1m", "1h30", "2M", "1d", "٣s", "9" * 10]
)
def test_no_duration(text: str) -> None:
    assert seconds(text) is None


@given(st.integers(0, 999_999_999))
def test_what_is_written_can_be_read(duration: int) -> None:
    hours = duration // 3600
    assert seconds(str(duration)) == duration
    assert seconds(in_words(duration)) == (duration if hours < 10_000 else None)  # more hours are not taken


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{0,6}[hms]?[0-9]{0,6}[hms]?"))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    value = seconds(text)
    assert value is None or 0 <= value < 10**9 + 10**8
