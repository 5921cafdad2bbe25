"""From an identity to a credential somebody answers for: login, probe, intent, issue, shorten, record, measure.

Whatever goes wrong on the way, what exists by then is ended before the error goes on.
"""

from __future__ import annotations

import math
import os

from stepcreds import scope
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.deliver.fields import is_secret
from stepcreds.errors import ExcessError, LostAnswerError, UnmeasuredError, VaultError
from stepcreds.identity import claims_for_messages
from stepcreds.ledger import credential as record
from stepcreds.ledger.record import Record, new_uid
from stepcreds.measurement import Measurement, NotMeasured
from stepcreds.model import TOKEN_MARGIN, Ending, Holding, Identity, Lease, Login
from stepcreds.secret import Secret
from stepcreds.session.finish import Issue, abandon, is_left
from stepcreds.session.lifetime import shorten, stretch
from stepcreds.session.measuring import judge, measure
from stepcreds.session.signing import checkpoint
from stepcreds.session.step import Credential, Ended, Step, Surroundings
from stepcreds.session.words import ended
from stepcreds.vault.advice import explain_login
from stepcreds.vault.client import Vault


def acquire(
    step: Step,
    profile: Profile,
    *,
    lasting: bool = False,
    unmeasured: NotMeasured | None = None,
    longest: float = 0.0,
) -> Credential:
    """The credential of `profile`, recorded as issued, with an effective TTL of at most `profile.ttl`, and measured.

    `lasting`: of `profile.max_ttl` instead, and not less, because nobody will renew it. `unmeasured` is why nobody is
    to look at this one, or not yet: see `measuring.look`. `longest` is for how long (seconds) whoever acquires it may
    renew it beyond the `ttl`: nothing is written down then, so the record says it beforehand.

    Raises `StepcredsError` or `Cancelled`; nothing that this call made is alive then, or the message and the ledger say
    what is. After a lost answer it logs in anew and tries once more: the first token is revoked, and with it whatever
    it may have been given. Where that fails there is no second try: one credential that nobody knows is enough.
    """
    first = _Attempt(step, profile, lasting, unmeasured, longest)
    try:
        return first.run()
    except LostAnswerError as error:
        if first.ending is None or is_left(first.ending) or not first.ending.recorded:
            raise
        step.around.voice.warn(f"{profile.name}: {error.what}; logging in anew and trying once more")
        return _Attempt(step, profile, lasting, unmeasured, longest).run()


def log_in(around: Surroundings, identity: Identity, profile: Profile, vault: Vault) -> Login:
    """A token for `profile`'s role; with `--as-operator`, a short-lived child of the operator's own token.

    Raises `VaultError` with Vault's own words, our claims beside them, and what to change.
    """
    if around.operator_token is not None:
        vault.use(around.operator_token)
        return vault.child_token(profile.ttl + TOKEN_MARGIN)
    settings = around.config.vault
    try:
        return vault.login(profile.role, identity.token)
    except VaultError as error:
        raise explain_login(
            error,
            role=profile.role,
            mount=settings.mount,
            audience=settings.audience,
            claims=claims_for_messages(identity.claims),
        ) from None


# Seconds for a signature before the command: as long as a cluster takes to find another leader.
SIGNING = 10.0


