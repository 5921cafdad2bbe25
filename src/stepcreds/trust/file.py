"""`stepcreds-trust.json`: read and written; what Vault says today it does not ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stepcreds.errors import UsageError
from stepcreds.trust.keys import Trust, TrustedKey

SCHEMA = "stepcreds.trust/1"
LONGEST = 4 * 1024 * 1024  # bytes


def load_trust(path: Path) -> Trust:
    """The keys in the file `path`. Raises `UsageError` for one that cannot be read, or is no such file."""
    try:
        with path.open("rb") as file:
            return _trust(path, json.loads(file.read(LONGEST)))
    except OSError as error:
        raise UsageError(f"The trust file {path} cannot be read: {error.strerror}", docs="ledger-trust") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            f"{path} is not a trust file of stepcreds",
            cause="It was cut short, or is something else.",
            fix="Write it anew: stepcreds ledger trust export --output " + str(path),
            docs="ledger-trust",
        ) from None


def _trust(path: Path, value: dict[str, Any]) -> Trust:
    if value["schema"] != SCHEMA:
        raise ValueError(value["schema"])
    return Trust(str(path), tuple(TrustedKey(**key) for key in value["keys"]))


def dumps(trust: Trust) -> str:
    """The text of the file."""
    document = {"schema": SCHEMA, "keys": [vars(key) for key in trust.keys]}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
