"""The links of one credential, from "issue" to "proof": it is tried, ended and proven dead; it prints nothing.

It is recorded and ended by the session's own functions, also when the examination is interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from stepcreds import scope
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.doctor import database, lifetime
from stepcreds.doctor.link import Link, NotLookedAtError
from stepcreds.doctor.operator import Operator
from stepcreds.doctor.sessions import OpenSession
from stepcreds.doctor.token import Reach
from stepcreds.errors import StepcredsError
from stepcreds.ledger.credential import verdict
from stepcreds.measurement import Measured, NotMeasured
from stepcreds.model import Ending, Identity
from stepcreds.printable import one_line
from stepcreds.scope import report
from stepcreds.secret import Secret
from stepcreds.session import measuring, words
from stepcreds.session.acquire import acquire
from stepcreds.session.begin import begin
from stepcreds.session.finish import finish
from stepcreds.session.step import Credential, Keeper, Surroundings

NOT_SO_FAR = NotMeasured("the examination did not get as far")
_LOCKS = {
    "locked": "locked at the database; ",
    "refused": "the database refused the lock; ",
    "tampered": "the password was changed by somebody else; ",
    "failed": "the lock failed; ",
    "unreachable": "not locked, the database did not answer; ",
    "not_applicable": "",
}


class Looker(Protocol):
    """What the links of a profile need of the examination that they belong to."""

    around: Surroundings
    status: dict[str, str]
    identity: Identity
    secrets: list[Secret]  # what was issued so far

    @property
    def keeper(self) -> Keeper: ...

    @property
    def vault_ahead(self) -> float | None:
        """Seconds that Vault's clock is ahead of this machine's; None: it does not say."""
        ...

    @property
    def operator(self) -> Operator | None: ...

    def look(
        self, name: str, check: Callable[[], str | Link], *, needs: Sequence[str] = (), interruptible: bool = True
    ) -> None: ...


class OneCredential:
    """What a step would get and have to end.

    `reach` is what is known of the token: None where nobody could ask. `statements` is the fix of that link, or "".
    """

    def __init__(self, examination: Looker, profile: Profile, reach: Reach | None, statements: str) -> None:
        self.of = examination
        self.profile = profile
        self.around = examination.around
        self.reach = reach
        self.said_of_statements = statements
        self.credential: Credential | None = None

    def run(self) -> None:
        look = self.of.look
        # An interrupted request to issue is the session's to deal with.
        needs = ("ledger", "login", "revocation", "policy", "network")
        look("issue", self.issue, needs=needs, interruptible=False)
        try:
            # Not interruptible: for a moment the lease is longer than the profile's ttl.
            look("lifetime", self.lifetime, needs=("issue",), interruptible=False)
            # Where that failed it may be longer still: nothing is worth more now than its end.
            look("database", self.database, needs=("issue", "lifetime"))
            look("scope", self.scope, needs=("issue", "lifetime", "database"))
        finally:
            self.end()

    def issue(self) -> str:
        step = begin(self.around, self.of.identity, self.of.keeper, delivery="doctor")
        # Measured by a link of its own, which refuses nothing: what is found is to be shown whole.
        unmeasured = scope.not_measured(self.profile) or NOT_SO_FAR
        longest = self.profile.max_ttl if self.reach is not None else 0.0  # see `lifetime`
        self.credential = acquire(step, self.profile, unmeasured=unmeasured, longest=longest)
        self.step = step
        holding = self.credential.holding
        self.of.secrets += [holding.token, *holding.secrets, holding.lock_password]
        what = f"{self.profile.creds}: {one_line(holding.username) or 'a credential without a user'}"
        if not holding.lease_id:
            return f"{what}, without a lease"
        return f"{what}, which ends in {in_words(round(holding.expire_time - holding.issue_time))} unless renewed"

    def lifetime(self) -> Link:
        if self.credential is None or self.reach is None or not self.credential.holding.lease_id:
            raise NotLookedAtError("there is no lease")
        return lifetime.lifetime(
            self.profile,
            self.around.config.vault.mount,
            token=self.reach,
            lease=self.credential.grant.lease,
            vault=self.credential.vault,
            limits=self.of.operator.limits(self.profile) if self.of.operator is not None else (),
            clock=self.around.clock,
            lasts_until=self.lasts_until,
        )

    def lasts_until(self, expire_time: float) -> None:
        """Both halves know until when it may live, whoever ends it."""
        if self.credential is not None:
            self.credential = self.credential.until(expire_time)
            self.of.keeper.hold(self.credential.holding)

    def database(self) -> Link:
        url, credential = self.profile.database, self.credential
        if url is None or credential is None:
            raise NotLookedAtError("the profile names no database")
        if engine_for(url, self.around.clock) is None:
            raise NotLookedAtError(f"no login is tried at {url.engine}")
        holding, ahead = credential.holding, self.of.vault_ahead
        try:
            return database.log_in(url, holding.username, holding.password, self.around.clock, ahead)
        except StepcredsError as error:
            raise database.with_a_fix(error) from None

    def scope(self) -> Link:
        """What the credential can do, held against the profile. Where that only warns, the link holds all the same."""
        if self.credential is None:
            raise NotLookedAtError("nothing was issued")
        if (nobody := scope.not_measured(self.profile)) is not None:
            raise NotLookedAtError(nobody.reason)
        self.credential = measuring.look(self.credential, self.of.keeper, self.around.clock)
        measured = self.credential.holding.measurement
        assert isinstance(measured, Measured)  # noqa: S101 - it raises otherwise
        found = f"{report.verdict(self.profile, measured)}, by {measured.server}"
        found += "".join(f"; {text}" for text in scope.remarks(measured.findings, self.profile, measured.time))
        if not measured.excess:
            return Link("scope", "ok", found)
        error = report.refusal(self.profile, measured)
        passes = self.profile.on_excess == "warn"
        found += f": {report.worst(measured)}" + ("; on_excess: warn lets it pass" if passes else "")
        return Link("scope", "warning" if passes else "failed", found, error)

    def end(self) -> None:
        """Nothing interrupts this: what was issued is ended and proven dead first."""
        ending: Ending | None = None
        session: OpenSession | None = None

        def revoke() -> str:
            nonlocal ending, session
            if self.credential is None:
                raise NotLookedAtError("nothing was issued")
            held = self.credential
            session = OpenSession(self.profile, held.holding, self.around.clock) if held.engine is not None else None
            opening = session.open if session is not None else lambda password: None
            ending = finish(self.step, self.profile, held.vault, held.holding, None, when_locked=opening)
            if ending.revocation.status == "failed":
                raise words.unproven(held.holding, ending)
            return f"{_LOCKS[ending.lock.status]}{ending.revocation.detail or ending.revocation.status}"

        def sessions() -> Link:
            if session is None:
                raise NotLookedAtError("there is no database that could be asked")
            return session.judge(self.said_of_statements)

        def prove() -> str:
            if self.credential is None or ending is None:
                raise NotLookedAtError("nothing was issued")
            if not ending.proof.proven and self.profile.revocation != "none":
                raise words.unproven(self.credential.holding, ending)
            said = verdict(ending, self.credential.holding.expire_time or None)
            return f"{said} ({ending.proof.method})" if ending.proof.proven else said

        try:
            self.of.look("revoke", revoke, needs=("issue",), interruptible=False)
            self.of.look("sessions", sessions, needs=("issue", "revoke"), interruptible=False)
        finally:
            if session is not None:
                session.close()
        self.of.look("proof", prove, needs=("issue", "revoke"), interruptible=False)
