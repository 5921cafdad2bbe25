"""The keys that a reviewer trusts, as `stepcreds-trust.json` lists them, and which of them signed an envelope; what the
signed text means is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from stepcreds.ledger.dsse import Envelope, from_base64, pae
from stepcreds.ledger.view import epoch_of

Purpose = Literal["checkpoint", "seal"]
SKEW = 300.0  # seconds that a job's clock and Vault's may differ


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
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(from_base64(key.public_key)).verify(sig, data)
    except InvalidSignature:
        return False
    return True


def is_valid_at(key: TrustedKey, time: str) -> bool:
    """Whether `key` may have signed something that says it is of `time` (RFC 3339), give or take `SKEW`."""
    then, first = epoch_of(time), epoch_of(key.not_before)
    last = None if key.not_after is None else epoch_of(key.not_after)
    if then is None or first is None or (last is None and key.not_after is not None):
        return False
    return first - SKEW <= then and (last is None or then <= last + SKEW)


def of_purpose(trust: Trust | None, purpose: Purpose) -> Sequence[TrustedKey]:
    """The keys that may sign such a thing."""
    return [key for key in trust.keys if key.purpose == purpose] if trust is not None else []
