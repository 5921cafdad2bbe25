"""Whether a checkpoint is signed by a key that counts for it: a trusted one, of this repository, in its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepcreds.ledger.chain import Certainty
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.dsse import Envelope, pae
from stepcreds.trust.keys import Trust, TrustedKey, is_signed, is_valid_at


class Doubt(NamedTuple):
    """One reason not to believe a signature: a finding without its place."""

    code: str
    meaning: str
    certainty: Certainty
    about: str = ""  # the same doubt about the same thing is told once for a file


class Verdict(NamedTuple):
    """`key` is the one that counts, None where none does; `is_forged`: nobody who is trusted signed what it says."""

    key: TrustedKey | None
    is_forged: bool
    doubts: tuple[Doubt, ...]


def judge(envelope: Envelope, said: Checkpoint, trust: Trust, vault_addr: str | None) -> Verdict:
    """Whose signature of those in `envelope`, which says `said`, counts.

    `vault_addr` is the Vault that the chain names, "" for none; None: there is no chain to ask.

    Of several signatures one that counts is enough, as DSSE has it.
    """
    hints = {each.keyid for each in envelope.signatures}
    known = [key for keyid in hints for key in trust.by_keyid.get(keyid, ())]
    if not known:
        hint = ascii(envelope.signatures[0].keyid[:120])
        meaning = f"signed with a key that the trust file does not have, {hint}: one that is newer, or anybody's"
        return Verdict(None, False, (Doubt("unknown-key", meaning, "unknown", hint),))
    data = pae(envelope.payload_type, envelope.payload)
    signers = [
        key
        for each in envelope.signatures
        for key in trust.by_keyid.get(each.keyid, ())
        if is_signed(data, each.sig, key)
    ]
    if not signers:
        meaning = f"not signed by {known[0].keyid}, whatever it says: changed, or made up"
        return Verdict(None, True, (Doubt("signature", meaning, "tampered"),))
    return _entitled(signers, said, vault_addr)


def _entitled(signers: Sequence[TrustedKey], said: Checkpoint, vault_addr: str | None) -> Verdict:
    """Of those who signed the one that may."""
    of_purpose = [key for key in signers if key.purpose == "checkpoint"]
    if not of_purpose:
        meaning = f"signed by {signers[0].keyid}, which may sign seals alone"
        return Verdict(None, True, (Doubt("purpose", meaning, "tampered"),))
    of_repository = [key for key in of_purpose if key.repository_id in (None, said.repository_id)]
    if not of_repository:
        key = of_purpose[0]
        meaning = f"signed by {key.keyid}, the key of repository {key.repository_id!a}, for {said.repository_id[:80]!a}"
        return Verdict(None, True, (Doubt("repository", meaning, "tampered"),))
    in_time = [key for key in of_repository if is_valid_at(key, said.time)]
    if not in_time:
        key = of_repository[0]
        window = f"from {key.not_before} to {key.not_after or 'now'}"
        meaning = f"signed by {key.keyid} as of {said.time}, outside of its time, {window}: a clock, or a key kept back"
        return Verdict(None, False, (Doubt("window", meaning, "unknown"),))
    at_vault = [key for key in in_time if vault_addr in (None, key.vault_addr)]
    if at_vault:
        return Verdict(at_vault[0], False, ())
    key = in_time[0]
    if not vault_addr:
        meaning = f"the chain names no Vault, as every step does: what {key.keyid} signed does not count for it"
        return Verdict(None, False, (Doubt("vault", meaning, "unknown", key.keyid),))
    meaning = f"the chain names the Vault at {vault_addr[:120]!a}, and the key is that of {key.vault_addr}"
    return Verdict(key, False, (Doubt("vault", meaning, "unknown", key.keyid),))
