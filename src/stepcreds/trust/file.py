"""`stepcreds-trust.json`: read strictly and written; what Vault says today it does not ask.

Whoever can put a key into it can forge ledgers, so nothing in it is guessed or passed over: a field that is not known
is refused, because a misspelt `not_after` would leave a window open.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, get_args

from stepcreds.errors import StepcredsError, UsageError
from stepcreds.ledger.dsse import EnvelopeError, from_base64
from stepcreds.ledger.view import epoch_of
from stepcreds.printable import one_line
from stepcreds.trust.keys import Purpose, Trust, TrustedKey

SCHEMA = "stepcreds.trust/1"
LONGEST = 4 * 1024 * 1024  # bytes; a key is about 400
KEY_BYTES = 32  # of an Ed25519 public key: RFC 8032, 5.1.5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,400}/keys/[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,250}[A-Za-z0-9_])?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_FIELDS = tuple(field.name for field in fields(TrustedKey))


class _WrongError(ValueError):
    """What is wrong, with its place in the file."""


def load_trust(path: Path) -> Trust:
    """The keys in the file `path`. Raises `UsageError`, which names the place, for all that is not as it should be."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else "that is no name of a file"
        raise UsageError(f"The trust file {path} cannot be read: {why}", docs="ledger-trust") from None
    try:
        return Trust(str(path), _keys(_parsed(data)))
    except _WrongError as error:
        raise UsageError(
            f"{path} is not a trust file of stepcreds: {error}",
            cause="It was cut short, edited by hand, or is something else.",
            fix=f"Mend it, or write another from Vault: stepcreds ledger trust export --output {path}.new",
            docs="ledger-trust",
        ) from None


def dumps(trust: Trust) -> str:
    """The text of the file, one order for one set of keys."""
    ordered = sorted(trust.keys, key=lambda key: (key.purpose, key.vault_addr, key.name, key.version, key.not_before))
    document = {"schema": SCHEMA, "keys": [{name: getattr(key, name) for name in _FIELDS} for key in ordered]}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def create(path: Path, trust: Trust) -> None:
    """Write a new file. Raises `UsageError` where there is one already, `StepcredsError` where it cannot be written."""
    try:
        _write(path, dumps(trust))
    except FileExistsError:
        raise UsageError(
            f"{path} is there already, and what a reviewer has pinned is not overwritten",
            fix=f"Bring it up to date, and read what changes: stepcreds ledger trust export --update --output {path}",
            docs="ledger-trust",
        ) from None
    except OSError as error:
        raise _unwritten(path, error) from None


def replace(path: Path, trust: Trust) -> None:
    """Write the file anew: the old one or the new one is there at every moment. Raises `StepcredsError`."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        _write(beside, dumps(trust))
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _unwritten(path, error) from None


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)  # there is no secret in it
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)


def _unwritten(path: Path, error: OSError) -> StepcredsError:
    return StepcredsError(f"The trust file {path} cannot be written: {error.strerror}", docs="ledger-trust")


def _parsed(data: bytes) -> object:
    if len(data) > LONGEST:
        raise _WrongError(f"it is larger than {LONGEST // 1024 // 1024} MiB")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_int=_whole, parse_constant=_no_number)
    except _WrongError:
        raise
    except (ValueError, RecursionError):
        raise _WrongError("it is not JSON") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Readers differ on which of two they take.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _WrongError("a field is there twice in one object")
    return found


def _whole(digits: str) -> int:
    if len(digits) > 18:
        raise _WrongError("a number that is too large")
    return int(digits)


def _no_number(_: str) -> NoReturn:
    raise _WrongError("a number that JSON does not have")


def _keys(value: object) -> tuple[TrustedKey, ...]:
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise _WrongError(f"schema is not {SCHEMA}")
    for name in value.keys() - {"schema", "keys"}:
        raise _WrongError(f"{one_line(name, 40)} is no field of it")
    listed = value.get("keys")
    if not isinstance(listed, list):
        raise _WrongError("keys is no list")
    keys = tuple(_key(each, f"keys[{index}]") for index, each in enumerate(listed))
    _no_two_at_once(keys)
    return keys


def _key(value: object, where: str) -> TrustedKey:
    if not isinstance(value, dict):
        raise _WrongError(f"{where} is no object")
    for name in value.keys() - set(_FIELDS):
        raise _WrongError(f"{where}.{one_line(name, 40)} is no field of a key")
    for name in _FIELDS:
        if name not in value:
            raise _WrongError(f"{where}.{name} is missing")
        passes, otherwise = _CHECKS[name]
        if not passes(value[name]):
            raise _WrongError(f"{where}.{name} {otherwise}")
    key = TrustedKey(**value)
    if key.purpose == "seal" and key.repository_id is not None:
        raise _WrongError(f"{where}.repository_id must be null: a seal is for all repositories")
    if key.not_after is not None and key.not_after < key.not_before:
        raise _WrongError(f"{where}.not_after is before its not_before")
    return key


def _is_time(value: object) -> bool:
    return isinstance(value, str) and bool(_TIME.fullmatch(value)) and epoch_of(value) is not None


def _is_key(value: object) -> bool:
    try:
        return len(from_base64(value)) == KEY_BYTES
    except EnvelopeError:
        return False


_PURPOSES = get_args(Purpose)
_TIMES = "is no time as 2026-11-22T07:50:00.000Z is"
# What each field of a key has to be, and what is said where it is not.
_CHECKS: Mapping[str, tuple[Callable[[Any], object], str]] = {
    "purpose": (lambda value: isinstance(value, str) and value in _PURPOSES, f"is none of {', '.join(_PURPOSES)}"),
    "vault_addr": (lambda value: isinstance(value, str) and value, "is no address"),
    "name": (lambda value: isinstance(value, str) and _NAME.fullmatch(value), "is not <mount>/keys/<name>"),
    "version": (lambda value: type(value) is int and 0 < value < 10**9, "is no version: 1, 2, 3…"),
    "public_key": (_is_key, f"is not the base64 of {KEY_BYTES} bytes"),
    "not_before": (_is_time, _TIMES),
    "not_after": (lambda value: value is None or _is_time(value), _TIMES),
    "repository_id": (
        lambda value: value is None or (isinstance(value, str) and value),
        "is neither the id of a repository nor null",
    ),
}


def _no_two_at_once(keys: tuple[TrustedKey, ...]) -> None:
    """One version of a key is one public key at any time: what is there twice is a mistake, or somebody's addition."""
    seen: dict[tuple[object, ...], list[tuple[TrustedKey, int]]] = {}
    for index, key in enumerate(keys):
        seen.setdefault((key.purpose, key.vault_addr, key.keyid, key.repository_id), []).append((key, index))
    for same in seen.values():
        same.sort(key=lambda pair: pair[0].not_before)
        for (key, index), (later, other) in pairwise(same):
            if key.not_after is None or key.not_after > later.not_before or key.not_before == later.not_before:
                first, second = sorted((index, other))
                raise _WrongError(f"keys[{second}] is the same version of the same key as keys[{first}]")
