"""A JWT role beside what a job's token says, setting by setting: whether Vault would let it log in; it asks nobody.

Matching is Vault's own: `claims.go` of hashicorp/vault-plugin-auth-jwt and of OpenBao's `builtin/credential/jwt`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from stepcreds.printable import one_line
from stepcreds.vault.advice import Login

Verdict = Literal["ok", "differs", "missing", "not compared"]


class Row(NamedTuple):
    """One setting of a role beside what this job has."""

    setting: str
    expected: str  # by the role
    actual: str  # in this job's token
    verdict: Verdict


def compare(role: Mapping[str, object], claims: Mapping[str, object], issuer: object) -> tuple[Row, ...]:
    """Each setting of `role` that a login is held against, in the order in which Vault does."""
    kind = role.get("role_type")
    rows = [Row("role_type", as_text(kind), "jwt", "ok" if kind == "jwt" else "differs")]
    if issuer:
        rows.append(_row("bound_issuer", issuer, claims.get("iss"), claims.get("iss") == issuer))
    if role.get("bound_subject"):
        actual = claims.get("sub")
        rows.append(_row("bound_subject", role["bound_subject"], actual, actual == role["bound_subject"]))
    rows.append(_audiences(role.get("bound_audiences"), claims.get("aud")))
    user = str(role.get("user_claim") or "")
    rows.append(_row("user_claim", user, claims.get(user), isinstance(claims.get(user), str)))
    bound = role.get("bound_claims")
    glob = role.get("bound_claims_type") == "glob"
    login = Login("", "", "", claims, "")
    for name, expected in sorted(bound.items() if isinstance(bound, Mapping) else ()):
        actual = login.claim(name)
        rows.append(_row(f"bound_claims {one_line(name)}", expected, actual, matches(expected, actual, glob=glob)))
    if role.get("token_bound_cidrs"):
        rows.append(
            Row("token_bound_cidrs", as_text(role["token_bound_cidrs"]), "this runner's address", "not compared")
        )
    return tuple(rows)


def matches(expected: object, actual: object, *, glob: bool) -> bool:
    """Whether Vault takes the claim `actual` for the bound claim `expected`; each may be one value or a list."""
    pairs = [(want, have) for want in _values(expected) for have in _values(actual)]
    if glob:
        return any(_glob(want, have) for want, have in pairs)
    # In Go a number is no text and no truth: "5", 5 and true all differ.
    return any(want == have and _kind(want) == _kind(have) for want, have in pairs)


def _audiences(bound: object, actual: object) -> Row:
    wanted = _values(bound)
    if not wanted:
        # Without bound_audiences Vault refuses every token that has an audience.
        return Row("bound_audiences", "(none)", as_text(actual), "differs" if actual else "ok")
    return _row("bound_audiences", wanted, actual, any(value in wanted for value in _values(actual)))


def _row(setting: str, expected: object, actual: object, fits: bool) -> Row:
    return Row(
        setting, as_text(expected), as_text(actual), "ok" if fits else "missing" if actual is None else "differs"
    )


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _kind(value: object) -> type:
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)


def _glob(pattern: object, value: object) -> bool:
    """ryanuber/go-glob: `*` stands for any text, nothing else is special."""
    if not isinstance(pattern, str) or not isinstance(value, str):
        return False
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None


def as_text(value: object) -> str:
    """A setting or a claim as it is shown."""
    if value is None:
        return "(none)"
    if isinstance(value, list):
        return " | ".join(map(as_text, value)) or "(none)"
    return one_line(value if isinstance(value, str) else json.dumps(value), 120)
