"""ID tokens for tests: whatever they are to say, with a signature that nobody here looks at."""

from __future__ import annotations

import base64
import json
from typing import NoReturn

import pytest
from token_endpoint import NOW

from stepcreds.errors import IdentityError, StepcredsError
from stepcreds.printable import printable

AUDIENCE = "https://vault.example.com:8200"
CANARY = "c4n4rysecret"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def made(*, header: object = None, **claims: object) -> str:
    """A token for `AUDIENCE` made at `NOW` for five minutes; a claim given as None is left out."""
    times = {"iat": int(NOW), "nbf": int(NOW) - 5, "exp": int(NOW) + 300}
    payload = {"iss": "https://ci.example.com", "sub": "job:1", "aud": AUDIENCE, **times, **claims}
    kept = {name: value for name, value in payload.items() if value is not None}
    signature = encoded(f"signature {CANARY}")
    return f"{encoded({'alg': 'RS256', 'typ': 'JWT'} if header is None else header)}.{encoded(kept)}.{signature}"


def told(error: pytest.ExceptionInfo[IdentityError]) -> tuple[str, str, str, str]:
    """The whole of an error, each part as it would be printed; no part may need to be made printable."""
    assert isinstance(error.value, StepcredsError)
    parts = (error.value.what, error.value.cause, error.value.fix, error.value.docs)
    assert parts == tuple(printable(part) for part in parts)
    return parts


class NoHTTP:
    """For a CI that has no business asking anybody."""

    def ask(self, method: str, url: str, headers: object) -> NoReturn:
        raise AssertionError(f"{method} {url} was asked")
