"""The keys that a reviewer trusts, as `stepcreds-trust.json` lists them, and which of them signed an envelope; what the
signed text means is decided elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from stepcreds.errors import UsageError
from stepcreds.ledger.dsse import Envelope, EnvelopeError, from_base64, pae
from stepcreds.ledger.view import epoch_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Purpose = Literal["checkpoint", "seal"]
# Seconds that a job's clock and Vault's may differ. A signature is always of the newest version, so a step that began
# before a rotation needs no more than the time of one call.
SKEW = 300.0


@dataclass(frozen=True)
class TrustedKey:
    """One version of one Transit key."""

    purpose: Purpose  # what it may sign
    vault_addr: str  # of the Vault that has it
    name: str  # "<mount>/keys/<name>"
    version: int
    public_key: str  # base64 of its 32 bytes (RFC 8032, 5.1.5)
    not_before: str  # RFC 3339: when Vault made this version
    not_after: str | None  # when it made the next one; None: it is the newest
    repository_id: str | None = None  # whose chains it may sign; None: any repository's

    @property
    def keyid(self) -> str:
        """As `dsse.Signature.keyid` has it."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Trust:
    """What one file says. `source` is its name, for messages."""

    source: str
    keys: tuple[TrustedKey, ...]

    @cached_property
    def by_keyid(self) -> Mapping[str, Sequence[TrustedKey]]:
        """The keys of each `keyid`: more than one where two Vaults, or two repositories, have the same name."""
        found: dict[str, list[TrustedKey]] = {}
        for key in self.keys:
            found.setdefault(key.keyid, []).append(key)
        return found


def signers(envelope: Envelope, payload_type: str, keys: Iterable[TrustedKey]) -> list[TrustedKey]:
    """Of `keys` those that signed `envelope` as what it says it is; none where it says that it is something else.

    `keyid` is a hint that nobody signed: a key that it does not name is not tried, and one that it names has to have
    made the signature. Validity windows are not looked at.
    """
    if envelope.payload_type != payload_type:
        return []
    data = pae(payload_type, envelope.payload)
    hinted = {each.keyid: each.sig for each in envelope.signatures}
    return [key for key in keys if key.keyid in hinted and is_signed(data, hinted[key.keyid], key)]


def is_signed(data: bytes, sig: bytes, key: TrustedKey) -> bool:
    """Whether the Ed25519 signature `sig` over `data` is of `key`. Raises `EnvelopeError` for a key that is none."""
    from cryptography.exceptions import InvalidSignature

    try:
        _public(key.public_key).verify(sig, data)
    except InvalidSignature:
        return False
    return True


def is_valid_at(key: TrustedKey, time: str) -> bool:
    """Whether `key` may have signed something that says it is of `time` (RFC 3339), give or take `SKEW`."""
    then = epoch_of(time)
    first, last = _window(key.not_before, key.not_after)
    return then is not None and first - SKEW <= then <= last + SKEW


def require_cryptography() -> None:
    """Raises `UsageError` where signatures cannot be checked."""
    if find_spec("cryptography") is None:
        raise UsageError(
            "Signatures cannot be checked: the package cryptography is not installed",
            cause="A step needs none of it, so it comes with an extra.",
            fix="pip install 'stepcreds[ledger]'\nOr read without signatures, and move the trust file away.",
            docs="ledger-trust",
        )


@lru_cache(maxsize=4096)
def _public(text: str) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = from_base64(text)
    try:
        return Ed25519PublicKey.from_public_bytes(data)
    except ValueError:
        raise EnvelopeError("a public key that is none of Ed25519") from None


@lru_cache(maxsize=4096)
def _window(not_before: str, not_after: str | None) -> tuple[float, float]:
    """Epoch seconds; of what is no time nothing is within."""
    first, last = epoch_of(not_before), math.inf if not_after is None else epoch_of(not_after)
    return (math.inf if first is None else first, -math.inf if last is None else last)


def of_purpose(trust: Trust | None, purpose: Purpose) -> Sequence[TrustedKey]:
    """The keys that may sign such a thing."""
    return [key for key in trust.keys if key.purpose == purpose] if trust is not None else []
