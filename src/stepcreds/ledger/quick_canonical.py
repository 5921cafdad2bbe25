"""`canonical.parse` for whoever reads millions of lines: it takes what can be seen at a glance to be canonical, and
leaves every other line, and every refusal, to canonical.py.

Without orjson (extra `ledger`) it is `canonical.parse`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stepcreds.ledger.canonical import MAX_DEPTH, parse

# A number that is not whole, or perhaps beyond 2^53-1: orjson reads both.
_ODD_NUMBER = re.compile(rb"[0-9][.eE]|[0-9]{16}")


def quick_parse() -> Callable[[bytes], object]:
    """A function that returns and raises what `canonical.parse` does."""
    try:
        import orjson
    except ImportError:
        return parse
    loads, dumps, sort = orjson.loads, orjson.dumps, orjson.OPT_SORT_KEYS

    def quick(line: bytes) -> object:
        # Sorting keys by bytes is RFC 8785's order where all of it is ASCII. Without a backslash every second piece
        # between quotation marks is what stands outside of texts.
        if line.isascii() and b"\\" not in line:
            bare = b"".join(line.split(b'"')[::2])
            if bare.count(b"{") + bare.count(b"[") > MAX_DEPTH or _ODD_NUMBER.search(bare):
                return parse(line)
            try:
                value: object = loads(line)
                if dumps(value, option=sort) == line:
                    return value
            except ValueError:  # orjson's errors are; `parse` says what is wrong
                pass
        return parse(line)

    return quick
