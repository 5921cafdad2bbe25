"""Signed envelopes as DSSE has them: their bytes, and what is signed; whose signature counts is decided elsewhere.

The signature is over the type of the payload too, so that what was signed as one thing never passes for another.
https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md and envelope.md
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, canonical, parse

MOST_SIGNATURES = 16  # of one envelope


class EnvelopeError(LedgerError):
    """Bytes that are no envelope of ours. Names what is wrong, never the bytes."""


class Signature(NamedTuple):
    """One signature, and a hint at the key that made it: a hint that nobody has signed."""

    keyid: str  # "<mount>/keys/<name>:<version>"
    sig: bytes


class Envelope(NamedTuple):
    """A payload, what it is, and who signed that."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: the "pre-authentication encoding" of a payload and its type."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def dumps(envelope: Envelope) -> bytes:
    """The envelope in one line of canonical JSON, without a newline."""
    signatures = [{"keyid": each.keyid, "sig": to_base64(each.sig)} for each in envelope.signatures]
    return canonical(
        {"payload": to_base64(envelope.payload), "payloadType": envelope.payload_type, "signatures": signatures}
    )


def loads(line: bytes) -> Envelope:
    """The envelope that `dumps` made `line` of. Raises `EnvelopeError` for everything else."""
    try:
        value = parse(line)
    except CanonicalError as error:
        raise EnvelopeError(error.what) from None
    if not isinstance(value, dict) or value.keys() != {"payload", "payloadType", "signatures"}:
        raise EnvelopeError("not an object of payload, payloadType and signatures")
    kind, signatures = value["payloadType"], value["signatures"]
    if not isinstance(kind, str) or not isinstance(signatures, list) or not 0 < len(signatures) <= MOST_SIGNATURES:
        raise EnvelopeError("a payloadType that is no text, or no signatures")
    return Envelope(kind, from_base64(value["payload"]), tuple(map(_signature, signatures)))


def to_base64(data: bytes) -> str:
    """Base64 of RFC 4648, 4, with its padding: Vault's form, and that of envelopes."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def from_base64(text: object) -> bytes:
    """The bytes that `to_base64` made `text` of: one text for one value. Raises `EnvelopeError`."""
    if isinstance(text, str) and text.isascii():
        try:
            data = binascii.a2b_base64(text)
        except ValueError:  # binascii.Error is one
            data = None
        if data is not None and to_base64(data) == text:
            return data
    raise EnvelopeError("not base64")


def _signature(value: object) -> Signature:
    if not isinstance(value, dict) or value.keys() != {"keyid", "sig"} or not isinstance(value["keyid"], str):
        raise EnvelopeError("a signature that is not an object of keyid and sig")
    return Signature(value["keyid"], from_base64(value["sig"]))
