"""All kinds of findings that there are, by where they come from; each table has its worst first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from stepcreds.scope.postgresql_codes import CODES as POSTGRESQL
from stepcreds.scope.token_paths import CODES as VAULT

# Code -> (level, what it means).
CODES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "PostgreSQL": POSTGRESQL,
    "Vault and OpenBao": VAULT,
}


@cache
def _ranks() -> Mapping[str, int]:
    return {code: rank for table in CODES.values() for rank, code in enumerate(table)}


def rank(code: str) -> int:
    """Its place in the table that it stands in, from 0, the worst; of an unknown one the last."""
    return _ranks().get(code, len(_ranks()))
