"""Takes secrets out of a stream of bytes, however the stream is cut; it reads and writes nothing itself.

Every byte that belongs to a whole occurrence of a pattern is removed, also where occurrences overlap, and `***`
stands in for each stretch. What is cut off at the end of a read and could still become a secret is held back:
the longest end of the stream that begins some pattern, and not a byte more.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from urllib.parse import quote, quote_plus

from stepcreds.secret import Secret

MASK = b"***"

# Shorter values are not looked for: the output would be full of holes that say where they are.
SHORTEST_VALUE = 4
# The lines of a multi-line value, and encoded forms, are looked for from this length on: "}" alone is no secret.
SHORTEST_PART = 8
# coreutils and MIME break base64 after 76 characters, OpenSSL and PEM after 64.
_BASE64_WIDTHS = (64, 76)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# Lines, of a value and of its base64. A key has some 50; a redactor of 10,000 patterns takes half a minute to make, and
# a secret of a MiB would have more.
MOST_PARTS = 1000
_LONG = 1 << 14  # bytes of a pattern in which looking for others would take longer than it saves
_PIECE = 1 << 20  # bytes of a long text that are looked through at a time: each occurrence costs memory


class Redactor:
    """Knows what must not be seen: for each value what `forms` lists, but for those of `spared`."""

    def __init__(self, secrets: Iterable[Secret], spared: Callable[[bytes], object] | None = None) -> None:
        found: set[bytes] = set()
        for secret in secrets:
            found |= forms(secret.reveal(), max(0, MOST_PARTS - len(found)))
        if spared is not None:
            found = {form for form in found if not spared(form)}
        self._patterns = sorted(found)
        # Where none of these occurs, no pattern does: a pattern that contains another needs no search of its own.
        by_length = sorted(found, key=len)
        self._probes: list[bytes] = []
        for pattern in by_length:
            if len(pattern) > _LONG or not any(probe in pattern for probe in self._probes):
                self._probes.append(pattern)
        # What a text that ends in a given byte can have begun: without this, holding costs more than searching.
        self._through: dict[int, list[bytes]] = {}
        for pattern in self._patterns:
            for byte in set(pattern[:-1]):
                self._through.setdefault(byte, []).append(pattern)

    def __repr__(self) -> str:
        return f"Redactor({len(self._patterns)} patterns)"

    def stream(self) -> RedactedStream:
        """A filter for one stream, with nothing held yet."""
        return RedactedStream(self)

    def suspicious(self, text: bytes) -> bool:
        """Whether some pattern occurs in `text`."""
        for probe in self._probes:  # noqa: SIM110 - a generator takes twice as long
            if probe in text:
                return True
        return False

    def redacted(self, text: bytes) -> bytes:
        """`text`, all of it, without what must not be seen."""
        stream = self.stream()
        pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return b"".join([*map(stream.feed, pieces), stream.finish()])

    def lines(self, text: bytes, most: int) -> list[int]:
        """The numbers of the first lines, counted from 1, in which a pattern begins: `most` of them at the most."""
        starts: set[int] = set()
        for pattern in self._patterns:
            at = text.find(pattern)
            for _ in range(most):
                if at < 0:
                    break
                starts.add(text.rfind(b"\n", 0, at) + 1)
                line_end = text.find(b"\n", at)
                at = text.find(pattern, line_end) if line_end >= 0 else -1
        number, counted, found = 1, 0, []
        for start in sorted(starts)[:most]:
            number += text.count(b"\n", counted, start)
            counted = start
            found.append(number)
        return found

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Start and end of every occurrence of every pattern, also overlapping ones, in order."""
        found = []
        for pattern in self._patterns:
            at = text.find(pattern)
            while at >= 0:
                found.append((at, at + len(pattern)))
                at = text.find(pattern, at + 1)
        return sorted(found)

    def unfinished(self, text: bytes) -> int:
        """Where the longest end of `text` starts that begins a pattern without completing it; its length if none."""
        first = len(text)
        for pattern in self._through.get(text[-1], ()) if text else ():
            at = text.find(pattern[:1], max(0, len(text) - len(pattern) + 1), first)
            while at >= 0:
                if pattern.startswith(text[at:]):
                    first = at
                    break
                at = text.find(pattern[:1], at + 1, first)
        return first


