r"""Which databases a grant reaches: in `GRANT … ON shop_a.*` the name is a pattern, and `_` fits any character.

From MariaDB's "GRANT", "Database Privileges", and `wild_compare` in its sql/sql_acl.cc: `\` takes the next character
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# A server's own; whoever has rights in `mysql` has everybody's.
SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")
_PART = re.compile(r"\\(.)|(.)", re.DOTALL)


def is_pattern(name: str) -> bool:
    """Whether the name of a database-level grant can fit more than one database."""
    return any(match[2] in ("_", "%") for match in _PART.finditer(name))


def literal(name: str) -> str:
    r"""The database that a name without wildcards is for: `shop\_a` is for shop_a."""
    return _PART.sub(lambda match: match[1] or match[2], name)


def closed(pattern: str) -> str:
    """`pattern` with the wildcards that are left in it escaped."""
    return _PART.sub(lambda match: rf"\{match[2]}" if match[2] in ("_", "%") else match[0], pattern)


def fits(pattern: str, database: str, *, fold: bool) -> bool:
    """Whether a database-level grant on `pattern` holds for `database`; `fold`: the server ignores case in names."""
    return _expression(pattern, fold).fullmatch(database) is not None


@lru_cache(maxsize=4096)
def _expression(pattern: str, fold: bool) -> re.Pattern[str]:
    wild = {"_": ".", "%": ".*"}
    parts = [wild.get(match[2]) or re.escape(match[1] or match[2]) for match in _PART.finditer(pattern)]
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if fold else 0))


def reached(pattern: str, databases: Iterable[str], *, fold: bool) -> tuple[str, ...]:
    """The databases that a database-level grant on `pattern` holds for, itself where none of them fits."""
    if not is_pattern(pattern):
        return (literal(pattern),)
    return tuple(database for database in databases if fits(pattern, database, fold=fold)) or (pattern,)
