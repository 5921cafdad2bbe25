"""Finds the file that a command names and starts it, in a process group of its own; it does not wait for it."""

# ruff: noqa: PTH110, PTH112, PTH113, PTH123 - a command is looked for as it was typed: pathlib would make "./x" into "x"

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence

from stepcreds.errors import ProcessError
from stepcreds.printable import one_line

_SHELL = "/bin/sh"


def find_program(name: str, environment: Mapping[str, str]) -> str:
    """The path of the file to run for `name`, by the PATH of `environment`, as execvp(3) looks for it.

    Raises `ProcessError`: 127 if there is no such file, 126 if it cannot be executed.
    """
    if "/" in name:
        candidates = [name]
    else:
        folders = environment.get("PATH", os.defpath).split(os.pathsep)
        candidates = [os.path.join(folder or ".", name) for folder in folders] if name else []  # noqa: PTH118
    refused = ""
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
        if not refused and os.path.exists(path):
            refused = path
    shown = one_line(name)
    if refused:
        is_folder = os.path.isdir(refused)
        raise ProcessError(
            f"the command {shown!r} cannot be run: {one_line(refused)} is "
            + ("a folder" if is_folder else "not executable for this user"),
            code=126,
            cause="" if is_folder else "its mode or the file system's (noexec) forbids it",
            fix="Name a program." if is_folder else f"Run `chmod +x {one_line(refused)}`, or name its interpreter.",
            docs="command-not-runnable",
        )
    if "/" in name or not name:
        cause = "there is no such file"
    elif "PATH" in environment:
        cause = f"no folder of the command's PATH holds it: {one_line(environment['PATH'])}"
    else:
        cause = f"the command's environment has no PATH, and it is not in {os.defpath}"
    raise ProcessError(
        f"the command {shown!r} was not found",
        code=127,
        cause=cause,
        fix="Check the spelling, install it in an earlier step, or give its whole path.",
        docs="command-not-found",
    )


def start(
    path: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    defaults: Sequence[signal.Signals],
    outputs: Mapping[int, int],
) -> int:
    """Starts the file `path`; the id of the process, which is that of its process group as well.

    `defaults` are the signals that it must not find ignored; `outputs` says which of our files it gets as which
    of its own. No signal is blocked in it. A file that is a script without "#!" is run by /bin/sh, as execvp(3) does.

    Raises `ProcessError` (126) if the kernel cannot run it. Nothing runs then.
    """

    def spawn(path: str, argv: list[str]) -> int:
        return os.posix_spawn(
            path,
            argv,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, ours, its) for its, ours in outputs.items()],
            setpgroup=0,
            setsigmask=(),
            setsigdef=defaults,
        )

    try:
        try:
            return spawn(path, [*argv])
        except OSError as error:
            if error.errno != errno.ENOEXEC or _is_binary(path):
                raise
            return spawn(_SHELL, [_SHELL, path, *argv[1:]])
    except OSError as error:
        raise _not_runnable(path, error) from None
    except ValueError:  # its text could quote a variable
        raise ProcessError(
            f"the command {one_line(argv[0])!r} cannot be run: an argument or a variable holds a NUL byte, "
            "or is not text, or a variable's name holds '='",
            code=126,
            fix="Deliver such a value as a file, or with {…:base64}.",
            docs="command-not-runnable",
        ) from None


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(256)
    except OSError:
        return True


def _not_runnable(path: str, error: OSError) -> ProcessError:
    cause, fix = {
        errno.ENOENT: (
            "the file is there, but the interpreter in its first line, or the loader it was linked for, is not",
            "Install the interpreter, or correct the line that begins with #!.",
        ),
        errno.ENOEXEC: (
            "it is a program for another kind of processor or system",
            "Install the build for this machine.",
        ),
        errno.E2BIG: (
            "its arguments and environment are longer than the system allows",
            "Pass a file instead, or fewer arguments.",
        ),
        errno.EAGAIN: (
            "the user or the container may not have more processes",
            "Look at `ulimit -u` and at the container's limit of processes.",
        ),
        errno.ENOMEM: ("there is not enough memory", "Give the step more memory."),
        errno.ETXTBSY: ("the file is being written", "Wait until it is complete."),
    }.get(error.errno or 0, ("", ""))
    return ProcessError(
        f"the command {one_line(path)!r} cannot be run: {error.strerror}",
        code=126,
        cause=cause,
        fix=fix,
        docs="command-not-runnable",
    )
