"""Makes text that came from outside (a server, a token, a file) safe to print; it never decides what to print."""

from __future__ import annotations

import re

# Control characters (C0 but for tab and newline, DEL, C1), and the bidirectional overrides of Unicode: a
# terminal must not be steered, nor a reviewer misled, by a text that a server or a branch name supplied.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udfff]")


def printable(text: str, limit: int = 2000) -> str:
    r"""`text` with every character that could steer a terminal written as `\xNN` or `\uNNNN`, cut at `limit`.

    Lines that begin with `::` or `##[` or `##vso` would be commands to a CI's log reader (GitHub Actions
    "workflow commands", Azure Pipelines "logging commands"): the first colon or hash is escaped.
    """
    safe = _UNSAFE.sub(lambda m: ascii(m.group())[1:-1], text)
    safe = re.sub(r"(?m)^([ \t]*)(::|##(?=\[|vso))", lambda m: m.group(1) + "\\" + m.group(2), safe)
    return safe if len(safe) <= limit else safe[:limit] + f"… ({len(safe) - limit} more characters)"


def one_line(text: str, limit: int = 300) -> str:
    """`printable`, with every run of white space made one space: for a value inside a sentence."""
    return printable(" ".join(text.split()), limit)
