"""Canonical bytes of a record: RFC 8785 in a profile where the standard library's JSON agrees with it; no hashing here.

The profile: objects with ASCII keys, arrays, strings of valid Unicode, integers within ±(2^53-1), true, false and
null; no floats, and at most `MAX_DEPTH` levels. Inside it, sorting keys by code point is sorting them by UTF-16 code
unit (RFC 8785, 3.2.3), and `json.dumps` escapes exactly what RFC 8785, 3.2.2.2 wants escaped.
"""

from __future__ import annotations

import json
from typing import NoReturn

from stepcreds.errors import LedgerError

MAX_INTEGER = 2**53 - 1  # RFC 7493: what every reader of JSON holds exactly
MAX_DEPTH = 32


class CanonicalError(LedgerError):
    """A value, or a line, outside the profile. Names the place, never the value."""


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def canonical(value: object) -> bytes:
    """The canonical bytes of `value`: dict, list, tuple, str, int, bool and None, of exactly these types.

    Raises `CanonicalError`, which names the place in `value`, for everything outside the profile.
    """
    _require_profile(value, "", MAX_DEPTH)
    return _encode(value).encode("utf-8")


def parse(line: bytes) -> object:
    """The value whose canonical bytes `line` is.

    Hashes are over stored bytes, and readers differ on bytes that are not canonical: of a key that comes twice most
    keep the last. So bytes that are not canonical are refused. Raises `CanonicalError`.
    """
    value = loads(line)
    try:
        again = _encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise CanonicalError("a string that is not valid Unicode") from None
    if again != line:
        raise CanonicalError("not canonical JSON: white space, the order of keys, or a key that comes twice")
    return value


def loads(line: bytes) -> object:
    """The value of a line of JSON, canonical or not. Raises `CanonicalError` where it is none, or too big or deep."""
    try:
        value = _decode(line.decode("utf-8"))
    except CanonicalError:
        raise
    except (ValueError, RecursionError):
        raise CanonicalError("not JSON") from None
    # Only such lines can hold a key that is not ASCII, or be too deep: the rest need no second look.
    if not line.isascii() or line.count(b"{") + line.count(b"[") > MAX_DEPTH:
        _require_profile(value, "", MAX_DEPTH)
    return value


def fitted(value: object, depth: int = 8) -> object:
    """`value`, a piece of foreign JSON such as a token's claims, changed only where the profile has no room for it.

    A whole float becomes an integer, any other its text; an integer too large becomes hexadecimal text; a key or
    string that is not valid is escaped; what lies deeper than `depth`, or is not JSON, becomes "…".
    """
    if value is None or type(value) is bool:
        return value
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= MAX_INTEGER else hex(value)
    if depth and isinstance(value, (list, tuple)):
        return [fitted(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {
            valid(str(key)).encode("ascii", "backslashreplace").decode(): fitted(item, depth - 1)
            for key, item in value.items()
        }
    return repr(value) if isinstance(value, float) else "…"


def valid(text: str) -> str:
    """`text` with lone surrogates escaped: Python's stand-ins for bytes of the environment that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _require_profile(value: object, where: str, depth: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if type(value) not in (str, int, dict, list, tuple):
        raise CanonicalError(f"{where or 'the value'} is a {type(value).__name__}, which a record cannot hold")
    if isinstance(value, str):
        if value != valid(value):
            raise CanonicalError(f"{where or 'the value'} is not valid Unicode")
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonicalError(f"{where or 'the value'} is an integer beyond 2^53-1")
    elif not depth:
        raise CanonicalError(f"{where} is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise CanonicalError(f"{where or 'the value'} has a key that is not ASCII text")
            _require_profile(item, f"{where}.{key}" if where else key, depth - 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _require_profile(item, f"{where}[{index}]", depth - 1)


def _integer(digits: str) -> int:
    if len(digits) > 17 or not -MAX_INTEGER <= int(digits) <= MAX_INTEGER:
        raise CanonicalError("an integer beyond 2^53-1")
    return int(digits)


def _refuse(_: str) -> NoReturn:
    raise CanonicalError("a number that is not an integer")


_decode = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse).decode
