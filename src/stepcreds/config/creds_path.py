"""The path that is read to issue a credential: whether it is one, and what kind of engine it points at."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

_OUTSIDE = re.compile(r"[^\x21-\x7e]|[?#%\\\"']")

Kind = Literal["database", "static database", "database configuration", "unleased", "other"]

_DATABASE: dict[str, Kind] = {
    "creds": "database",
    "static-creds": "static database",
    "roles": "database configuration",
    "static-roles": "database configuration",
    "config": "database configuration",
}
_STATIC = frozenset({"data", "static-creds", "static-cred"})


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
    """What `path` reads, as far as the path alone can tell: mounts may have any name.

    "unleased" is kv in both versions, by its usual mounts or by the segment `data` of version 2, and the static
    secrets of other engines.
    """
    segments = path.split("/")
    for mount, kind in pairwise(segments):
        if mount == "database" and kind in _DATABASE:
            return _DATABASE[kind]
    usual_kv = segments[0] in ("secret", "cubbyhole") or segments[0].startswith("kv")
    return "unleased" if usual_kv or not _STATIC.isdisjoint(segments[1:-1]) else "other"
