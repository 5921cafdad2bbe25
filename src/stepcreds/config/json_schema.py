"""The table of keys as a JSON Schema (draft 2020-12), for editors; the loader checks more than a schema can say."""

from __future__ import annotations

from typing import Any

from stepcreds.config.duration import DURATION, LONGEST, SHORTEST
from stepcreds.config.key import Key
from stepcreds.config.schema import ROOT

# A duration without a unit is seconds.
_DURATION = {
    "oneOf": [{"type": "integer", "minimum": SHORTEST, "maximum": LONGEST}, {"type": "string", "pattern": DURATION}]
}


def json_schema() -> dict[str, Any]:
    """The schema of a stepcreds.yml. It takes every file that the loader takes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stepcreds.yml",
        "description": "Which credential a CI step may ask for, how wide it may be, and how long it may live.",
        **_schema(ROOT),
    }


def _schema(key: Key) -> dict[str, Any]:
    schema = _value(key)
    if key.summary:
        default = f" Default: {key.default}." if key.default else ""
        schema = {"description": f"{key.summary}{default}", **schema}
    return schema


def _value(key: Key) -> dict[str, Any]:
    plain: dict[str, dict[str, Any]] = {
        "text": {"type": "string", "pattern": key.pattern},
        "template": {"type": "string"},
        "choice": {"enum": list(key.choices)},
        "version": {"const": 1},
        "duration": _DURATION,
    }
    if key.kind in plain:
        return plain[key.kind]
    if key.kind == "one or list":
        return {"oneOf": [_schema(key.keys[0]), _list(key)]}
    return {"section": _section, "named": _named, "list": _list}[key.kind](key)


def _section(key: Key) -> dict[str, Any]:
    required = [child.name for child in key.keys if child.required and not child.unless]
    together = {child.name: list(child.needs) for child in key.keys if child.needs}
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"dependentRequired": together} if together else {}),
        **next((_unless(child) for child in key.keys if child.unless), {}),
        "properties": {child.name: _schema(child) for child in key.keys},
    }


def _unless(key: Key) -> dict[str, Any]:
    """An editor names the missing key for this; for an `anyOf` it would say that no form fits."""
    *outer, name = key.unless.split(".")
    there: dict[str, Any] = {"required": [name]}
    for each in reversed(outer):
        there = {"required": [each], "properties": {each: there}}
    return {"if": there, "else": {"required": [key.name]}}


def _named(key: Key) -> dict[str, Any]:
    assert key.names is not None  # noqa: S101 - the table's own contract
    return {
        "type": "object",
        "propertyNames": {"pattern": key.names.pattern},
        "additionalProperties": _schema(key.keys[0]),
        **({"minProperties": 1} if key.at_least_one else {}),
    }


def _list(key: Key) -> dict[str, Any]:
    return {
        "type": "array",
        "items": _schema(key.keys[0]),
        **({"uniqueItems": True} if key.keys[0].kind == "text" else {}),
        **({"minItems": 1} if key.at_least_one else {}),
    }
