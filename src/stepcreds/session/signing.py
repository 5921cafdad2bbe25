"""Has Vault sign how the ledger stands, before the token that may ask for it is given back; it decides no exit code."""

from __future__ import annotations

from stepcreds.errors import LedgerError, StepcredsError
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import Record
from stepcreds.session.step import Surroundings
from stepcreds.vault.client import Vault


def checkpoint(
    around: Surroundings, journal: Journal, vault: Vault, entry: Record, *, patience: float
) -> StepcredsError | None:
    """Sign the chain up to `entry`, and keep that beside it; None, or why it is not signed. `patience` in seconds.

    Where the configuration names no key nothing is signed, and nothing is wrong. What goes wrong is a warning unless
    `ledger.on_sign_failure` is `fail`: then it is the caller's to act on.
    """
    settings = around.config.ledger
    if settings.key is None:
        return None
    try:
        vault.limit(patience)
        _sign(settings.key, around, journal, vault, entry)
    except StepcredsError as error:
        failure = LedgerError(
            f"The ledger is not signed: {error.what}", cause=error.cause, fix=error.fix, docs=error.docs or "ledger-key"
        )
        if settings.on_sign_failure != "fail":
            around.voice.warn("\n".join(text for text in (failure.what, failure.cause, failure.fix) if text))
            return None
        return failure
    finally:
        vault.limit(None)
    return None


def _sign(key: str, around: Surroundings, journal: Journal, vault: Vault, entry: Record) -> None:
    from stepcreds.ledger import checkpoint, dsse

    job = journal.job()
    payload = checkpoint.dumps(checkpoint.of(entry, job, around.clock.now()))
    name = checkpoint.key_of(key, str(job.get("repository_id", "")))
    made = vault.sign(name, dsse.pae(checkpoint.PAYLOAD_TYPE, payload))
    signature = dsse.Signature(f"{name}:{made.version}", made.sig)
    envelope = dsse.dumps(dsse.Envelope(checkpoint.PAYLOAD_TYPE, payload, (signature,)))
    checkpoint.keep(envelope, journal.path, around.clock)
