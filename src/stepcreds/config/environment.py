"""The process's environment, read once; nothing else in stepcreds reads it, and nothing here interprets it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType


def environment() -> Mapping[str, str]:
    """A snapshot of the environment that cannot be written to; later changes of the process's own do not show in it.

    Bytes that are not UTF-8 stand in it as surrogate escapes (PEP 383), as `os.environ` has them.
    """
    return MappingProxyType(dict(os.environ))  # noqa: TID251 - the one place
