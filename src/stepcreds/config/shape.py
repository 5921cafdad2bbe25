"""Holds a document against the table of keys: unknown and missing keys, and values of the wrong kind.

It reads each value on its own; what values must be to one another is not said here.
"""

from __future__ import annotations

import re
from typing import Union

from stepcreds.config.duration import LONGEST, SHORTEST, in_words, seconds
from stepcreds.config.key import Key
from stepcreds.config.nodes import Mapping, Node, Scalar, Sequence, Unread, dotted
from stepcreds.config.problems import Problems, nearest, suggestion
from stepcreds.printable import one_line

# None: it is there, and what is wrong with it has been said. Durations are seconds.
Value = Union[str, float, "list[Value]", "dict[str, Value]", None]


def read_value(node: Node, key: Key, path: str, problems: Problems) -> Value:
    """`node` as a value of `key`, which stands at the dotted `path`. Registers the position of every key it meets."""
    if isinstance(node, Unread):
        return None
    if key.kind == "section":
        return _section(node, key, path, problems)
    if key.kind == "named":
        return _named(node, key, path, problems)
    if key.kind == "list" or (key.kind == "one or list" and isinstance(node, Sequence)):
        return _list(node, key, path, problems)
    if key.kind == "one or list":
        item = read_value(node, key.keys[0], path, problems)
        return None if item is None else [item]
    return _scalar(node, key, path, problems)


def _section(node: Node, key: Key, path: str, problems: Problems) -> Value:
    if not isinstance(node, Mapping):
        return _wrong_kind(node, "a mapping", path, problems)
    known = {child.name: child for child in key.keys}
    values: dict[str, Value] = {}
    for name, child in node.entries:
        child_path = dotted(path, name.text)
        problems.positions[child_path] = (name.line, name.column)
        if name.text in known:
            values[name.text] = read_value(child, known[name.text], child_path, problems)
        else:
            problems.add(child_path, "unknown key", _where_it_belongs(name.text, key))
    for child_key in key.keys:
        if child_key.required and child_key.name not in values and not _is_there(child_key.unless, values):
            example = f"For example: {child_key.name}: {child_key.example}" if child_key.example else ""
            problems.add(dotted(path, child_key.name), "the key is missing", example)
    return values


def _is_there(key: str, values: dict[str, Value]) -> bool:
    """Whether the dotted `key` is; also with a value that is wrong, as that has been said."""
    name, _, rest = key.partition(".")
    inner = values.get(name)
    return name in values and (not rest or (isinstance(inner, dict) and _is_there(rest, inner)))


def _named(node: Node, key: Key, path: str, problems: Problems) -> Value:
    if not isinstance(node, Mapping):
        return _wrong_kind(node, "a mapping", path, problems)
    if key.at_least_one and not node.entries:
        problems.add(path, "there is none", "Give at least one.")
    values: dict[str, Value] = {}
    for name, child in node.entries:
        child_path = dotted(path, name.text)
        problems.positions[child_path] = (name.line, name.column)
        if key.names is not None and not _follows(name.text, key.names):
            problems.add(child_path, f"the name {key.names.rule}")
        values[name.text] = read_value(child, key.keys[0], child_path, problems)
    return values


def _list(node: Node, key: Key, path: str, problems: Problems) -> Value:
    if not isinstance(node, Sequence):
        is_item = isinstance(node, Scalar) and key.keys[0].kind == "text"
        return _wrong_kind(node, "a list", path, problems, f"Write it in brackets: {key.name}: […]" if is_item else "")
    if key.at_least_one and not node.items:
        problems.add(path, "the list is empty", "Give at least one, or remove the line.")
    values: list[Value] = []
    seen: set[str] = set()
    for index, item in enumerate(node.items):
        item_path = f"{path}[{index}]"
        problems.positions[item_path] = (item.line, item.column)
        value = read_value(item, key.keys[0], item_path, problems)
        if isinstance(value, str):
            if value in seen:
                problems.add(item_path, "the same is in the list already", "Remove it.")
            seen.add(value)
        values.append(value)
    return values


def _scalar(node: Node, key: Key, path: str, problems: Problems) -> Value:
    if not isinstance(node, Scalar):
        fix = 'Put it in quotes: "{…}"' if isinstance(node, Mapping) and node.flow else ""
        return _wrong_kind(node, "a text", path, problems, fix)
    if node.kind == "null":
        return _wrong_kind(node, "", path, problems)
    return _READERS.get(key.kind, _text)(node, key, path, problems)


def _text(node: Scalar, key: Key, path: str, problems: Problems) -> Value:
    if node.kind != "text":
        return _wrong_kind(node, "a text", path, problems, "Put it in quotes.")
    if key.kind == "text" and not _follows(node.text, key):
        example = f"{key.name}: {key.example}" if key.name else key.example
        problems.add(path, key.rule, f"For example: {example}" if key.example else "")
        return None
    return node.text


def _choice(node: Scalar, key: Key, path: str, problems: Problems) -> Value:
    if node.text in key.choices and node.kind == "text":
        return node.text
    what = f'"{one_line(node.text, 60)}" is not one of {", ".join(key.choices)}'
    problems.add(path, what, suggestion(node.text, key.choices))
    return None


def _version(node: Scalar, _: Key, path: str, problems: Problems) -> Value:
    if node.kind == "number" and node.text == "1":
        return 1.0
    what = "this stepcreds reads version 1 only" if node.kind == "number" else "must be the number 1"
    problems.add(path, what, "Write: version: 1")
    return None


def _duration(node: Scalar, _: Key, path: str, problems: Problems) -> Value:
    value = seconds(node.text)
    if value is None:
        what = f'"{one_line(node.text, 60)}" is not a duration'
        problems.add(path, what, "Write seconds (90), or hours, minutes and seconds (90s, 2m, 1h30m).")
    elif not SHORTEST <= value <= LONGEST:
        what = f"{in_words(value)} is out of range: from {in_words(SHORTEST)} to {in_words(LONGEST)}"
        problems.add(path, what)
        return None
    return value


_READERS = {"choice": _choice, "version": _version, "duration": _duration}


def _follows(text: str, key: Key) -> bool:
    # Python's "$" would let a line break pass at the end, ECMA-262's does not.
    return re.search(key.pattern, text) is not None and not text.endswith("\n")


def _wrong_kind(node: Node, wanted: str, path: str, problems: Problems, fix: str = "") -> Value:
    if isinstance(node, Scalar) and node.kind == "null":
        problems.add(path, "the key has no value", "Give it one, or remove the line.")
        return None
    if isinstance(node, Scalar):
        given = "true or false" if node.kind == "boolean" else f"a {node.kind}"
    else:
        given = "a list" if isinstance(node, Sequence) else "a mapping"
    problems.add(path, f"must be {wanted}, and is {given}", fix)
    return None


def _where_it_belongs(name: str, section: Key) -> str:
    from stepcreds.config.schema import sections

    here = [child.name for child in section.keys]
    for child in section.keys:
        if name in child.instead_of:
            return f"Write {child.name}: {child.choices[-1] if child.choices else '…'}."
    if near := nearest(name, here):
        return f'Did you mean "{near}"?'
    for path, keys in sections():
        if name in keys:
            return f"It belongs {f'under {path}' if path else 'at the top of the file'}."
    return f"The keys here are: {', '.join(here)}."