class _Attempt:
    """One login and, on its token, one request to issue."""

    def __init__(
        self, step: Step, profile: Profile, lasting: bool, unmeasured: NotMeasured | None, longest: float
    ) -> None:
        self.step = step
        self.profile = profile
        self.lasting = lasting
        self.unmeasured = unmeasured
        self.longest = longest
        self.clock = step.around.clock
        self.vault = Vault(step.around.config.vault, self.clock, step_uid=step.around.step_uid)
        self.issue: Issue = "not_asked"
        self.asked = False  # whether the ledger says that there may be a credential
        self.lease: Lease | None = None
        self.entry: Record | None = None  # the last of it that stands in the ledger, once it is issued
        self.ending: Ending | None = None  # of what a failed attempt may have been given
        self.holding = Holding(
            new_uid(),
            profile.name,
            Secret(""),
            "",
            lock_password=_password(),
            ledger=str(step.journal.path),
            chain_uid=step.journal.chain_uid,
        )

    def run(self) -> Credential:
        step, profile = self.step, self.profile
        cancellation = step.keeper.cancellation
        try:
            with cancellation.interruptible():
                login = log_in(step.around, step.identity, profile, self.vault)
                # Until more is known, what it is given lives as long as the token at most.
                self.hold(token=login.token, accessor=login.accessor, expire_time=login.time + login.ttl)
                if profile.revocation == "lease":
                    self.vault.probe_revocation(profile.creds)
            # From here to the answer there may be a credential that only this record tells of.
            self.record_intent()
            lease = self.obtain(login)
            if not self.lasting:
                self.sign()
            measurement = measure(step, profile, self.holding, self.found, unmeasured=self.unmeasured)
            if self.lasting:
                self.record_measurement(measurement)
                self.sign()
            judge(profile, measurement, step.around.voice)
        except BaseException as error:
            self.ending = abandon(step, profile, self.vault, self.holding, self.issue, error)
            self.tell(self.ending, error)
            raise
        grant = scope.grant(profile, lease, measurement)
        engine = engine_for(profile.database, self.clock)
        return Credential(profile, grant, self.holding, self.vault, engine, login.policies)

    def hold(self, **changes: object) -> None:
        self.holding = self.holding._replace(**changes)  # type: ignore[arg-type]
        self.step.keeper.hold(self.holding)
        self.note()

    def note(self) -> None:
        step, around = self.step, self.step.around
        if around.notebook is not None:
            around.notebook.note(self.holding, self.profile, step.delivery, around.step_uid, asked=self.asked)

    def record_intent(self) -> None:
        step, around = self.step, self.step.around
        mount = "auth/token" if around.operator_token is not None else f"auth/{around.config.vault.mount}"
        step.journal.append(
            record.requested(
                around.step_uid,
                self.holding.credential_uid,
                self.profile,
                token_accessor=self.holding.accessor,
                mount_point=mount,
                delivery=step.delivery,
                inherited=step.inherited,
                reason=step.reason,
            )
        )
        self.asked = True
        self.note()

    def obtain(self, login: Login) -> Lease:
        """A lease that lasts as it should; on record also where it is not to be kept, for whoever has to end it."""
        try:
            with self.step.keeper.cancellation.interruptible():
                lease = self.ask(login)
                self.limit(login, lease)
        finally:
            if self.lease is not None and self.issue != "refused":
                self.record_issue(login, self.lease)
        return lease

    def ask(self, login: Login) -> Lease:
        """Issue. Until its answer is held, nobody knows what the token was given."""
        self.issue = "unknown"
        try:
            lease = self.vault.issue(self.profile.creds)
        except LostAnswerError:
            raise
        except VaultError:
            self.issue = "refused"
            raise
        self.lease = lease
        expiry = min(lease.time + lease.duration, login.time + login.ttl) if lease.lease_id else math.inf
        self.hold(
            lease_id=lease.lease_id,
            username=_reveal(lease, "username"),
            password=lease.fields.get("password", Secret("")),
            secrets=tuple(value for name, value in lease.fields.items() if is_secret(name, value.reveal())),
            issue_time=lease.time,
            expire_time=expiry,
        )
        self.issue = "answered"
        if not lease.lease_id and self.profile.revocation == "lease":
            self.issue = "refused"
            raise VaultError(
                f"{self.profile.creds} answered without a lease: what it gave cannot be revoked",
                cause="It is a static secret (kv, a static role), or an engine that gives no leases.",
                fix="Use a dynamic secrets engine; or accept in words that nothing ends it:\n"
                f"  profiles.{self.profile.name}.revocation: none",
                docs="no-lease",
            )
        return lease

    def sign(self) -> None:
        """Have it signed what is on record by now. Raises `LedgerError` where the configuration demands it."""
        if self.entry is None:
            return
        with self.step.keeper.cancellation.interruptible():
            error = checkpoint(self.step.around, self.step.journal, self.vault, self.entry, patience=SIGNING)
        if error is not None:
            raise error

    def limit(self, login: Login, lease: Lease) -> None:
        """As long as the profile says, and no longer."""
        if self.lasting and lease.lease_id:
            self.hold(expire_time=stretch(self.vault, self.profile, login, lease, self.clock))
        elif (end := shorten(self.vault, self.profile, lease, self.clock)) is not None:
            self.hold(expire_time=min(end, login.time + login.ttl))

    def found(self, measurement: Measurement) -> None:
        """What it can do is known to both halves, whatever becomes of it."""
        self.holding = self.holding._replace(measurement=measurement)
        self.step.keeper.hold(self.holding)

    def record_measurement(self, measurement: Measurement) -> None:
        """At once: nobody who ends it will remember."""
        uid, name = self.holding.credential_uid, self.profile.name
        self.entry = self.step.journal.append(record.measured(self.step.around.step_uid, uid, name, measurement))

    def tell(self, ending: Ending, error: BaseException) -> None:
        """What was issued, and ended before it was handed over: a row of the summary, and for one refused a line."""
        step, holding = self.step, self.holding
        if self.issue != "answered":
            return
        step.refused.append(Ended(self.profile, holding, ending, step.journal.path))
        if isinstance(error, (ExcessError, UnmeasuredError)) and ending.proof.proven and ending.recorded:
            step.around.voice.say(ended(holding, ending, None))

    def record_issue(self, login: Login, lease: Lease) -> None:
        holding = self.holding
        longest = min(lease.time + self.longest, login.time + login.ttl)
        self.entry = self.step.journal.append(
            record.issued(
                self.step.around.step_uid,
                holding.credential_uid,
                login,
                lease,
                db_user=holding.username or None,
                expire_time=max(holding.expire_time, longest),
            )
        )


def _password() -> Secret:
    """What the lock will set: 256 bits, in characters that no client quotes, of every class that a password policy
    of the server may ask for."""
    return Secret(f"Lk-{os.urandom(32).hex()}")


def _reveal(lease: Lease, field: str) -> str:
    value = lease.fields.get(field)
    return value.reveal() if value is not None else ""
