"""Values as HCL writes them, for both versions: a text in quotes must never begin a template, whatever is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Raw(str):
    """An expression, not a text."""

    __slots__ = ()


def written(value: object) -> str:
    """`value` as an expression: texts, numbers, truths, lists and objects."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{\n" + indented("".join(f"{string(str(k))} = {written(v)}\n" for k, v in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return _list([written(each) for each in value])
    return str(value) if isinstance(value, (int, float)) else string(str(value))


def _list(items: list[str]) -> str:
    if len(items) < 2 and "\n" not in "".join(items):
        return f"[{', '.join(items)}]"
    return "[\n" + indented("".join(f"{item},\n" for item in items)) + "]"


def string(text: str) -> str:
    r"""`text` in quotes. `${` and `%{` begin templates, so their sign is written as an escape, `\u0024` and `\u0025`.

    Both versions read these (https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md, "Template Literals", and
    `json/token`'s forerunner hclstrconv in HCL 1); doubling the sign is for version 2 alone, and ambiguous in `$${`.
    """
    escaped = re.sub(r'[\\"\n\r\t]', lambda found: _ESCAPES[found[0]], text)
    return '"' + re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|[$%](?=\{)", _code, escaped) + '"'


def _code(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def heredoc(text: str) -> Raw:
    """`text` over several lines, for whoever reads it; it must end one, and hold neither `${` nor `%{`."""
    return Raw(f"<<-TEXT\n{indented(text)}TEXT")


def block(head: str, arguments: Mapping[str, object], *inner: str) -> str:
    """`head { name = value … }`, with the blocks `inner` at its end."""
    lines = "".join(f"{name} = {written(value)}\n" for name, value in arguments.items())
    return f"{head} {{\n{indented(lines + ''.join(chr(10) + each for each in inner))}}}\n"


def indented(text: str) -> str:
    """Each line of `text` two blanks further in."""
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))
