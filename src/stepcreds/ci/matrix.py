"""Which leg of a matrix a job is, as its CI would show it; most CIs name their jobs so that nobody has to ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

VARIABLE = "STEPCREDS_MATRIX"
_LONGEST = 64 * 1024  # characters of the variable's JSON
_SHOWN = 200  # characters of a leg


def leg(environment: Mapping[str, str]) -> str:
    """The values of the JSON object in STEPCREDS_MATRIX, in their order: `eu, 14`; "" where it holds no such object.

    GitHub has GITHUB_JOB alike in every leg, and its `matrix` context in no variable; the Action hands it over. A
    nested value is compact JSON. A leg that would be longer than 200 characters ends in a digest of the whole.
    """
    text = environment.get(VARIABLE, "")
    try:
        values = json.loads(text) if len(text) <= _LONGEST else None
        if not isinstance(values, dict):
            return ""
        shown = ", ".join(
            value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            for value in values.values()
        )
    except (ValueError, RecursionError):
        return ""
    if len(shown) <= _SHOWN:
        return shown
    digest = hashlib.sha256(shown.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return f"{shown[: _SHOWN - 13]}…{digest}"


def named(job: str, matrix: str) -> str:
    """The name of `job` with its leg, as GitHub displays it: `deploy (eu, 14)`."""
    return f"{job} ({matrix})" if matrix else job


def node(index: str, count: str) -> str:
    """The leg of a job that its CI runs `count` times side by side: its index; "" where it runs once."""
    return index if count not in ("", "0", "1") else ""
