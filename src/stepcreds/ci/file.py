"""Reads a token from a file that somebody else wrote; it does not look at what it reads."""

from __future__ import annotations

from pathlib import Path

from stepcreds.ci.jwt import LIMIT
from stepcreds.ci.wording import without_tokens
from stepcreds.errors import IdentityError
from stepcreds.printable import one_line
from stepcreds.secret import Secret


def shown(path: Path) -> str:
    """`path` for a message; a token in its place is not shown."""
    return one_line(without_tokens(str(path)))


def token_in(path: Path) -> Secret:
    """The content of `path` without the white space around it, cut one character beyond what a token may have.

    Raises `IdentityError` where it cannot be read.
    """
    if without_tokens(str(path)) != str(path):
        raise IdentityError(
            "What was given as the path of a file with an ID token looks like a token itself",
            cause="A CI that gives the token in a variable needs no file; the value is not shown here.",
            fix="Hand it over in the variable STEPCREDS_ID_TOKEN, without --id-token-file.",
            docs="token-file",
        )
    trouble = ""
    content = b""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1024)  # 1024 for white space
    except (OSError, ValueError) as error:
        trouble = error.strerror or "it cannot be read" if isinstance(error, OSError) else "it is no path"
    if trouble:
        raise IdentityError(
            f"The ID token in {shown(path)} cannot be read: {trouble}",
            fix="Check that the step before wrote it, and that this user may read it.",
            docs="token-file",
        )
    # Latin-1 reads every byte: what is no token is told so by its shape, not by its encoding.
    return Secret(content.decode("latin-1").strip())
