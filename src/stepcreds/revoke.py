"""Ends one credential and proves it dead: lock, revoke, prove, in this order; it records nothing and prints nothing.

A revocation that Vault answered with 204 proves nothing (it answers so for a lease that never existed), and a
lease that is gone says nothing of a role that someone re-created. So both are asked: Vault's lookup, and the
database itself, with every password that could still work.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.databases.interface import Engine
from stepcreds.errors import VaultError
from stepcreds.model import Ending, Holding, Lock, LoginProof, Proof, Revocation
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault

# One revocation statement list runs at a time per database config (47-70 ms each): two hundred steps that end
# together wait for each other, not for a failure.
REVOKE_TIMEOUT = 60.0  # seconds
DATABASE_TIMEOUT = 5.0  # seconds, for one connection
# A refused login is refused at once; "too many connections" or a restarting server is asked again.
PROOF_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0)  # seconds

NO_LOCK = Lock("not_applicable", None)


@dataclass(frozen=True)
class Deadline:
    """Until when (monotonic seconds) an ending may go on asking."""

    at: float
    clock: Clock

    def left(self) -> float:
        return max(0.0, self.at - self.clock.monotonic())


def end(
    holding: Holding, profile: Profile, *, vault: Vault, engine: Engine | None, clock: Clock, patience: float
) -> Ending:
    """Lock, revoke and prove the credential of `holding`, within about `patience` seconds.

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
        return Ending(NO_LOCK, revocation, _prove_lease(holding.lease_id, vault, clock))
    lock = engine.lock(
        url, holding.username, holding.password, holding.lock_password, timeout=_database_timeout(deadline)
    )
    if lock.status == "refused":
        lock = _tampering(lock, holding, vault)
    revocation = _revoke(holding.lease_id, vault, clock, deadline)
    return Ending(lock, revocation, _prove(holding, url, engine, vault, clock, deadline))


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
        alive = vault.lookup_lease(holding.lease_id).alive
    except VaultError:
        return lock
    if not alive:
        return Lock("refused", lock.time, "the credential had ended before the step did")
    return Lock("refused", lock.time, "tampering: the step changed its own password while the lease was alive")


def _revoke(lease_id: str, vault: Vault, clock: Clock, deadline: Deadline) -> Revocation:
    try:
        vault.revoke_lease(lease_id, timeout=min(REVOKE_TIMEOUT, max(1.0, deadline.left())))
    except VaultError as error:
        return Revocation("lease", "failed", clock.now(), _sentence(error))
    return Revocation("lease", "revoked", clock.now())


def _lookup(lease_id: str, vault: Vault) -> tuple[str, str]:
    try:
        state = vault.lookup_lease(lease_id)
    except VaultError as error:
        return "unknown", _sentence(error)
    return ("alive", state.detail) if state.alive else ("gone", "")


def _prove_lease(lease_id: str, vault: Vault, clock: Clock) -> Proof:
    lookup, detail = _lookup(lease_id, vault)
    time = clock.now() if lookup == "gone" else None
    return Proof(lookup, "not_applicable", "not_checked", "lease lookup", time, detail)  # type: ignore[arg-type]


def _prove(holding: Holding, url: DatabaseURL, engine: Engine, vault: Vault, clock: Clock, deadline: Deadline) -> Proof:
    lookup, detail = _lookup(holding.lease_id, vault)
    answers = [
        _refused(engine, url, holding.username, password, clock, deadline)
        for password in (holding.password, holding.lock_password)
    ]
    worst = max(answers, key=lambda proof: ("refused", "unknown", "accepted").index(proof.answer))
    dead = lookup == "gone" and worst.answer == "refused"
    return Proof(
        lookup,  # type: ignore[arg-type]
        worst.answer,
        "not_checked",
        "lease lookup and refused logins",
        clock.now() if dead else None,
        "; ".join(text for text in (detail, "" if worst.answer == "refused" else worst.detail) if text),
    )


def _refused(
    engine: Engine, url: DatabaseURL, username: str, password: Secret, clock: Clock, deadline: Deadline
) -> LoginProof:
    answer = engine.try_login(url, username, password, timeout=_database_timeout(deadline))
    for pause in PROOF_PAUSES:
        if answer.answer == "refused" or deadline.left() < pause:
            break
        clock.sleep(pause)
        answer = engine.try_login(url, username, password, timeout=_database_timeout(deadline))
    return answer


def _sentence(error: VaultError) -> str:
    return f"{error.what} ({'; '.join(error.errors)})" if error.errors else error.what
