"""Ends what a step holds and writes the end down: end, record, then give the token back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from stepcreds import revoke
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.errors import LedgerError, StepcredsError, VaultError
from stepcreds.ledger import credential as record
from stepcreds.ledger.record import Event, Record
from stepcreds.model import Ending, Holding, Outcome, Proof, Revocation
from stepcreds.process.cancel import FRONT_DIED
from stepcreds.secret import Secret
from stepcreds.session.signing import checkpoint
from stepcreds.session.step import Closing
from stepcreds.session.usage import Usage
from stepcreds.session.words import ended, unproven
from stepcreds.vault.client import Vault

# Seconds: a synchronous revoke may wait 60 for its turn. Nobody waits that long for a step that was asked to end: see
# `process.front`.
PATIENCE = 75.0
# For the lock of a step that was asked to end, which may be killed in a moment: the revocation is worth more.
LOCK_CANCELLED = 2.0
GIVE_BACK = 5.0  # seconds: the token ends by itself soon, and nothing hangs on it
SIGNING, SIGNING_CANCELLED = 5.0, 2.0  # seconds, for the last signature

# How far a request to issue got: what is not known may exist.
Issue = Literal["not_asked", "refused", "unknown", "answered"]

# What else is to be on record of a credential, in front of its end.
Beside = Callable[[Ending], Sequence[Event]]

NOTHING = Proof("not_checked", "not_applicable", "not_checked", "nothing was issued", None)
NOT_ISSUED = Ending(revoke.NO_LOCK, Revocation("none", "not_issued", None), NOTHING)


def finish(
    closing: Closing,
    profile: Profile,
    vault: Vault,
    holding: Holding,
    outcome: Outcome | None,
    *,
    failure: BaseException | None = None,
    when_locked: Callable[[Secret], None] = lambda password: None,
    beside: Beside = lambda ending: (),
    usage: Usage | None = None,
) -> Ending:
    """Lock, revoke, prove, record, and only then revoke the token: after it nothing can be asked or signed any more.

    Raises nothing: what failed has been said, and is in the `Ending`. `failure` is what somebody else will say.
    `when_locked` is as `revoke.end` has it.
    """
    clock = closing.around.clock
    engine = engine_for(profile.database, clock)
    ending = revoke.end(
        holding,
        profile,
        vault=vault,
        engine=engine,
        clock=clock,
        patience=PATIENCE,
        lock_timeout=revoke.DATABASE_TIMEOUT if _is_waited_for(closing) else LOCK_CANCELLED,
        when_locked=when_locked,
        last=usage.end if usage is not None else None,
    )
    if usage is not None:
        ending = ending._replace(used=usage.told())
    return _close(closing, profile, vault, holding, ending, outcome, failure, beside)


def abandon(
    closing: Closing,
    profile: Profile,
    vault: Vault,
    holding: Holding,
    issue: Issue,
    failure: BaseException | None = None,
    beside: Beside = lambda ending: (),
) -> Ending:
    """End whatever a failed attempt got as far as: a lease, a token that may have been given one, or nothing.

    `failure` is why the attempt failed, which whoever made it will say.
    """
    if issue == "answered" or holding.lease_id:
        ending = finish(closing, profile, vault, holding, None, failure=failure, beside=beside)
    else:
        ending = by_token(closing, vault) if issue == "unknown" else NOT_ISSUED
        ending = _close(closing, profile, vault, holding, ending, None, failure, beside)
    if is_left(ending):
        closing.around.voice.fail(unproven(holding, ending))
    elif ending.proof.proven and not ending.recorded:
        closing.around.voice.say(ended(holding, ending, None))
    return ending


def is_left(ending: Ending) -> bool:
    """Whether what an attempt asked for may still be alive. A token that was revoked takes what it was given along."""
    if ending.revocation.status in ("not_issued", "impossible"):
        return False
    by_its_token = ending.revocation.method == "token" and ending.revocation.status == "revoked"
    return not (ending.proof.proven or by_its_token)


def by_token(closing: Closing, vault: Vault) -> Ending:
    """The end of a credential whose lease nobody knows: it dies with the token that asked for it."""
    clock = closing.around.clock
    vault.limit(PATIENCE)
    try:
        vault.revoke_self()
    except VaultError as error:
        revocation = Revocation("token", "failed", clock.now(), error.what)
    else:
        revocation = Revocation("token", "revoked", clock.now(), "its lease is not known: the answer was lost")
    nothing_known = Proof("not_checked", "not_checked", "not_checked", "no lease to look up", None)
    return Ending(revoke.NO_LOCK, revocation, nothing_known)


def _is_waited_for(closing: Closing) -> bool:
    """Whether nobody asked this step to end, or nobody is left who would kill it."""
    return closing.keeper.cancellation.signal in ("", FRONT_DIED)


def _close(
    closing: Closing,
    profile: Profile,
    vault: Vault,
    holding: Holding,
    ending: Ending,
    outcome: Outcome | None,
    failure: BaseException | None,
    beside: Beside,
) -> Ending:
    """Put the end on record, give the token back, and let go of both; the `Ending` says whether the ledger took it."""
    around = closing.around
    closed = record.closed(
        around.step_uid,
        holding.credential_uid,
        profile=profile.name,
        step_name=around.step_name,
        command=closing.argv,
        outcome=outcome,
        measurement=holding.measurement,
        ending=ending,
        expire_time=holding.expire_time or None,
    )
    entry = _append(closing, closed, failure, once=closing.keeper.front_gone, before=beside(ending))
    ending = ending._replace(recorded=entry is not None, seq=_seq(entry))
    if holding.accessor and ending.revocation.method != "token":
        if entry is not None and not sign(closing, vault, entry, failure):
            ending = ending._replace(recorded=False)
        give_back(closing, vault, holding)
    vault.close()
    closing.keeper.release(holding.credential_uid)
    # The runner reads it as soon as the front has ended; the end of the job then finds the proof in the ledger.
    if around.notebook is not None and not (closing.keeper.front_gone or is_left(ending)) and ending.recorded:
        around.notebook.strike(holding.credential_uid)
    return ending


def sign(closing: Closing, vault: Vault, entry: Record, failure: BaseException | None = None) -> bool:
    """Whether the ledger is signed up to `entry`, or need not be. `failure` is what somebody else will say."""
    patience = SIGNING if _is_waited_for(closing) else SIGNING_CANCELLED
    error = checkpoint(closing.around, closing.journal, vault, entry, patience=patience)
    if error is not None:
        _fail(closing, error, failure)
    return error is None


def give_back(closing: Closing, vault: Vault, holding: Holding) -> None:
    """Revoke the token, last of all; where that fails, the ledger says so."""
    around = closing.around
    vault.limit(GIVE_BACK)
    try:
        vault.revoke_self()
    except VaultError as error:
        around.voice.warn(f"the Vault token {holding.accessor} (accessor) could not be revoked: {error.what}")
        failed = record.token_revoke_failed(
            around.step_uid,
            holding.credential_uid,
            token_accessor=holding.accessor,
            detail=error.what,
            expire_time=None,
        )
        _append(closing, failed)


def _append(
    closing: Closing,
    event: Event,
    failure: BaseException | None = None,
    *,
    once: bool = False,
    before: Sequence[Event] = (),
) -> Record | None:
    # Where the CI has gone on without us, a later step may have ended it first.
    append = closing.journal.append_end if once else closing.journal.append
    try:
        try:
            return append(event, before)
        except LedgerError:
            if not before:
                raise
        entry = append(event)  # a disk that has no room for all of it may have some for what matters
    except LedgerError as error:
        _fail(closing, error, failure)
        return None
    for each in before:
        _append(closing, each)
    return entry


def _fail(closing: Closing, error: StepcredsError, failure: BaseException | None) -> None:
    if not (isinstance(failure, LedgerError) and failure.what == error.what):
        closing.around.voice.fail(error)


def _seq(entry: Record | None) -> int | None:
    seq = entry.get("seq") if entry is not None else None
    return seq if isinstance(seq, int) else None
