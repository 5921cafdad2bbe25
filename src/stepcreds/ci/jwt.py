"""Reads what a JSON Web Token says of itself (RFC 7519, compact form of RFC 7515); it verifies nothing."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple

from stepcreds import foreign_json
from stepcreds.secret import Secret

LIMIT = 64 * 1024  # characters; the ID tokens of today's CIs have one to four thousand

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class TokenShapeError(ValueError):
    """The text is no JWT. The message says which rule it breaks, and quotes nothing of it."""


class Unverified(NamedTuple):
    """Header and claims of a token whose signature nobody has looked at."""

    header: Mapping[str, object]
    claims: Mapping[str, object]


def read(token: Secret) -> Unverified:
    """What `token` says. Raises `TokenShapeError`."""
    text = token.reveal()
    if not text:
        raise TokenShapeError("it is empty")
    if len(text) > LIMIT:
        raise TokenShapeError(f"it has more than {LIMIT} characters")
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenShapeError(f"it has {len(parts)} part{'' if len(parts) == 1 else 's'} where a dot divides 3")
    for name, part in zip(("header", "payload", "signature"), parts, strict=True):
        # A length of 4n+1 is no base64; everything else is, once padded.
        if not _BASE64URL.fullmatch(part) or len(part) % 4 == 1:
            raise TokenShapeError(f"its {name} is not base64url")
    objects = []
    for name, part in zip(("header", "payload"), parts, strict=False):
        value = _json_object(part)
        if value is None:
            raise TokenShapeError(f"its {name} is not a JSON object")
        objects.append(value)
    return Unverified(*objects)


def audiences(claims: Mapping[str, object]) -> tuple[str, ...]:
    """The claim `aud`, which is one text or a list of them (RFC 7519, section 4.1.3); () where it is neither."""
    value = claims.get("aud")
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return ()


def seconds(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2), in seconds since 1970 UTC; None where the claim is no such number."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # rfc3339 and time.gmtime know the years 1 to 9999.
    return float(value) if 0 <= value < 253402300800 else None


def _json_object(part: str) -> dict[str, object] | None:
    try:
        text = binascii.a2b_base64(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4))
    except ValueError:
        return None
    value = foreign_json.read(text)
    return value if isinstance(value, dict) else None
