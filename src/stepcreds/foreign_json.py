"""Reads JSON that somebody else wrote, of bounded depth; how long it may be is for whoever received it to say."""

from __future__ import annotations

import json

# Python's own functions over nested values, `repr` and `json.dumps` for two, give up at a depth that depends on who
# called them. What is read here is answers of servers and claims of tokens, which need five levels.
DEEPEST = 64


def read(text: bytes) -> object:
    """The value of `text`; None where it is not JSON in UTF-8, or has more than `DEEPEST` levels."""
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        # Not raised on: a JSONDecodeError carries the text that it could not read.
        return None
    level = [value]
    for _ in range(DEEPEST + 1):
        if not level:
            return value
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return None if level else value
