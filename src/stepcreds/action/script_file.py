"""The file that a `run` script is written into: in the runner's temporary folder, as the runner's own are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stepcreds.action.script import Script
from stepcreds.errors import ProcessError, StepcredsError
from stepcreds.ledger.record import new_uid
from stepcreds.printable import one_line
from stepcreds.process.program import find_program


def has_program(name: str, environment: Mapping[str, str]) -> bool:
    """Whether `name` can be run by the PATH of `environment`."""
    try:
        find_program(name, environment)
    except ProcessError:
        return False
    return True


def written(script: Script, environment: Mapping[str, str]) -> str:
    """The path of a new file with `script` in it, for this user alone: expressions may have put a secret into it.

    Raises `StepcredsError`.
    """
    return _new("script", script.content, script.suffix, environment)


def empty_state(environment: Mapping[str, str]) -> str:
    """The path of a new file that the script finds as GITHUB_STATE. Raises `StepcredsError`.

    What a `run:` step writes there has no effect; ours is read for the end of the job, and is not the script's.
    """
    return _new("script's GITHUB_STATE", "", ".state", environment)


def _new(what: str, content: str, suffix: str, environment: Mapping[str, str]) -> str:
    folder = environment.get("RUNNER_TEMP") or "/tmp"  # noqa: S108 - the name is not one that can be guessed
    path = Path(folder) / f"{new_uid()}{suffix}"
    try:
        with open(path, "x", encoding="utf-8", errors="surrogateescape", opener=_private) as file:  # noqa: PTH123
            file.write(content)
    except OSError as error:
        raise StepcredsError(
            f"The {what} cannot be written to {one_line(str(path))}: {error.strerror}",
            cause="The folder is the runner's own (RUNNER_TEMP).",
            fix="Check its permissions, and the space on its disk.",
            docs="action-inputs",
        ) from None
    return str(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
