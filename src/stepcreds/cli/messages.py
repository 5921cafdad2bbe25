"""How an error looks on a terminal or in a CI's log; it says nothing that the error does not say, and does not exit."""

from __future__ import annotations

import re
from typing import TextIO

from stepcreds.config.environment import own_environment
from stepcreds.errors import ConfigError, StepcredsError
from stepcreds.printable import one_line, printable

# Our own words, with values in them that have been cut already: a command to paste is not to end in the middle.
WHOLE = 100_000  # characters

# Nobody who meets a message in a log has the file at hand.
TROUBLESHOOTING = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"

_RED, _YELLOW, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[0m"


def coloured(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal that may be coloured (https://no-color.org: NO_COLOR set and not empty: no).

    None is a stream that was closed when the process started.
    """
    variables = own_environment()
    return stream is not None and stream.isatty() and not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"


def render_error(error: StepcredsError, colour: bool) -> str:
    """`error` in the common form, without a final newline::

        stepcreds: error: <what>
          cause: <cause>
          fix: <fix>
          see: <address of docs/troubleshooting.md>#<docs>

    A line is left out where the error has nothing to say. Further lines of a cause or a fix are indented under the
    first. The problems of a `ConfigError` follow its first line, each with its fix, in the form of a compiler:
    `file:line:column: key: what`.
    """
    lines = [_mark("stepcreds: error:", _RED, colour) + _indented(error.what)]
    for problem in error.problems if isinstance(error, ConfigError) else ():
        place = ": ".join(one_line(part) for part in (problem.where, problem.key) if part)
        lines.append(printable(f"{place}: {one_line(problem.what, 1000)}", 2000))
        lines += _labelled("fix", problem.fix, colour)
    lines += _labelled("cause", error.cause, colour)
    lines += _labelled("fix", error.fix, colour)
    lines += _labelled("see", f"{TROUBLESHOOTING}#{error.docs}" if error.docs else "", colour)
    return "\n".join(lines)


def render_warning(text: str, colour: bool) -> str:
    """Something to act on, in one form with errors."""
    return _mark("stepcreds: warning:", _YELLOW, colour) + _indented(text)


def annotation(rendered: str) -> tuple[str, str]:
    """Title and text of an annotation that says what `rendered` (without colour) says in the log.

    The title of an error is `stepcreds: <what>`, the text is what stands under it: cause, fix and where to read on. A
    warning says all in one, so its title ends before the first `:` or `;` that has something after it, and its text is
    the whole. Where the text would be empty it repeats what the title says, as no CI shows an annotation without one.
    """
    first, _, rest = rendered.partition("\n")
    _, level, what = first.split(": ", 2)
    text = "\n".join(line[2:] if line.startswith("  ") else line for line in rest.split("\n"))
    if level == "warning":
        title = re.split(r"[:;] ", what, maxsplit=1)[0]
        if title != what:
            return f"stepcreds: {title}", f"{what}\n{text}".rstrip()
    return f"stepcreds: {what}", text or what


def _labelled(label: str, text: str, colour: bool) -> list[str]:
    return [f"  {_mark(f'{label}:', _BOLD, colour)}{_indented(text)}"] if text else []


def _indented(text: str) -> str:
    first, *others = printable(text, WHOLE).splitlines() or [""]
    return "\n".join([f" {first}", *(f"    {line}" for line in others)])


def _mark(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_PLAIN}" if colour else text
