"""Makes text that came from outside (a server, a token, a file) safe to print; it never decides what to print."""

from __future__ import annotations

import re

# Control characters (C0 but for tab and newline, DEL, C1), and what Unicode has that is not seen or turns text
# around: a terminal must not be steered, nor a reviewer misled, by a text that a server or a branch name supplied.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
# GitHub's runner takes a line for a command that begins with `::` after any white space, and one that has `##[`
# anywhere (actions/runner, ActionCommand.cs); Azure's agent one that has `##vso[`.
_COMMAND = re.compile(r"(?m)^\s*(?=::)|#(?=#(?:\[|vso))")


def printable(text: str, limit: int = 2000) -> str:
    r"""`text` with every character that could steer a terminal written as `\xNN` or `\uNNNN`, cut at `limit`.

    What would be a command to a CI's log reader (GitHub Actions "workflow commands", Azure Pipelines "logging
    commands") gets a backslash where it begins.
    """
    safe = _UNSAFE.sub(lambda m: ascii(m.group())[1:-1], text)
    safe = _COMMAND.sub(lambda m: m.group() + "\\", safe)
    return safe if len(safe) <= limit else safe[:limit] + f"… ({len(safe) - limit} more characters)"


def one_line(text: str, limit: int = 300) -> str:
    """`printable`, with every run of white space made one space: for a value inside a sentence."""
    return printable(" ".join(text.split()), limit)
