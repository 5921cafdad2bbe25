"""The forms in which a plan can be printed or written: each is a few files of text, without a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple, cast

from stepcreds.config.model import VaultSettings
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.setup.plan import Plan, Setting

FORMS = ("text", "hcl", "terraform", "shell", "sql")


class File(NamedTuple):
    """One of them, by its name in the folder that it is written to."""

    name: str
    text: str


class Again(NamedTuple):
    """How the same answers are given to the next command."""

    words: str = ""  # "--answers setup.yml"
    kept: bool = False  # whether all answers are in a file that `words` name
    written: str = ""  # the file that this call wrote them to


def files(form: str, plan: Plan, vault: VaultSettings, again: Again = Again()) -> tuple[File, ...]:  # noqa: B008 - immutable
    """The `plan` in one of FORMS."""
    if form == "text":
        from stepcreds.setup.forms import overview

        return overview.files(plan, vault, again)
    write = import_module(f"stepcreds.setup.forms.{form}").files
    return cast("Callable[[Plan, VaultSettings], tuple[File, ...]]", write)(plan, vault)


def save(folder: Path, made: Sequence[File], *, force: bool) -> None:
    """Write them, readable by all: there is no secret in them. Raises `UsageError`, and then nothing was overwritten.

    Without `force` nothing that is there already is; a symbolic link never is.
    """
    there = [each.name for each in made if os.path.lexists(folder / each.name)]
    if there and not force:
        raise UsageError(
            f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} in {one_line(str(folder))} already",
            fix="Name another folder, or overwrite with --force.",
            docs="setup-out",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in made:
            path = folder / each.name
            path.parent.mkdir(exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
            with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as opened:
                opened.write(each.text)
    except OSError as error:
        raise UsageError(
            f"{one_line(str(error.filename or folder))} cannot be written: {error.strerror}", docs="setup-out"
        ) from None


def comment(text: str, mark: str = "#") -> str:
    """`text` as lines of a comment of HCL, SQL or a shell, whatever is in it."""
    lines = [part for line in text.splitlines() for part in wrap(one_line(line, 2000), 118, break_long_words=False)]
    return "".join(f"{mark} {line}\n" for line in lines or [""])


def last(path: str) -> str:
    """The last name of a path: what a role, a policy or a connection is called."""
    return path.rpartition("/")[2]


def policy_name(setting: Setting) -> str:
    return setting.path.removeprefix("sys/policies/acl/")


def names(texts: Iterable[str]) -> dict[str, str]:
    """A name for each text, of letters, digits and `_`, no two alike: for blocks and files."""
    found: dict[str, str] = {}
    for text in texts:
        plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "it"
        plain = plain if plain[0].isalpha() else f"n{plain}"
        name, number = plain, 1
        while name in found.values():
            number += 1
            name = f"{plain}_{number}"
        found[text] = name
    return found
