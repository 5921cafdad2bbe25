"""Finds stepcreds.yml and reads its bytes; what they say is not looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from stepcreds.config.document import MAX_BYTES
from stepcreds.errors import ConfigError, Problem
from stepcreds.printable import one_line

NAMES = ("stepcreds.yml", "stepcreds.yaml")
VARIABLE = "STEPCREDS_CONFIG"


def find_config(path: Path | None, environment: Mapping[str, str], cwd: Path) -> Path:
    """The configuration file, absolute: `path`, else $STEPCREDS_CONFIG, else the nearest of `NAMES`.

    The nearest is looked for in `cwd` and upward to the root of the repository (a folder with `.git`). Outside a
    repository it is looked for in `cwd` alone: a folder above may be anybody's, /tmp for one.

    Raises `ConfigError` where there is none, or both names stand side by side.
    """
    if path is not None or environment.get(VARIABLE):
        return Path(os.path.abspath(cwd / (path or environment[VARIABLE])))  # noqa: PTH100 - links stay as they are
    cwd = Path(os.path.abspath(cwd))  # noqa: PTH100
    for folder in _repository(cwd):
        found = [folder / name for name in NAMES if os.path.lexists(folder / name)]
        if len(found) > 1:
            what = "there are a stepcreds.yml and a stepcreds.yaml, and only one can count"
            raise ConfigError([Problem(one_line(str(folder)), "", what, "Remove one, or name one with --config.")])
        if found:
            return found[0]
    fix = f"stepcreds init writes a first one; or name yours with --config or {VARIABLE}."
    raise ConfigError(
        [Problem(one_line(str(cwd)), "", "there is no stepcreds.yml here, nor above in this repository", fix)]
    )


def shown(path: Path, cwd: Path) -> str:
    """How `path` is named in a message: relative to `cwd` where it is below it."""
    text, base = str(path), os.path.join(os.path.abspath(cwd), "")  # noqa: PTH100, PTH118
    return text.removeprefix(base)


def read_config(path: Path, cwd: Path) -> bytes:
    """The bytes of `path`, one more than `MAX_BYTES` at most. Raises `ConfigError`."""
    try:
        # A FIFO without a writer would hold an ordinary open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError([Problem(shown(path, cwd), "", f"the file cannot be opened: {reason}")]) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError([Problem(shown(path, cwd), "", "it is not a regular file")])
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(shown(path, cwd), "", f"the file cannot be read: {error.strerror}")]) from None
    finally:
        os.close(descriptor)


def _repository(cwd: Path) -> list[Path]:
    above = [cwd, *cwd.parents]
    for count, folder in enumerate(above, 1):
        if os.path.lexists(folder / ".git"):
            return above[:count]
    return above[:1]
