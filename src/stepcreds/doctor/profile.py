"""The links of one profile in a step's order, with a credential that is tried, ended and proven dead; prints nothing.

What each link means is in a module of its own. The credential is recorded and ended by the session's own functions,
also when the examination is interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from stepcreds import scope
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.doctor import database, lifetime, role, statements, token
from stepcreds.doctor.link import Link, NotLookedAtError
from stepcreds.doctor.operator import Operator
from stepcreds.doctor.servers import PATIENCE
from stepcreds.doctor.sessions import OpenSession
from stepcreds.errors import StepcredsError, VaultError
from stepcreds.ledger.credential import verdict
from stepcreds.ledger.record import new_uid
from stepcreds.measurement import Measured, NotMeasured
from stepcreds.model import Ending, Holding, Identity
from stepcreds.printable import one_line
from stepcreds.scope import report
from stepcreds.secret import Secret
from stepcreds.session import measuring, words
from stepcreds.session.acquire import acquire, log_in
from stepcreds.session.begin import begin
from stepcreds.session.finish import finish
from stepcreds.session.step import Credential, Keeper, Surroundings
from stepcreds.vault.client import Vault

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


class OneProfile:
    """The links of one profile."""

    def __init__(self, examination: Looker, profile: Profile) -> None:
        self.of = examination
        self.profile = profile
        self.around = examination.around
        self.settings = self.around.config.vault
        self.credential: Credential | None = None
        self.reach: token.Reach | None = None
        self.given_back = False  # whether `policy` got as far as that
        self.own = Holding(new_uid(), profile.name, Secret(""), "")  # the token of `login`, which may not outlive us

    def run(self) -> None:
        look = self.of.look
        look("role", self.role, needs=("vault",))
        look("statements", self.statements, needs=("vault",))
        vault = Vault(self.settings, self.around.clock, patience=PATIENCE)
        try:
            look("login", partial(self.login, vault), needs=("identity", "vault"))
            look("revocation", partial(self.revocation, vault), needs=("login",))
            look("policy", partial(self.policy, vault), needs=("login",))
        finally:
            if vault.has_token and not self.given_back:
                with suppress(VaultError):
                    vault.revoke_self()
            vault.close()
            self.of.keeper.release(self.own.credential_uid)
        look("network", self.network)
        # An interrupted request to issue is the session's to deal with.
        needs = ("ledger", "login", "revocation", "policy", "network")
        look("issue", self.issue, needs=needs, interruptible=False)
        try:
            # Not interruptible: for a moment the lease is longer than the profile's ttl.
            look("lifetime", self.lifetime, needs=("issue",), interruptible=False)
            look("database", self.database, needs=("issue",))
            look("scope", self.scope, needs=("issue", "database"))
        finally:
            self.end()

    def operator(self, path: str) -> Operator:
        if self.of.operator is None:
            raise NotLookedAtError(f"not read: give VAULT_TOKEN a token that may read {path}")
        return self.of.operator

    def role(self) -> Link:
        name, mount = self.profile.role, self.settings.mount
        found = self.operator(f"auth/{mount}/role/{name}").jwt_role(name)
        if self.of.status["identity"] == "failed":
            raise NotLookedAtError("not compared: there is no identity to compare it with")
        claims = self.of.identity.claims
        return role.judge(*found, name=name, mount=mount, audience=self.settings.audience, claims=claims)

    def statements(self) -> Link:
        mount, word, name = self.profile.creds.rpartition("/creds/")
        if self.profile.database is None or not word:
            raise NotLookedAtError("no statements of a database end this credential")
        return statements.judge(self.operator(f"{mount}/roles/{name}").role_of(self.profile.creds), self.profile)

    def login(self, vault: Vault) -> Link:
        self.logged_in = login = log_in(self.around, self.of.identity, self.profile, vault)
        self.of.keeper.hold(self.own._replace(token=login.token, accessor=login.accessor))
        claims, clock = self.of.identity.claims, self.around.clock
        seen = self.of.status.get("role") != "skipped"  # then its user_claim was read
        remarks = [] if seen else token.whose(self.settings, self.profile, login.token, claims, clock)
        return token.told(self.profile, self.settings.mount, login, remarks)

    def revocation(self, vault: Vault) -> str:
        if self.profile.revocation == "none":
            raise NotLookedAtError("the profile says revocation: none")
        vault.probe_revocation(self.profile.creds)
        return f"the token may revoke what {self.profile.creds} issues"

    def policy(self, vault: Vault) -> Link:
        self.reach, link = token.allowed(vault, self.profile, self.logged_in, self.settings, self.around.clock)
        self.given_back = True
        return link

    def network(self) -> str:
        if self.profile.database is None:
            raise NotLookedAtError("the profile names no database")
        try:
            return database.reach(self.profile.database, self.around.clock)
        except StepcredsError as error:
            raise database.with_a_fix(error) from None

    def issue(self) -> str:
        step = begin(self.around, self.of.identity, self.of.keeper, delivery="doctor")
        # Measured by a link of its own, which refuses nothing: what is found is to be shown whole.
        self.credential = acquire(step, self.profile, unmeasured=scope.not_measured(self.profile) or NOT_SO_FAR)
        self.step = step
        holding = self.credential.holding
        what = f"{self.profile.creds}: {one_line(holding.username) or 'a credential without a user'}"
        if not holding.lease_id:
            return f"{what}, without a lease"
        return f"{what}, which ends in {in_words(round(holding.expire_time - holding.issue_time))} unless renewed"

    def lifetime(self) -> Link:
        if self.credential is None or self.reach is None or not self.credential.holding.lease_id:
            raise NotLookedAtError("there is no lease")
        return lifetime.lifetime(
            self.profile,
            self.settings.mount,
            token=self.reach,
            lease=self.credential.grant.lease,
            vault=self.credential.vault,
            limits=self.of.operator.limits(self.profile) if self.of.operator is not None else (),
            clock=self.around.clock,
        )

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
        session = OpenSession(self.profile, "", self.around.clock)

        def revoke() -> str:
            nonlocal ending, session
            if self.credential is None:
                raise NotLookedAtError("nothing was issued")
            held = self.credential
            if held.engine is not None:
                session = OpenSession(self.profile, held.holding.username, self.around.clock)
            ending = finish(self.step, self.profile, held.vault, held.holding, None, when_locked=session.open)
            if ending.revocation.status == "failed":
                raise words.unproven(held.holding, ending)
            return f"{_LOCKS[ending.lock.status]}{ending.revocation.detail or ending.revocation.status}"

        def sessions() -> Link:
            if self.credential is None or self.credential.engine is None:
                raise NotLookedAtError("there is no database that could be asked")
            return session.judge()

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
            session.close()
        self.of.look("proof", prove, needs=("issue", "revoke"), interruptible=False)
