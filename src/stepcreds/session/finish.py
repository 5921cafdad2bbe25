"""Ends what a step holds and writes the end down: end, record, then give the token back."""

from __future__ import annotations

from stepcreds import revoke
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.errors import LedgerError, LostAnswerError, VaultError
from stepcreds.ledger import record
from stepcreds.model import Ending, Holding, Lock, Outcome, Proof, Revocation
from stepcreds.session.step import Step
from stepcreds.vault.client import Vault

PATIENCE = 75.0  # seconds after the command: a synchronous revoke may wait 60 s for its turn
PATIENCE_CANCELLED = 7.0  # seconds: GitHub kills the tree 10 s after a cancel

_NOTHING = Proof("not_checked", "not_applicable", "not_checked", "nothing was issued", None)
NOT_ISSUED = Ending(Lock("not_applicable", None), Revocation("none", "not_issued", None), _NOTHING)


def finish(step: Step, profile: Profile, vault: Vault, holding: Holding, outcome: Outcome | None) -> Ending:
    """Lock, revoke, prove, record, and only then revoke the token: after it nothing can be asked or signed any more.

    Raises `LedgerError` when the end could not be recorded; the credential has been ended all the same.
    """
    clock = step.around.clock
    hurried = outcome is not None and bool(outcome.cancelled_by)
    vault.patience = patience = PATIENCE_CANCELLED if hurried else PATIENCE
    ending = revoke.end(
        holding, profile, vault=vault, engine=engine_for(profile.database), clock=clock, patience=patience
    )
    _close(step, vault, holding, ending, outcome)
    return ending


def abandon(step: Step, profile: Profile, vault: Vault, holding: Holding, error: BaseException) -> None:
    """End whatever a failed attempt got as far as: a lease, a token that may have been given one, or nothing."""
    try:
        if holding.lease_id:
            ending = finish(step, profile, vault, holding, None)
            if not ending.proof.proven:
                step.around.voice.warn(record.unproven(profile, holding, ending))
            return
        ending = NOT_ISSUED
        if holding.accessor and isinstance(error, LostAnswerError):
            ending = _by_token(step, vault)
        _close(step, vault, holding, ending, None)
    except LedgerError as unwritten:
        step.around.voice.warn(f"the end of this attempt is not on record: {unwritten.what}")


def _by_token(step: Step, vault: Vault) -> Ending:
    """The lease is not known, but it dies with the token that asked for it."""
    try:
        vault.revoke_self()
    except VaultError as error:
        revocation = Revocation("token", "failed", step.around.clock.now(), error.what)
    else:
        revocation = Revocation("token", "revoked", step.around.clock.now(), "the answer was lost, its lease is unknown")
    proof = Proof("not_checked", "not_checked", "not_checked", "none: the answer to the request was lost", None)
    return Ending(NOT_ISSUED.lock, revocation, proof)


def _close(step: Step, vault: Vault, holding: Holding, ending: Ending, outcome: Outcome | None) -> None:
    try:
        step.journal.append(record.closed(step, holding, ending, outcome))
    finally:
        if holding.accessor and ending.revocation.method != "token":
            _give_back(step, vault, holding)
        vault.close()
        step.keeper.release(holding.credential_uid)


def _give_back(step: Step, vault: Vault, holding: Holding) -> None:
    try:
        vault.revoke_self()
    except VaultError as error:
        step.around.voice.warn(f"the Vault token could not be revoked and lives until its TTL: {error.what}")
        step.journal.append(record.token_revoke_failed(step, holding, error))
