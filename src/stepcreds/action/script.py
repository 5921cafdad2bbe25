"""A `run` script as the runner would run it: which file, with what in it, and by which command line. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell and the runner's
own src/Runner.Worker/Handlers/ScriptHandlerHelpers.cs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from stepcreds.errors import UsageError
from stepcreds.printable import one_line

# Name -> its arguments, and the end of the file's name. Names are compared without regard to case.
_BUILT_IN = {
    "bash": ("--noprofile --norc -e -o pipefail {0}", ".sh"),
    "sh": ("-e {0}", ".sh"),
    "python": ("{0}", ".py"),
    "pwsh": ("-command \". '{0}'\"", ".ps1"),
}
_WINDOWS = ("cmd", "powershell")
_BEFORE_POWERSHELL = "$ErrorActionPreference = 'stop'\n"
_AFTER_POWERSHELL = "\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }"

# A quote with the backslashes before it; blanks; anything else.
_PIECE = re.compile(r'(\\*)"|([ \t]+)|(?:\\+|[^\\" \t]+)')


class Script(NamedTuple):
    """What to write into a file, how its name ends, and what to run then."""

    content: str
    suffix: str
    program: str
    arguments: str  # with `{0}` for the file

    def argv(self, path: str) -> tuple[str, ...]:
        """The command line for the script in the file `path`."""
        return (self.program, *split_arguments(self.arguments.replace("{0}", path.replace('"', '\\"'))))


def script_of(run: str, shell: str, *, has_bash: bool) -> Script:
    """The script `run` for the `shell` of a step, "" for the default. Raises `UsageError`."""
    if not shell:
        # Unlike `shell: bash`: without pipefail, and with the files that bash reads at its start.
        return Script(run, ".sh", "bash" if has_bash else "sh", "-e {0}")
    program, _, arguments = shell.partition(" ")
    name = program.lower()
    if name in _WINDOWS:
        raise UsageError(
            f"The shell {name} is for Windows, where stepcreds does not run",
            fix="Use bash, sh, python, pwsh, or a command line with {0} for the script's file.",
            docs="action-inputs",
        )
    built_in, suffix = _BUILT_IN.get(name, ("", ""))
    arguments = arguments.lstrip() or built_in
    if "{0}" not in arguments:
        raise UsageError(
            f"The shell {one_line(repr(shell))} is neither one that GitHub knows nor a command line with {{0}}",
            cause="Nothing says where the script's file belongs.",
            fix="Use bash, sh, python, pwsh, or a command line with {0} for the script's file: perl {0}",
            docs="action-inputs",
        )
    content = f"{_BEFORE_POWERSHELL}{run}{_AFTER_POWERSHELL}" if name == "pwsh" else run
    return Script(content, suffix, program, arguments)


def split_arguments(text: str) -> list[str]:
    r"""`text` as .NET splits a command line on Unix, which is what the runner leaves it to.

    Blanks separate; double quotes hold together and may stand anywhere; `""` inside them and `\"` are a quote; 2n
    backslashes before a quote are n of them. Single quotes mean nothing:
    https://learn.microsoft.com/dotnet/api/system.diagnostics.processstartinfo.arguments
    """
    found: list[str] = []
    current: str | None = None
    quoted = False
    closed_at = -1
    for piece in _PIECE.finditer(text):
        backslashes, blanks = piece.groups()
        if blanks and not quoted:
            if current is not None:
                found.append(current)
            current = None
            continue
        current = current or ""
        if backslashes is None:
            current += piece.group()
            continue
        current += "\\" * (len(backslashes) // 2)
        if len(backslashes) % 2:
            current += '"'
            continue
        if not quoted and piece.start() == closed_at:
            current += '"'
        quoted = not quoted
        closed_at = piece.end() if not quoted else -1
    return found if current is None else [*found, current]
