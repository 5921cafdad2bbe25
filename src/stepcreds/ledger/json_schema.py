"""The table of fields as a JSON Schema (draft 2020-12), for other tools; how records are linked it cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepcreds.ledger.canonical import MAX_INTEGER
from stepcreds.ledger.fields import COMMON, KINDS, Rule, Shape

_NAMES: Mapping[type, str] = {
    str: "string",
    int: "integer",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def json_schema() -> dict[str, Any]:
    """The schema of one record. It takes what `fields.misfit` takes, of the kinds that this version knows."""
    kinds = [{"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": f"#/$defs/{kind}"}} for kind in KINDS]
    common = _object(COMMON)
    common["properties"]["kind"] = {"enum": list(KINDS)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of a stepcreds ledger",
        "description": "One line of NAME.jsonl; docs/ledger.md says what it means. Later versions may add fields.",
        **common,
        "allOf": kinds,
        "$defs": {kind: _object(shape) for kind, shape in KINDS.items()},
    }


def _object(shape: Shape) -> dict[str, Any]:
    required = [name for name, rule in shape.items() if not (isinstance(rule, Rule) and rule.later)]
    properties = {name: _value(rule) if isinstance(rule, Rule) else _object(rule) for name, rule in shape.items()}
    return {"type": "object", "required": required, "properties": properties}


def _value(rule: Rule) -> dict[str, Any]:
    types, said = [_NAMES[each] for each in rule.types], rule.said
    schema: dict[str, Any] = {"type": types if len(types) > 1 else types[0]}
    if int in rule.types:
        schema |= {"minimum": said if isinstance(said, int) else -MAX_INTEGER, "maximum": MAX_INTEGER}
    elif isinstance(said, Rule):
        schema["items"] = _value(said)
    elif isinstance(said, str):
        # In Python `$` stands before a last newline, too.
        schema["pattern"] = f"^({said})$(?!\\n)"
    elif isinstance(said, Mapping):
        schema |= {**_object(said), "type": schema["type"]}
    elif isinstance(said, tuple) and said:
        schema["enum"] = list(said)
    return schema
