"""Makes text that came from outside (a server, a token, a file) safe to print; it never decides what to print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

# Control characters (C0 but for tab and newline, DEL, C1), and what Unicode has that is not seen or turns text
# around: a terminal must not be steered, nor a reviewer misled, by a text that a server or a branch name supplied. They
# are the categories Cc, Cf, Cs, Zl and Zp and the property Default_Ignorable_Code_Point: .NET's IndexOf, with which
# runners look for their commands, passes over the latter
# (https://learn.microsoft.com/dotnet/api/system.string.indexof, "Remarks").
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)
# GitHub's runner takes a line for a command that begins with `::` after any white space, and one that has `##[`
# anywhere (actions/runner, ActionCommand.cs); Azure's agent one that has `##vso[`, TeamCity's `##teamcity[`.
_COMMAND = re.compile(r"(?im)^\s*(?=::)|#(?=#(?:\[|vso|teamcity))")


def printable(text: str, limit: int = 2000) -> str:
    r"""`text` with every character that could steer a terminal written as `\xNN` or `\uNNNN`, cut at `limit`.

    What would be a command to a CI's log reader (GitHub Actions "workflow commands", Azure Pipelines "logging
    commands", TeamCity "service messages") gets a backslash where it begins.
    """
    safe = _UNSAFE.sub(lambda m: ascii(m.group())[1:-1], text)
    safe = _COMMAND.sub(lambda m: m.group() + "\\", safe)
    return safe if len(safe) <= limit else safe[:limit] + f"… ({len(safe) - limit} more characters)"


def one_line(text: str, limit: int = 300) -> str:
    """`printable`, with every run of white space made one space: for a value inside a sentence."""
    return printable(" ".join(text.split()), limit)


def json_text(value: object, default: Callable[[object], object] | None = None) -> str:
    """`value` as JSON, in a form that no terminal and no CI's log reader takes for anything but text."""
    # No line of it begins with a "::", and in JSON a '#' only ever stands inside of a text.
    return json.dumps(value, indent=2, default=default).replace("##", "#\\u0023")
