"""What can be said of one key of a configuration file; which keys there are is in `schema.py`."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["text", "template", "choice", "version", "duration", "list", "one or list", "section", "named"]

LINE = r"^[^\r\n]+$"  # every text that has no rule of its own


class Key(NamedTuple):
    """One key, or (where `name` is "") the item of a list or the value under a name that the author chooses."""

    name: str
    kind: Kind
    summary: str = ""  # Markdown; what it is for
    required: bool = False
    unless: str = ""  # a dotted key of the same section: where it is there, this one is not required
    needs: tuple[str, ...] = ()  # keys of the same section that must be there where this one is
    default: str = ""  # Markdown; "" where there is none
    instead_of: tuple[str, ...] = ()  # what people write for it, though no such key is there
    example: str = ""  # as it stands in YAML
    choices: tuple[str, ...] = ()
    pattern: str = LINE  # of a text, in the common part of Python's and ECMA-262's regular expressions
    rule: str = "must be one line of text, and not empty"  # what the pattern asks for
    keys: tuple[Key, ...] = ()  # of a section; of a list and of names: one, the item
    names: Key | None = None  # what the names that the author chooses must look like
    at_least_one: bool = False  # of a list and of names
