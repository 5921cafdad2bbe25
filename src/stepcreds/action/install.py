"""Puts `stepcreds` on PATH for the later steps of the job, so that a step can say `shell: stepcreds exec …`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from stepcreds.errors import StepcredsError
from stepcreds.printable import one_line

FOLDER = "stepcreds-bin"
# As in action/python.mjs, which says why.
HOLDING = "/usr/bin/env --block-signal=HUP,INT,QUIT,TERM"
START = (
    "import _signal as s,sys;s.pthread_sigmask(s.SIG_BLOCK,(s.SIGHUP,s.SIGINT,s.SIGQUIT,s.SIGTERM));del sys.argv[0];"
    "__file__=sys.argv[0];exec(compile(open(__file__,'rb').read(),__file__,'exec'))"
)


def install(environment: Mapping[str, str]) -> str:
    """Write the program into a folder of its own in RUNNER_TEMP and add that to PATH; the program's path.

    Raises `StepcredsError`. https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-system-path
    """
    temporary, path_file = environment.get("RUNNER_TEMP"), environment.get("GITHUB_PATH")
    if not temporary or not path_file:
        raise StepcredsError(
            "stepcreds cannot be put on PATH: RUNNER_TEMP or GITHUB_PATH is not set",
            cause="The runner sets both for every step; something took them away, or this is no step of an action.",
            docs="action-inputs",
        )
    folder = Path(temporary) / FOLDER
    program = folder / "stepcreds"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        part = folder / f".{os.getpid()}"
        part.write_text(_program(environment), encoding="utf-8", errors="surrogateescape")
        part.chmod(0o700)
        part.replace(program)
        with open(path_file, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{folder}\n")
    except OSError as error:
        raise StepcredsError(
            f"stepcreds cannot be put on PATH: {one_line(str(error.filename or folder))}: {error.strerror}",
            cause="The folder is in the runner's own (RUNNER_TEMP).",
            fix="Check its permissions, and the space on its disk.",
            docs="action-inputs",
        ) from None
    return str(program)


def _program(environment: Mapping[str, str]) -> str:
    launcher = Path(sys.argv[0]).resolve()
    lines = ["#!/bin/sh", "# Written by the Action: stepcreds as it came with it, and the Python that it found."]
    # Only the Action knows them: a step may have written others to GITHUB_ENV.
    lines.append("unset STEPCREDS_WITHHELD STEPCREDS_MATRIX")
    if matrix := environment.get("STEPCREDS_MATRIX"):
        lines.append(f"export STEPCREDS_MATRIX={shlex.quote(matrix)}")
    lines.append(f"{HOLDING} /bin/sh -c : 2>/dev/null && holding='{HOLDING}' || holding=")
    lines.append(
        f'exec $holding {shlex.quote(sys.executable)} -I -S -c {shlex.quote(START)} {shlex.quote(str(launcher))} "$@"'
    )
    return "\n".join(lines) + "\n"
