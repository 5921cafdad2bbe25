"""Each parser of foreign bytes: no exception but the documented one, and every error can be shown without harm."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parsers import PARSERS, SEEDS

PIECES = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\x1b[2J",
        b"\r\n",
        b"::set-env name=A::b",
        b"##[x]",
        b"##vso[x]",
        b"%0A",
        b"\xe2\x80\xae",
        b"\xc2\x9b",
    ),
    *(
        b"\\ud800",
        b"1e400",
        b"-1",
        b"NaN",
        b"null",
        b"9" * 4000,
        b"[" * 1200,
        b"{}",
        b"[]",
        b'"',
        b"\xed\xa0\x80",
        b"true",
    ),
)


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with pieces of it cut out, doubled or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(st.sampled_from([data[start:end] * 2, *PIECES])) + data[end:]
    return data


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in PARSERS for seed in SEEDS[name]])
def test_what_was_once_a_fault_and_what_is_read_well(name: str, seed: bytes) -> None:
    PARSERS[name](seed)


@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_are_a_fault(name: str) -> None:
    @settings(
        # A sample of what `make fuzz` tries thousands of. One of "life" is all reports of a ledger.
        max_examples=15 if name == "life" else 60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(data=mutated(SEEDS[name]) | st.binary(max_size=150))
    def no_fault(data: bytes) -> None:
        PARSERS[name](data)

    no_fault()
