"""Checkpoints that Vault signed beside those that the ledgers show, and beside what the chains say now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.chain import Certainty
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.view import epoch_of
from stepcreds.reconciliation.audit_entry import HASHED
from stepcreds.reconciliation.coverage import Coverage
from stepcreds.reconciliation.finding import Finding, at, many
from stepcreds.reconciliation.ledger_side import LedgerChain, LedgerSide
from stepcreds.reconciliation.vault_side import Signed, VaultSide
from stepcreds.trust.keys import Trust


def unshown(ledgers: LedgerSide, vault: VaultSide, coverage: Coverage, trust: Trust | None) -> Iterator[Finding]:
    """What Vault signed and nobody shows: each by itself where the log can be read, else how many of each key.

    Counted is what is different, on both sides: what a step had signed again after an answer was lost is one, and a
    copy of a line is none. With `trust` counts what its keys signed, so that nobody can make checkpoints up.
    """
    window = vault.scope.wanted.window
    hashed: defaultdict[str, list[Signed]] = defaultdict(list)
    absent: defaultdict[str, list[tuple[Signed, Checkpoint]]] = defaultdict(list)
    for signed in sorted(vault.signatures.values(), key=lambda each: each.time):
        if not window.has(signed.time):
            continue
        if signed.input.startswith(HASHED):
            hashed[signed.key].append(signed)
        elif (made := signed_checkpoint(signed.input)) is not None:
            compared = [list(_compared(signed, made, chain)) for chain in ledgers.chains.get(made.chain_uid, ())]
            if not compared:
                absent[made.chain_uid].append((signed, made))
            elif all(compared):  # no file that says it is this chain has it as it was signed
                yield from compared[0]
    for missing in absent.values():
        yield _absent(missing)
    for key, signatures in hashed.items():
        yield from _counted(key, signatures, ledgers, vault, coverage, trust)


def signed_checkpoint(text: str) -> Checkpoint | None:
    """What `text`, the input of a signature in base64, is the encoding of; None where it is no checkpoint's."""
    try:
        data = dsse.from_base64(text)
        payload = data[-_length(data) :]
        if data != dsse.pae(checkpoint.PAYLOAD_TYPE, payload):
            return None
        return checkpoint.loads(payload)
    except LedgerError:
        return None


def _length(data: bytes) -> int:
    words = data.split(b" ", 4)
    return int(words[3]) if len(words) == 5 and words[3].isdigit() and len(words[3]) < 10 else len(data)


def _compared(signed: Signed, made: Checkpoint, chain: LedgerChain) -> Iterator[Finding]:
    try:
        hashes, shown = chain.hashes, chain.checkpoints
    except LedgerError:
        return  # said where the chain could not be read
    records = many(made.size, "record")
    certainty: Certainty = "tampered"
    if made.size > len(hashes):
        meaning = f"Vault signed {records} of {chain.name} at {at(signed.time)}, and {len(hashes)} are there now"
    elif hashes[made.size - 1] != made.head:
        meaning = f"what Vault signed at {at(signed.time)} of {chain.name}, {records}, is not what stands there now"
    elif made not in shown:
        meaning = f"the checkpoint of {chain.name} that Vault signed at {at(signed.time)}, over {records}, is not shown"
        certainty = "incomplete"
    else:
        return
    yield Finding("unshown-checkpoint", certainty, meaning, signed.time, "", (signed.reference,))


def _absent(signatures: list[tuple[Signed, Checkpoint]]) -> Finding:
    last, made = max(signatures, key=lambda each: each[1].size)
    job = f"repository {made.repository_id}, run {made.run_id}, attempt {made.run_attempt}"
    records = many(made.size, "record")
    meaning = (
        f"Vault signed {records} of a chain that is not here ({job}), the last at {at(last.time)}: {made.chain_uid}"
    )
    evidence = tuple(signed.reference for signed, _ in signatures)
    return Finding("unshown-checkpoint", "unknown", meaning, signatures[0][0].time, "", evidence)


def _counted(
    key: str,
    signatures: list[Signed],
    ledgers: LedgerSide,
    vault: VaultSide,
    coverage: Coverage,
    trust: Trust | None,
) -> Iterator[Finding]:
    window = vault.scope.wanted.window
    shown = {
        payload
        for chain in ledgers.files
        for payload, made in chain.signed_by(key, trust)
        if (time := epoch_of(made.time)) is not None and coverage.touches(time) and window.has(time)
    }
    signed = {each.input for each in signatures}  # one text has one hash, within one device
    if len(signed) > len(shown):
        meaning = (
            f"Vault signed {many(len(signed), 'text')} with {key} and the ledgers show "
            f"{many(len(shown), 'checkpoint')} of it; what was signed the audit log has as a hash"
        )
        evidence = tuple(signed.reference for signed in signatures)
        yield Finding("unshown-checkpoint", "unknown", meaning, signatures[0].time, "", evidence)
