"""Ends one credential and proves it dead: lock, revoke, prove, in this order; it records nothing and prints nothing.

A revocation that Vault answered with 204 proves nothing (it answers so for a lease that never existed), and a
lease that is gone says nothing of a role that someone re-created. So both are asked: Vault's lookup, and the
database itself, with every password that could still work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.databases.interface import Engine, Session
from stepcreds.errors import VaultError
from stepcreds.model import Ending, Holding, Lock, LoginProof, LookupAnswer, Proof, Revocation
from stepcreds.secret import Secret
from stepcreds.vault import lease_advice
from stepcreds.vault.client import Vault

# One revocation statement list runs at a time per database config (47-70 ms each): two hundred steps that end
# together wait for each other, not for a failure.
REVOKE_TIMEOUT = 60.0  # seconds
ASIDE = 2.0  # seconds of the patience that a revocation which hangs leaves for what comes after it
DATABASE_TIMEOUT = 5.0  # seconds, for one connection
# A refused login is refused at once; "too many connections" or a restarting server is asked again.
PROOF_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0)  # seconds
# A revocation that the database did not carry out is asked for again.
REVOKE_PAUSES = (0.5, 1.0, 2.0, 3.0, 3.0, 3.0)  # seconds
# What Vault was asked to revoke by itself, it first tries at once.
QUEUE_PAUSES = PROOF_PAUSES[:4]

NO_LOCK = Lock("not_applicable", None)


class Deadline(NamedTuple):
    """Until when (monotonic seconds) an ending may go on asking."""

    at: float
    clock: Clock

    def left(self) -> float:
        return max(0.0, self.at - self.clock.monotonic())


def end(
    holding: Holding,
    profile: Profile,
    *,
    vault: Vault,
    engine: Engine | None,
    clock: Clock,
    patience: float,
    lock_timeout: float = DATABASE_TIMEOUT,
    when_locked: Callable[[Secret], None] = lambda password: None,
    last: Callable[[Session], None] | None = None,
) -> Ending:
    """Lock, revoke and prove the credential of `holding`, within about `patience` seconds, the lock in `lock_timeout`.

    `when_locked` is called with the password that works after the lock, when nobody else can do anything as this user
    any more; it is to raise nothing, and to be quick. Not where the lock reached no database: it would wait in vain,
    and the revocation with it. `last` is as `Engine.lock` has it.

    Never raises for a server that fails: what failed is in the `Ending`, and `Ending.proof.proven` says whether
    the credential is known to be dead. `engine` is None for what has no login to ask (see `databases.engine_for`).
    """
    deadline = Deadline(clock.monotonic() + patience, clock)
    vault.limit(patience)
    if not holding.lease_id:
        return _without_lease(profile)
    url = profile.database
    if url is None or engine is None or not holding.username:
        revocation = _revoke(holding.lease_id, vault, clock, deadline)
        return Ending(NO_LOCK, revocation, _prove_lease(holding.lease_id, revocation, vault, clock, deadline))
    lock = engine.lock(url, holding.username, holding.password, holding.lock_password, timeout=lock_timeout, last=last)
    if lock.status == "refused":
        lock = _tampering(lock, holding, vault)
    if lock.status != "unreachable":
        when_locked(holding.lock_password if lock.status == "locked" else holding.password)
    revocation = _revoke(holding.lease_id, vault, clock, deadline)
    return Ending(lock, revocation, _prove(holding, url, engine, revocation, vault, clock, deadline))


def _database_timeout(deadline: Deadline) -> float:
    return max(0.5, min(DATABASE_TIMEOUT, deadline.left()))


def _without_lease(profile: Profile) -> Ending:
    detail = "the engine gives no lease"
    if profile.revocation == "none":
        detail += ", and the profile says revocation: none"
    return Ending(
        NO_LOCK,
        Revocation("none", "impossible", None, detail),
        Proof("not_checked", "not_applicable", "not_checked", "none: nothing can be revoked", None, detail),
    )


def _tampering(lock: Lock, holding: Holding, vault: Vault) -> Lock:
    """A login refused while the lease still lives means that the step changed its own password."""
    try:
        lease = vault.lookup_lease(holding.lease_id)
    except VaultError:
        return lock
    # A Vault that was away for longer has one that is over, and ends it in a moment.
    if not lease.alive or lease.ttl <= 0:
        return Lock("refused", lock.time, "the credential had ended before the step did")
    return Lock("tampered", lock.time, "tampering: the step changed its own password while the lease was alive")


def revoke_lease(lease_id: str, vault: Vault, clock: Clock, *, timeout: float = REVOKE_TIMEOUT) -> Revocation:
    """Revoke and wait for it, `timeout` seconds at most; where that fails, have Vault go on trying by itself.

    A database that is restarted, or full, is back in seconds, and Vault's own second try comes after ten.
    """
    until = clock.monotonic() + timeout
    for pause in (*REVOKE_PAUSES, timeout):
        try:
            vault.revoke_lease(lease_id, timeout=max(1.0, until - clock.monotonic()))
        except VaultError as error:
            failure = error
        else:
            return Revocation("lease", "revoked", clock.now())
        if not lease_advice.may_pass(failure) or clock.monotonic() + pause >= until:
            break
        clock.sleep(pause)
    why = lease_advice.in_full(failure)
    try:
        vault.queue_revocation(lease_id)
    except VaultError:
        return Revocation("lease", "failed", clock.now(), why)
    return Revocation("lease", "queued", clock.now(), f"{why.rstrip('.')}. Vault goes on trying")


def _revoke(lease_id: str, vault: Vault, clock: Clock, deadline: Deadline) -> Revocation:
    return revoke_lease(lease_id, vault, clock, timeout=min(REVOKE_TIMEOUT, max(1.0, deadline.left() - ASIDE)))


def _lookup(
    lease_id: str, revocation: Revocation, vault: Vault, clock: Clock, deadline: Deadline
) -> tuple[LookupAnswer, str]:
    answer, detail = _look(lease_id, vault)
    for pause in QUEUE_PAUSES if revocation.status == "queued" else ():
        if answer != "alive" or deadline.left() < pause:
            break
        clock.sleep(pause)
        answer, detail = _look(lease_id, vault)
    return answer, detail


def _look(lease_id: str, vault: Vault) -> tuple[LookupAnswer, str]:
    try:
        state = vault.lookup_lease(lease_id)
    except VaultError as error:
        return "unknown", error.what
    return ("alive", state.detail) if state.alive else ("gone", "")


def _prove_lease(lease_id: str, revocation: Revocation, vault: Vault, clock: Clock, deadline: Deadline) -> Proof:
    lookup, detail = _lookup(lease_id, revocation, vault, clock, deadline)
    time = clock.now() if lookup == "gone" else None
    return Proof(lookup, "not_applicable", "not_checked", "lease lookup", time, detail)


def _prove(
    holding: Holding,
    url: DatabaseURL,
    engine: Engine,
    revocation: Revocation,
    vault: Vault,
    clock: Clock,
    deadline: Deadline,
) -> Proof:
    lookup, detail = _lookup(holding.lease_id, revocation, vault, clock, deadline)
    # Unless the lease is gone no answer of the database proves anything: it is asked once, for the record.
    pauses: Sequence[float] = PROOF_PAUSES if lookup == "gone" else ()
    answers = []
    for password in (holding.password, holding.lock_password):
        answers.append(_refused(engine, url, holding.username, password, pauses, clock, deadline))
        if answers[-1].answer != "refused":
            pauses = ()  # nor does it after this one
    worst = max(answers, key=lambda proof: ("refused", "unknown", "accepted").index(proof.answer))
    dead = lookup == "gone" and worst.answer == "refused"
    return Proof(
        lookup,
        worst.answer,
        "not_checked",
        "lease lookup and refused logins",
        clock.now() if dead else None,
        "; ".join(text for text in (detail, "" if worst.answer == "refused" else worst.detail) if text),
    )


def _refused(
    engine: Engine,
    url: DatabaseURL,
    username: str,
    password: Secret,
    pauses: Sequence[float],
    clock: Clock,
    deadline: Deadline,
) -> LoginProof:
    answer = engine.try_login(url, username, password, timeout=_database_timeout(deadline))
    for pause in pauses:
        if answer.answer == "refused" or deadline.left() < pause:
            break
        clock.sleep(pause)
        answer = engine.try_login(url, username, password, timeout=_database_timeout(deadline))
    return answer
