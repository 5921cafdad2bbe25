"""What a redactor takes out of a stream, however the stream is cut: compared with a search in the whole of it."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcreds.redact import MOST_PARTS, Redactor, forms
from stepcreds.secret import Secret

PASSWORD = "A1a-x9Kd02mZpQwErTy7"
HOSTILE = "p@ss/wo+rd=\"%ü\\'&"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASC\nx\n-----END KEY-----\n"


def redact(text: bytes, *secrets: str, sizes: tuple[int, ...] = ()) -> bytes:
    """`text` through one stream, in pieces of `sizes` and then the rest."""
    stream = Redactor(map(Secret, secrets)).stream()
    out = []
    for size in sizes:
        out.append(stream.feed(text[:size]))
        text = text[size:]
    return b"".join([*out, stream.feed(text), stream.finish()])


def by_the_book(text: bytes, patterns: set[bytes]) -> bytes:
    """The definition: every occurrence of every pattern, those that overlap taken together, is `***`."""
    spans = [(at, at + len(pattern)) for at in range(len(text)) for pattern in patterns if text.startswith(pattern, at)]
    out, done = b"", 0
    while spans:
        start, end = min(spans)
        while joined := [span for span in spans if span[0] < end]:
            end = max(end, *(stop for _, stop in joined))
            spans = [span for span in spans if span not in joined]
        out += text[done:start] + b"***"
        done = end
    return out + text[done:]


# Few letters, so that values begin, end, hold and overlap one another all the time; line ends make multi-line ones.
letters = st.text("ab%/\n", max_size=12)


@settings(max_examples=1000, deadline=None)
@given(st.lists(letters, min_size=1, max_size=4), st.data())
def test_any_cut_of_any_stream_gives_what_the_whole_would(values: list[str], data: st.DataObject) -> None:
    patterns = set().union(*map(forms, values))
    pieces = st.sampled_from([*sorted(patterns), *(value.encode() for value in values), b"\n"]) | st.binary(max_size=4)
    text = b"".join(data.draw(st.lists(pieces, max_size=8)))
    sizes = data.draw(st.lists(st.integers(0, 9), max_size=40))
    result = redact(text, *values, sizes=tuple(sizes))
    assert result == by_the_book(text, patterns)


@settings(max_examples=500, deadline=None)
@given(st.text(min_size=4, max_size=40), st.binary(max_size=20), st.binary(max_size=20), st.integers(1, 7))
def test_nothing_of_a_value_survives(value: str, before: bytes, after: bytes, size: int) -> None:
    whole = value.strip("\r\n").encode("utf-8", "surrogatepass")
    text = before + whole + after
    result = redact(text, value, sizes=(size,) * len(text))
    if len(whole) >= 4:
        assert whole not in result.replace(b"***", b"\0")
        assert b"***" in result


@pytest.mark.parametrize("before", ["", "x", "user:", "abc"])
@pytest.mark.parametrize("after", ["", "\n", "@db.internal:5432/app", "."])
@pytest.mark.parametrize("value", [PASSWORD, HOSTILE, "short-ish", "sixsix"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_anything_around_the_value(value: str, before: str, after: str, encode: object) -> None:
    assert callable(encode)
    raw = value.encode()
    encoded = encode(before.encode() + raw + after.encode())
    result = redact(encoded, value)
    assert b"***" in result
    # What is left at either side holds at most the bits that share a character with a neighbour.
    left, _, right = result.partition(b"***")
    assert len(left) <= -(-len(before.encode()) * 8 // 6)
    assert len(right.rstrip(b"=")) <= -(-(len(after.encode()) + 1) * 8 // 6)


def test_base64_that_is_the_value_alone_is_gone_to_the_last_character() -> None:
    for value in (PASSWORD, PASSWORD + "x", PASSWORD + "xy"):
        assert redact(base64.b64encode(value.encode()), value).rstrip(b"=") == b"***"


@pytest.mark.parametrize("width", [64, 76])
def test_base64_in_lines_of_a_long_value(width: int) -> None:
    """`base64 key.pem` breaks after 76 characters, `openssl base64` after 64."""
    value = "".join(chr(33 + number * 7 % 90) for number in range(1700))
    encoded = base64.b64encode(value.encode())
    text = b"\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    assert set(redact(text, value).split(b"\n")) == {b"***"}


@pytest.mark.parametrize(
    "escaped",
    [
        quote(HOSTILE, safe=""),
        quote(HOSTILE),
        quote_plus(HOSTILE),
        re.sub("%..", lambda escape: escape[0].lower(), quote(HOSTILE, safe="")),
        json.dumps(HOSTILE)[1:-1],
        json.dumps(HOSTILE, ensure_ascii=False)[1:-1],
    ],
)
def test_escaped_for_a_url_or_for_json(escaped: str) -> None:
    assert redact(f"postgresql://user:{escaped}@host/".encode(), HOSTILE) == b"postgresql://user:***@host/"


def test_every_line_of_a_multi_line_value() -> None:
    shown = "MIIEvQIBADANBgkqhkiG\r\nx\r\n  9w0BAQEFAASC\r\n"
    assert redact(shown.encode(), KEY) == b"***\r\nx\r\n  ***\r\n"
    assert redact(b"key: " + KEY.encode(), KEY) == b"key: ***\n"


def test_values_that_are_too_short_to_be_looked_for() -> None:
    """They would be found everywhere, and each hole would say what was there."""
    assert redact(b"a 123 b", "", "a", "123") == b"a 123 b"
    assert redact(b"a 1234 b", "1234") == b"a *** b"


def test_values_that_overlap_are_gone_altogether() -> None:
    assert redact(b"xabcdefghijx", "abcdef", "efghij") == b"x***x"
    assert redact(b"xsecret-longx", "secret", "secret-long") == b"x***x"
    assert redact(b"secretsecret", "secret") == b"******"


def test_a_complete_line_is_passed_on_at_once() -> None:
    stream = Redactor([Secret(PASSWORD), Secret(HOSTILE)]).stream()
    for line in (b"starting\n", b"user " + PASSWORD.encode() + b"\n", b"A1a-x9K\n", b"\n"):
        assert stream.feed(line) == line.replace(PASSWORD.encode(), b"***")


def test_only_what_may_begin_a_multi_line_secret_is_held() -> None:
    stream = Redactor([Secret(KEY)]).stream()
    assert stream.feed(b"see:\n-----BEGIN KEY-----\n") == b"see:\n***"  # its end may yet be hidden
    assert stream.feed(b"nothing\n") == b"\nnothing\n"


def test_a_question_without_an_end_of_line_is_passed_on() -> None:
    stream = Redactor([Secret(PASSWORD)]).stream()
    assert stream.feed(b"Continue? [y/N] ") == b"Continue? [y/N] "
    assert stream.feed(b"Password is A1a-x9") == b"Password is "
    assert stream.feed(b"! no, it is ") == b"A1a-x9! no, it is "
    assert stream.feed(PASSWORD.encode()) == b"***"


def test_a_value_that_was_cut_short_by_the_end_stays() -> None:
    assert redact(b"it is A1a-x9", PASSWORD) == b"it is A1a-x9"


def test_nothing_to_look_for() -> None:
    assert redact(b"anything\n", sizes=(3,)) == b"anything\n"


def test_bytes_that_are_not_text() -> None:
    text = bytes(range(256)) * 3
    assert redact(text, PASSWORD, sizes=(100, 100)) == text
    assert redact(b"\xff\xfe" + PASSWORD.encode() + b"\xff", PASSWORD) == b"\xff\xfe***\xff"


@pytest.mark.parametrize("value", ["caf\udce9-secret", "half-\ud800-secret"])
def test_values_that_are_not_quite_unicode(value: str) -> None:
    shown = b"caf\xe9-secret" if "caf" in value else b"half-\xed\xa0\x80-secret"
    assert redact(b"x " + shown, value) == b"x ***"


def test_a_redactor_does_not_show_what_it_looks_for() -> None:
    assert repr(Redactor([Secret(PASSWORD)])) == f"Redactor({len(forms(PASSWORD))} patterns)"


@settings(max_examples=500, deadline=None)
@given(st.lists(letters, min_size=1, max_size=3), st.data())
def test_the_lines_and_the_whole_of_a_text(values: list[str], data: st.DataObject) -> None:
    patterns = set().union(*map(forms, values))
    pieces = st.sampled_from([*sorted(patterns), b"\n", b"\n\n", b"x"])
    text = b"".join(data.draw(st.lists(pieces, max_size=12)))
    redactor = Redactor(map(Secret, values))
    assert redactor.redacted(text) == by_the_book(text, patterns)
    starts = {at for at in range(len(text)) for pattern in patterns if text.startswith(pattern, at)}
    # A pattern of several lines is looked for again in the line after the one in which it begins.
    expected = sorted({text.count(b"\n", 0, at) + 1 for at in starts})
    assert redactor.lines(text, 1000) == expected
    assert redactor.lines(text, 2) == expected[:2]


def test_a_long_text_is_redacted_in_pieces() -> None:
    text = b"x" * (1 << 20) + PASSWORD.encode() + b"\n"
    for cut in (0, 5, 19):
        assert Redactor([Secret(PASSWORD)]).redacted(text[cut:]) == text[cut : 1 << 20] + b"***\n"


def test_forms_that_are_spared() -> None:
    redactor = Redactor([Secret(KEY)], spared=lambda form: form.startswith(b"-----") and b"\n" not in form)
    assert redactor.redacted(b"-----BEGIN KEY-----\nother\n") == b"-----BEGIN KEY-----\nother\n"
    assert redactor.redacted(KEY.encode()) == b"***\n"


@pytest.mark.timeout(60)  # without a bound it takes half an hour
def test_a_value_of_a_mebibyte_and_many_lines_is_looked_for_in_good_time() -> None:
    text = "".join(f"line number {number}\n" for number in range(50_000))
    assert len(forms(text)) < MOST_PARTS + 20
    around = b"[%s] [line number 7] [%s]"
    assert (
        redact(around % (text.strip().encode(), base64.b64encode(text.strip().encode())), text)
        == b"[***] [***] [***==]"
    )
