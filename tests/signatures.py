"""Checkpoints as a reviewer checks them: the envelopes beside a chain, against the public key that Vault has."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.link import line_hash

KEY = "transit/keys/stepcreds-{repository_id}"
OURS = "transit/keys/stepcreds-71717171"  # that of the stack's own repository


def public_key(stack: Stack, name: str = OURS, version: int = 1) -> Ed25519PublicKey:
    with stack.client() as vault:
        keys = vault.read(name)["data"]["keys"]
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[str(version)]["public_key"]))


def checkpoints(stack: Stack, chain: Path, name: str = OURS) -> list[Checkpoint]:
    """Those beside `chain`, in their order. Fails unless each is signed by `name`, and says what the chain says."""
    beside = checkpoint.beside(chain)
    if not beside.exists():
        return []
    lines = chain.read_bytes().splitlines()
    found = []
    for line in beside.read_bytes().splitlines():
        envelope = dsse.loads(line)
        assert envelope.payload_type == "application/vnd.stepcreds.checkpoint+json"
        (signature,) = envelope.signatures
        assert signature.keyid == f"{name}:1"
        # The encoding of DSSE, written out: what signed it and what checks it are not to share a mistake.
        signed = b"DSSEv1 41 application/vnd.stepcreds.checkpoint+json %d " % len(envelope.payload) + envelope.payload
        public_key(stack, name).verify(signature.sig, signed)
        made = checkpoint.loads(envelope.payload)
        assert made.head == line_hash(lines[made.size - 1])
        found.append(made)
    return found
