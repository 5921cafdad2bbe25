"""Fills the texts in templates/: `<<name>>` stands for a value, and a line of nothing else goes where that is empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_NAME = re.compile(r"<<([a-z_]+)>>")
_WHOLE_LINE = re.compile(r"([ \t]*)<<([a-z_]+)>>\n")


def template(name: str) -> str:
    """The text of templates/`name`."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with the values. Those of several lines are indented like the place where they stand alone in a line.

    Raises `KeyError` for a name that has no value.
    """
    lines = []
    for line in text.splitlines(keepends=True):
        alone = _WHOLE_LINE.fullmatch(line)
        if alone is not None:
            lines += [f"{alone[1]}{part}".rstrip() + "\n" for part in values[alone[2]].splitlines()]
        else:
            lines.append(_NAME.sub(lambda match: values[match[1]], line))
    return "".join(lines)
