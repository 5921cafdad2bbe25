"""Reads JSON that somebody else wrote, of bounded depth; how long it may be is for whoever received it to say."""

from __future__ import annotations

import json
from collections.abc import Iterable

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
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return value
    return None


def _inside(outer: object) -> Iterable[object]:
    if isinstance(outer, dict):
        return outer.values()
    return outer if isinstance(outer, list) else ()
