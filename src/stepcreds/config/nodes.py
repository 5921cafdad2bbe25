"""What a YAML document is made of, each part with its place; plain data, which nothing here reads.

Plain scalars have the meaning of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), as editors
read them: `on`, `off`, `yes`, `no` and `2027-01-31` are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Union

_NULL = re.compile(r"(~|null|Null|NULL)?\Z")
_BOOLEAN = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_NUMBER = re.compile(
    r"[-+]?([0-9]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z"
)


@dataclass(frozen=True)
class Scalar:
    """One word or text. `kind` is "null", "boolean" or "number" only for what is not in quotes."""

    line: int  # from 1, as everywhere
    column: int
    text: str
    kind: str  # "text", "null", "boolean", "number"


@dataclass(frozen=True)
class Sequence:
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Mapping:
    """Keys and their values, each key once."""

    line: int
    column: int
    entries: tuple[tuple[Scalar, Node], ...]
    flow: bool  # written with braces: `{url}` without quotes is one


@dataclass(frozen=True)
class Unread:
    """Something that was refused; what is wrong with it has been said."""

    line: int
    column: int


Node = Union[Scalar, Sequence, Mapping, Unread]  # noqa: UP007 - evaluated, and Python 3.10 has forward references


def dotted(parent: str, name: str) -> str:
    """The dotted path of `name` under `parent`."""
    return f"{parent}.{name}" if parent else name


def kind_of_plain(plain: str) -> str:
    """The kind of a scalar that is not in quotes."""
    if _NULL.match(plain):
        return "null"
    if _BOOLEAN.match(plain):
        return "boolean"
    return "number" if _NUMBER.match(plain) else "text"
