"""Durations as a person writes them: `90`, `90s`, `2m`, `1h30m`; and back again."""

from __future__ import annotations

import re

# A lease shorter than this ends before it is measured; one that is longer is no step's.
SHORTEST, LONGEST = 10, 24 * 3600  # seconds
DURATION = r"^([0-9]{1,9}|([0-9]{1,4}h)?([0-9]{1,5}m)?[0-9]{1,9}s|([0-9]{1,4}h)?[0-9]{1,5}m|[0-9]{1,4}h)$"
_UNITS = {"h": 3600, "m": 60, "s": 1}


def seconds(text: str) -> float | None:
    """The seconds of a duration: `90`, `90s`, `2m`, `1h30m`; None if `text` is none."""
    if not text.isascii() or not re.search(DURATION, text) or text.endswith("\n"):
        return None
    if text.isdigit():
        return float(text)
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall("([0-9]+)([hms])", text)))


def in_words(duration: float) -> str:
    """`duration` (whole seconds) as it would be written in the file: `1h30m`."""
    rest, text = int(duration), ""
    for unit, length in _UNITS.items():
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
