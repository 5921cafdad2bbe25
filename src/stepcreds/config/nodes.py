"""What a YAML document is made of, each part with its place; plain data, which nothing here reads.

Plain scalars have the meaning of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), as editors
read them: `on`, `off`, `yes`, `no` and `2027-01-31` are text.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Union

# Every step pays for these types, and a named tuple costs a fifth of a frozen dataclass to define.

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_NUMBER = r"[-+]?([0-9]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z"


class Scalar(NamedTuple):
    """One word or text. `kind` is "null", "boolean" or "number" only for what is not in quotes."""

    line: int  # from 1, as everywhere
    column: int
    text: str
    kind: str  # "text", "null", "boolean", "number"


class Sequence(NamedTuple):
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]


class Mapping(NamedTuple):
    """Keys and their values, each key once."""

    line: int
    column: int
    entries: tuple[tuple[Scalar, Node], ...]
    flow: bool  # written with braces: `{url}` without quotes is one


class Unread(NamedTuple):
    """Something that was refused; what is wrong with it has been said."""

    line: int
    column: int


Node = Union[Scalar, Sequence, Mapping, Unread]  # noqa: UP007 - evaluated, and Python 3.10 has forward references


def dotted(parent: str, name: str) -> str:
    """The dotted path of `name` under `parent`."""
    return f"{parent}.{name}" if parent else name


def kind_of_plain(plain: str) -> str:
    """The kind of a scalar that is not in quotes."""
    if plain in _NULL:
        return "null"
    if plain in _BOOLEAN:
        return "boolean"
    return "number" if plain[0] in "+-.0123456789" and re.match(_NUMBER, plain) else "text"