class RedactedStream:
    """One stream on its way through: `feed` what was read, write what comes back, `finish` at the end."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._masked = 0  # how many bytes at the start of `_held` a mask that was passed on already stands for

    def feed(self, data: bytes) -> bytes:
        """What can be passed on now that `data` has been read."""
        text = self._held + data if self._held else data
        return self._pass_on(text, self._redactor.unfinished(text))

    def finish(self) -> bytes:
        """The rest, once nothing more comes: a secret that was cut short is not one that is known, and stays."""
        return self._pass_on(self._held, len(self._held))

    def _pass_on(self, text: bytes, end: int) -> bytes:
        if not self._masked and not self._redactor.suspicious(text):
            self._held = text[end:]
            return text[:end] if end < len(text) else text
        out = []
        done = 0
        for start, stop, is_masked in self._stretches(text):
            if start > end:
                break
            out.append(text[done:start])
            if not is_masked:
                out.append(MASK)
            done = stop
        out.append(text[done:end])
        self._held = text[end:]
        self._masked = max(0, done - end)
        return b"".join(out)

    def _stretches(self, text: bytes) -> Iterator[tuple[int, int, bool]]:
        """Overlapping occurrences made one, and whether its mask has been passed on already."""
        start, stop, is_masked = 0, self._masked, self._masked > 0
        for next_start, next_stop in self._redactor.spans(text):
            if next_start < stop:
                stop = max(stop, next_stop)
                continue
            if stop:
                yield start, stop, is_masked
            start, stop, is_masked = next_start, next_stop, False
        if stop:
            yield start, stop, is_masked


def forms(value: str, parts: int = MOST_PARTS) -> set[bytes]:
    """What `value` looks like in output: itself, escaped for a URL or for JSON, in base64, and `parts` lines at most.

    Base64 is looked for wherever in a longer text the value stands: at each of the three alignments, without the
    characters at either end that the neighbouring bytes share; and, when the value is the whole text, in lines.
    """
    value = value.strip("\r\n")
    whole = _encode(value)
    if len(whole) < SHORTEST_VALUE:
        return set()
    escaped = {quote(whole, safe=""), quote(whole), quote_plus(whole)}
    derived = {form.encode() for form in escaped | {_lower_hex(form) for form in escaped}}
    derived |= {json.dumps(value)[1:-1].encode(), _encode(json.dumps(value, ensure_ascii=False)[1:-1])}
    derived |= _base64_forms(whole)
    lines = dict.fromkeys((*whole.splitlines(), *_base64_lines(whole)))
    return (
        {whole}
        | {form for form in derived if len(form) >= min(SHORTEST_PART, len(whole))}
        | set(islice((line for line in map(bytes.strip, lines) if len(line) >= SHORTEST_PART), parts))
    )


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # as the environment does
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _lower_hex(escaped: str) -> str:
    pieces = escaped.split("%")
    return pieces[0] + "".join(f"%{piece[:2].lower()}{piece[2:]}" for piece in pieces[1:])


def _base64_forms(whole: bytes) -> set[bytes]:
    found = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + whole).rstrip(b"=")
        first = (before * 8 + 5) // 6  # the first character that holds bits of the value alone
        found.add(encoded[first : (before + len(whole)) * 8 // 6])
        found.add(encoded[first:])  # the value ends the text
    return found | {form.translate(_URL_SAFE) for form in found}


def _base64_lines(whole: bytes) -> Iterator[bytes]:
    encoded = base64.b64encode(whole)
    for width in _BASE64_WIDTHS:
        for at in range(0, len(encoded), width) if len(encoded) > width else ():
            yield encoded[at : at + width]
            yield encoded[at : at + width].translate(_URL_SAFE)
