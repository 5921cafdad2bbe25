"""The lines that steps write every day, each told by one regular expression; it refuses nothing.

The table of fields is read into a pattern for the whole line of a kind: these fields and no others, in the order of
RFC 8785, with ASCII texts in which nothing is escaped. What matches is canonical and fits its table without being
parsed, and so a million records take seconds. Every other line is for canonical.py and fields.py to judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from stepcreds.ledger.fields import COMMON, KINDS, Rule, Shape
from stepcreds.ledger.record import Record

MOST = 16_384  # bytes; matching a long list takes memory, some hundred times its entries
# What the rules of a chain, and of what is signed of it, ask records for. A dot: a field of a field.
_OF_EVERY = ("seq", "prev", "chain_uid", "kind", "step_uid")
_OF_SOME = ("credential_uid", "entries", "verdict", "revoke.method", "revoke.status", "verified.time")
ASKED = frozenset((*_OF_EVERY, *_OF_SOME))
_KIND = '"kind":"'
_TEXT = r"[ !#-\[\]-\x7f]*"  # no control character, quotation mark or backslash
_COUNT = "0|[1-9][0-9]{0,14}"  # below 2^53
_WHOLE = f"{_COUNT}|-[1-9][0-9]{{0,14}}"


class _Plain(NamedTuple):
    """How a kind's line is told."""

    match: Callable[[str], re.Match[str] | None]  # of its pattern, for the whole of a text
    names: tuple[str, ...]  # of `ASKED`, one for each group of the pattern
    numbers: tuple[str, ...]  # those of `names` that are integers
    inner: tuple[tuple[str, str, str], ...]  # those with a dot, and what is before and after it


def plain_record(line: bytes) -> Record | None:
    """The fields of `ASKED` that the record of `line`, without its newline, has; None where the line is not plain."""
    if len(line) > MOST or not line.isascii():
        return None
    text = line.decode("ascii")
    start = text.find(_KIND) + len(_KIND)
    plain = _plains().get(text[start : text.find('"', start)])
    if plain is None or (match := plain.match(text)) is None:
        return None
    record: dict[str, Any] = dict(zip(plain.names, match.groups(), strict=True))
    for name in plain.numbers:
        record[name] = int(record[name])
    for name, outer, inner in plain.inner:
        record.setdefault(outer, {})[inner] = record.pop(name)
    return record


@cache
def _plains() -> Mapping[str, _Plain]:
    """By kind; one that has a field in which anything may stand, or that earlier versions lack, is not there."""
    found = {}
    for kind, shape in KINDS.items():
        names: list[str] = []
        try:
            pattern = _object({**COMMON, **shape, "kind": Rule((str,), said=(kind,))}, "", names)
        except _OpenError:
            continue
        inner = [(name, *name.partition(".")[::2]) for name in names if "." in name]
        numbers = {"seq", "entries"}.intersection(names)
        found[kind] = _Plain(re.compile(pattern).fullmatch, tuple(names), tuple(numbers), tuple(inner))
    return found


class _OpenError(Exception):
    """More may stand there than a pattern can say."""


def _object(shape: Shape, within: str, names: list[str]) -> str:
    fields = []
    for name in sorted(shape):
        path, rule = f"{within}{name}", shape[name]
        value = _value(rule, path, names) if isinstance(rule, Rule) else _object(rule, f"{path}.", names)
        fields.append(f'"{re.escape(name)}":{value}')
    return rf"\{{{','.join(fields)}\}}"


def _value(rule: Rule, path: str, names: list[str]) -> str:
    if rule.later:
        raise _OpenError
    if path in ASKED:
        names.append(path)
    forms = [_form(each, rule.said, path, names) for each in rule.types]
    return forms[0] if len(forms) == 1 else f"(?:{'|'.join(forms)})"


def _form(its_type: type, said: object, path: str, names: list[str]) -> str:
    """The pattern of a value of this type. Of one that is asked for, what stands within the quotation marks."""
    opening = "(" if path in ASKED else "(?:"
    if its_type is type(None):
        return "null"
    if its_type is bool:
        return "(?:true|false)"
    if its_type is int:
        return f"{opening}{_COUNT if said == 0 else _WHOLE})"
    if its_type is str:
        text = said if isinstance(said, str) else "|".join(map(re.escape, said)) if isinstance(said, tuple) else ""
        return f'"{opening}{text or _TEXT})"'
    if its_type is list and isinstance(said, Rule):
        item = _value(said, f"{path}[]", names)
        return rf"\[(?:{item}(?:,{item})*)?\]"
    if its_type is dict and isinstance(said, Mapping):
        return _object(said, f"{path}.", names)
    raise _OpenError
