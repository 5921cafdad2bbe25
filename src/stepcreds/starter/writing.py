"""Puts files into a repository where there are none: nothing is overwritten, and of several all or none are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stepcreds.config.file import NAMES
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.starter.plan import File


def write(root: Path, files: Sequence[File]) -> None:
    """Write them all. Raises `UsageError` where one is there already or cannot be made; then none has been."""
    _look(root, files)
    made: list[Path] = []
    try:
        for file in files:
            path = root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            # O_EXCL: also what came since we looked, and a symbolic link that leads nowhere, stays as it is.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            made.append(path)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(file.text)
    except OSError as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        raise UsageError(
            f"{one_line(str(error.filename or root))} cannot be written: {error.strerror}",
            fix="Nothing has been written. --dry-run prints what would be.",
            docs="init",
        ) from None


def _look(root: Path, files: Sequence[File]) -> None:
    # Both names of the configuration side by side are an error.
    names = [*(file.path for file in files), *(name for name in NAMES if any(file.path in NAMES for file in files))]
    there = sorted({name for name in names if os.path.lexists(root / name)})
    if there:
        many = len(there) > 1
        raise UsageError(
            f"{' and '.join(there)} {'are' if many else 'is'} there already, and nothing is overwritten",
            fix=f"Nothing has been written. Move {'them' if many else 'it'} away first; or take over what you want of\n"
            "stepcreds init --dry-run, which prints the files.",
            docs="init",
        )
    for file in files:
        folder = (root / file.path).parent
        while not os.path.lexists(folder):
            folder = folder.parent
        if not folder.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"{one_line(str(folder))} leads out of the repository, and nothing is written there",
                fix="Nothing has been written. Make it a folder, or take over the output of stepcreds init --dry-run.",
                docs="init",
            )
