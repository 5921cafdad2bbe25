"""What Transit answers when it is asked to sign, and what to change where it does not; it asks nothing.

https://openbao.org/api-docs/secret/transit/#sign-data
"""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from stepcreds.errors import VaultError
from stepcreds.vault import refusals
from stepcreds.vault.answer import Answer
from stepcreds.vault.values import expect

_ED25519 = 64  # bytes
_SIGNATURE = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/=]{1,1000})", re.ASCII)


class Signed(NamedTuple):
    """A signature, and which version of the key made it."""

    version: int
    sig: bytes


def signed(answer: Answer, path: str, key: str) -> Signed:
    """The signature in `answer`. Raises `VaultError`, which says what to change."""
    if answer.status != 200:
        raise _explained(refusals.refused(answer, "POST", path), path, key)
    data = expect(answer, "POST", path, 200).get("data")
    text = data.get("signature") if isinstance(data, dict) else None
    match = _SIGNATURE.fullmatch(text) if isinstance(text, str) else None
    try:
        sig = binascii.a2b_base64(match[2]) if match is not None else b""
    except ValueError:
        sig = b""
    if match is None or not sig:
        raise refusals.not_understood(answer, "POST", path, "a signature")
    if len(sig) != _ED25519:
        raise _of_another_type(key)
    return Signed(int(match[1]), sig)


def _of_another_type(key: str) -> VaultError:
    return VaultError(
        f"{key} at Vault is no Ed25519 key",
        cause="It was made with another type, which stays its own.",
        fix="Name another in ledger.key of stepcreds.yml, and let `stepcreds setup` make it.",
        docs="ledger-key",
    )


def _explained(error: VaultError, path: str, key: str) -> VaultError:
    text = refusals.said(error.errors)
    cause, fix, docs = error.cause, error.fix, error.docs
    if "does not support signing" in text:
        return _of_another_type(key)
    if error.status == 403 and docs != "vault-token-gone":
        cause = f"The token's policy does not allow {path}."
        rule = f'path "{path}" {{\n  capabilities = ["update"]\n  allowed_parameters = {{ "input" = [] }}\n}}'
        # Another repository that has the policy would sign with this key as well.
        fix = f"Let `stepcreds setup` write policy and role anew; or add, where no other repository has it:\n{rule}"
        docs = "ledger-key"
    elif error.status == 404 or re.search(r"key not found|no handler for route", text):
        cause = "There is no such key, or no Transit engine, at Vault."
        fix = f"Let `stepcreds setup` make it, or:\n  bao write -f {key} type=ed25519"
        docs = "ledger-key"
    return VaultError(error.what, status=error.status, errors=error.errors, cause=cause, fix=fix, docs=docs)
