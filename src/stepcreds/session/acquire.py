"""From an identity to a credential somebody answers for: login, probe, intent, issue, shorten, record, measure.

Whatever goes wrong on the way, what exists by then is ended before the error goes on.
"""

from __future__ import annotations

import os
from dataclasses import replace

from stepcreds import scope
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.identity import claims_for_messages
from stepcreds.ledger import record
from stepcreds.model import Holding, Lease, Login, NotMeasured
from stepcreds.secret import Secret
from stepcreds.session.finish import abandon
from stepcreds.session.step import Credential, Step
from stepcreds.vault.advice import explain_login
from stepcreds.vault.client import Vault

# The token outlives the lease by what an ending may take, so that it can still be asked for the proof.
TOKEN_MARGIN = 90.0  # seconds


def acquire(step: Step, profile: Profile) -> Credential:
    """The credential of `profile`, recorded as issued, with an effective TTL of at most `profile.ttl`.

    Raises `StepcredsError` or `process.cancel.Cancelled`; nothing of this call is alive then, or the message and the
    ledger say what is. After a lost answer it logs in anew and tries once more: the first token is revoked, and with
    it whatever it may have been given.
    """
    try:
        return _Attempt(step, profile).run()
    except LostAnswerError as error:
        step.around.voice.warn(f"{profile.name}: {error.what}; logging in anew and trying once more")
        return _Attempt(step, profile).run()


class _Attempt:
    """One login and, on its token, one request to issue."""

    def __init__(self, step: Step, profile: Profile) -> None:
        self.step = step
        self.profile = profile
        self.clock = step.around.clock
        self.vault = Vault(step.around.config.vault, self.clock)
        self.holding = Holding(record.new_uid(), profile.name, Secret(""), "", lock_password=_password())

    def run(self) -> Credential:
        step, profile = self.step, self.profile
        try:
            with step.keeper.interruptible():
                login = self.log_in()
                self.hold(token=login.token, accessor=login.accessor)
                if profile.revocation == "lease":
                    self.vault.probe_revocation(profile.creds)
            # From here to the answer there may be a credential that only this record tells of.
            step.journal.append(record.requested(step, profile, self.holding))
            with step.keeper.interruptible():
                lease = self.vault.issue(profile.creds)
                self.hold_lease(login, lease)
                self.check(lease)
                self.shorten(login, lease)
            step.journal.append(record.issued(step, login, lease, self.holding))
        except BaseException as error:
            abandon(step, profile, self.vault, self.holding, error)
            raise
        grant = scope.grant(profile, lease, _not_measured(profile))
        return Credential(profile, grant, self.holding, self.vault, _engine(profile))

    def log_in(self) -> Login:
        around, profile = self.step.around, self.profile
        settings = around.config.vault
        try:
            return self.vault.login(profile.role, self.step.identity.token)
        except VaultError as error:
            raise explain_login(
                error,
                role=profile.role,
                mount=settings.mount,
                audience=settings.audience,
                claims=claims_for_messages(self.step.identity.claims),
            ) from None

    def hold(self, **changes: object) -> None:
        self.holding = replace(self.holding, **changes)  # type: ignore[arg-type]
        self.step.keeper.hold(self.holding)

    def hold_lease(self, login: Login, lease: Lease) -> None:
        self.hold(
            lease_id=lease.lease_id,
            username=_reveal(lease, "username"),
            password=lease.fields.get("password", Secret("")),
            issue_time=lease.time,
            expire_time=min(lease.time + lease.duration, login.time + login.ttl) if lease.lease_id else 0.0,
        )

    def check(self, lease: Lease) -> None:
        if not lease.lease_id and self.profile.revocation == "lease":
            raise VaultError(
                f"{self.profile.creds} answered without a lease: what it gave cannot be revoked",
                cause="it is a static secret (kv, static role) or an engine that gives no leases",
                fix=f"use a dynamic secrets engine, or accept it in words: profiles.{self.profile.name}.revocation: none",
                docs="no-lease",
            )

    def shorten(self, login: Login, lease: Lease) -> None:
        """The creds path ignores a ttl; renewing with a smaller increment does shorten the lease and `VALID UNTIL`."""
        ttl = self.profile.ttl
        if not lease.lease_id or lease.duration <= ttl:
            return
        try:
            duration = self.vault.renew_lease(lease.lease_id, ttl)
        except VaultError as error:
            raise VaultError(
                f"the lease of {self.profile.creds} lasts {lease.duration:.0f} s and could not be shortened to"
                f" the profile's ttl of {ttl:.0f} s: {error.what}",
                status=error.status,
                errors=error.errors,
                cause="the role's policy does not allow sys/leases/renew, or the engine's leases cannot be renewed",
                fix='allow it: path "sys/leases/renew" { capabilities = ["update"] }; or set default_ttl of the creds'
                f" role to {ttl:.0f}s or less; or raise profiles.{self.profile.name}.ttl",
                docs="lease-not-shortened",
            ) from None
        self.hold(expire_time=min(self.clock.now() + duration, login.time + login.ttl))


def _engine(profile: Profile):  # type: ignore[no-untyped-def]
    return engine_for(profile.database) if profile.database is not None else None


def _not_measured(profile: Profile) -> NotMeasured:
    if profile.measure == "off":
        return NotMeasured("the profile says measure: off")
    if profile.database is None:
        return NotMeasured("there is no database to ask")
    return NotMeasured("this version does not measure privileges yet")


def _password() -> Secret:
    """What the lock will set: 256 bits, in characters that no client has to quote."""
    return Secret(os.urandom(32).hex())


def _reveal(lease: Lease, field: str) -> str:
    value = lease.fields.get(field)
    return value.reveal() if value is not None else ""
