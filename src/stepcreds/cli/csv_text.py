"""Rows as CSV (RFC 4180) that a spreadsheet takes for text and not for formulas; it decides nothing about rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from stepcreds.printable import printable

# What makes a spreadsheet calculate, or run something: https://owasp.org/www-community/attacks/CSV_Injection . The last
# four are the wide forms of the first, which spreadsheets of some languages take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_line(cells: Sequence[object]) -> str:
    """One line, without its end. Lists are joined by "; "; None is an empty cell; booleans are `true` and `false`."""
    return ",".join(map(_cell, cells))


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    """The header and each row, each with its end."""
    yield csv_line(header) + "\r\n"
    for row in rows:
        yield csv_line(row) + "\r\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    text = "; ".join(map(_text, value)) if isinstance(value, (list, tuple)) else _text(value)
    text = printable(text, limit=len(text) * 10 + 1)
    if text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    quoted = any(character in text for character in ',"\r\n') or text != text.strip()
    return '"' + text.replace('"', '""') + '"' if quoted else text


def _text(value: object) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, (dict, list)) else str(value)
