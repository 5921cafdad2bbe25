"""The process's environment, read once; nothing else in stepcreds reads it, and nothing here interprets it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from stepcreds.errors import UsageError

# What bends an interpreter (LD_PRELOAD, PYTHONPATH) is not in the environment that the Action starts us with: a JSON
# object in this variable has it, because the command must find what a plain step would. See action/launch.py.
WITHHELD = "STEPCREDS_WITHHELD"
# The lists of action/launch.py, and what Python itself sets. Nothing else is taken from that variable: whoever could
# write it (a line in GITHUB_ENV) would say where the runner's files and its memory of this step are.
PREFIXES = ("LD_", "PYTHON", "_PYTHON", "OPENSSL_", "MALLOC_")
NAMES = (
    *("GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NIS_PATH", "NLSPATH"),
    *("RESOLV_HOST_CONF", "RES_OPTIONS", "TZDIR", "SSLKEYLOGFILE"),
)
_BY_PYTHON = "LC_CTYPE"


def environment(*, tolerant: bool = False) -> Mapping[str, str]:
    """A snapshot of the environment that cannot be written to; later changes of the process's own do not show in it.

    Bytes that are not UTF-8 stand in it as surrogate escapes (PEP 383), as `os.environ` has them. Raises `UsageError`
    when what was withheld cannot be read; `tolerant`, for what has to be ended whatever others wrote, goes on without.
    """
    variables = own_environment()
    if WITHHELD in variables:
        try:
            withheld = _withheld(variables.pop(WITHHELD))
        except UsageError:
            if not tolerant:
                raise
            withheld = {}
        for name, value in withheld.items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
    return MappingProxyType(variables)


def own_environment() -> dict[str, str]:
    """The environment that this process was started with, for what must not fail: how a message is printed."""
    return dict(os.environ)  # noqa: TID251 - the one place


def _withheld(text: str) -> Mapping[str, str | None]:
    """The variables in `text`. None stands for one that was set for us alone, and that a plain step does not have."""
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _unreadable("it is not JSON") from None
    if not isinstance(found, dict):
        raise _unreadable("it is not a JSON object")
    for name, value in found.items():
        if not name or "=" in name or not _fits(name):
            raise _unreadable("a name in it cannot be that of a variable")
        if not (name.startswith(PREFIXES) or name in NAMES or name == _BY_PYTHON):
            raise _unreadable("a name in it is not that of a variable that is withheld")
        if value is not None and not (isinstance(value, str) and _fits(value)):
            raise _unreadable("a value in it cannot be that of a variable")
    return found


def _fits(text: str) -> bool:
    """Whether execve(2) can take it."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False  # half of a surrogate pair


def _unreadable(why: str) -> UsageError:
    return UsageError(
        f"The variable {WITHHELD} cannot be read: {why}",
        cause="stepcreds itself sets it where it starts Python, and hands those variables on to the command. Something "
        "else set it, or changed it.",
        fix=f"Find what sets {WITHHELD} (env: in the workflow, a line in GITHUB_ENV), and remove that.",
        docs="withheld-environment",
    )
