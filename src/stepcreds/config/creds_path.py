"""The path that is read to issue a credential: whether it is one, and what kind of engine it points at."""

from __future__ import annotations

import re
from typing import Literal

_OUTSIDE = re.compile(r"[^\x21-\x7e]|[?#%\\\"']")

Kind = Literal["database", "static database", "database configuration", "unleased", "other"]

_DATABASE = re.compile(r"(?:.+/)?database/creds/[^/]+\Z")
_STATIC = re.compile(r"(?:.+/)?database/static-creds/.+\Z")
_CONFIGURATION = re.compile(r"(?:.+/)?database/(?:roles|static-roles|config)/.+\Z")
# kv in both versions, by its usual mounts or by version 2's `data` segment, and the static secrets of other engines.
_UNLEASED = re.compile(r"(?:secret|kv[^/]*|cubbyhole)/|[^/]+(?:/[^/]+)*?/(?:data|static-creds?)/")


def path_problem(path: str) -> str:
    """What keeps `path` from being a path of Vault's API below `/v1/`; "" if nothing does."""
    segments = path.split("/")
    rules = (
        (path.startswith("/"), "the path begins with a '/'"),
        (path.startswith("v1/"), "the path begins with v1/, which is added"),
        (path.endswith("/"), "the path ends with a '/'"),
        ("*" in path or "+" in segments, "the path holds a glob, as a policy may, and a path that is read may not"),
        (bool({"", ".", ".."} & set(segments)), "the path holds an empty segment, '.' or '..'"),
        (_OUTSIDE.search(path) is not None, "the path holds a character that does not belong in it"),
    )
    return next((what for broken, what in rules if broken), "")


def kind_of(path: str) -> Kind:
    """What `path` reads, as far as the path alone can tell: mounts may have any name."""
    if _STATIC.match(path):
        return "static database"
    if _CONFIGURATION.match(path):
        return "database configuration"
    if _DATABASE.match(path):
        return "database"
    return "unleased" if _UNLEASED.match(path) else "other"
