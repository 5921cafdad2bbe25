"""The links of one profile: role, login, policy, a credential that is tried, ended and proven dead; it prints nothing.

The credential is recorded and ended by the session's own functions, also when the examination is interrupted.
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
from stepcreds.doctor import database, operator, role
from stepcreds.doctor.link import Link, NotLookedAtError
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
from stepcreds.setup.vault import policy
from stepcreds.vault.client import PROBE, Vault

NOT_SO_FAR = NotMeasured("the examination did not get as far")
PATIENCE = 10.0  # seconds for one call: somebody waits for the answer
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
    operator_token: Secret | None
    status: dict[str, str]
    identity: Identity
    address: str

    @property
    def keeper(self) -> Keeper: ...

    def look(
        self, name: str, check: Callable[[], str | Link], *, needs: Sequence[str] = (), interruptible: bool = True
    ) -> None: ...


class OneProfile:
    """The links of one profile."""

    def __init__(self, examination: Looker, profile: Profile) -> None:
        self.of = examination
        self.profile = profile
        self.around = examination.around
        self.credential: Credential | None = None
        self.given_back = False  # whether `policy` got as far as that
        self.own = Holding(new_uid(), profile.name, Secret(""), "")  # the token of `login`, which may not outlive us

    def run(self) -> None:
        look = self.of.look
        look("role", self.role, needs=("vault",))
        vault = Vault(self.around.config.vault, self.around.clock, patience=PATIENCE)
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
        look("issue", self.issue, needs=("login", "revocation", "policy", "network"), interruptible=False)
        try:
            look("database", self.database, needs=("issue",))
            look("scope", self.scope, needs=("issue", "database"))
        finally:
            self.end()

    def role(self) -> Link:
        settings = self.around.config.vault
        name, mount = self.profile.role, settings.mount
        if self.of.operator_token is None:
            raise NotLookedAtError(f"not read: give VAULT_TOKEN a token that may read auth/{mount}/role/{name}")
        found = operator.read_role(settings, self.of.address, self.of.operator_token, name, self.around.clock)
        if self.of.status["identity"] != "ok":
            raise NotLookedAtError("not compared: there is no identity to compare it with")
        return role.judge(*found, name=name, mount=mount, audience=settings.audience, claims=self.of.identity.claims)

    def login(self, vault: Vault) -> str:
        login = log_in(self.around, self.of.identity, self.profile, vault)
        self.of.keeper.hold(self.own._replace(token=login.token, accessor=login.accessor))
        policies = one_line(", ".join(login.policies)) or "none"
        mount = self.around.config.vault.mount
        return f"{self.profile.role} at auth/{mount}: a service token for {in_words(login.ttl)}, policies: {policies}"

    def revocation(self, vault: Vault) -> str:
        if self.profile.revocation == "none":
            raise NotLookedAtError("the profile says revocation: none")
        vault.probe_revocation(self.profile.creds)
        return f"the token may revoke what {self.profile.creds} issues"

    def policy(self, vault: Vault) -> str:
        """Try each call of a step that changes nothing: a policy may limit parameters, and only the attempt tells."""
        lease = f"{self.profile.creds}/{PROBE}"
        calls: dict[str, Callable[[], object]] = {
            "sys/leases/lookup": lambda: vault.lookup_lease(lease),
            "sys/leases/renew": lambda: vault.renew_lease(lease, self.profile.ttl),
            "auth/token/renew-self": lambda: vault.renew_token(self.profile.ttl),
            "auth/token/revoke-accessor": lambda: vault.revoke_accessor(PROBE),
            "auth/token/revoke-self": vault.revoke_self,
        }
        missing = []
        for path, call in calls.items():
            if self.profile.revocation == "none" and path.startswith("sys/leases/"):
                continue
            try:
                call()
            except VaultError as error:
                if error.status == 403:
                    missing.append(path)
                elif error.status != 400:  # there is no such lease to renew
                    raise
        if missing:
            raise VaultError(
                f"The policies of role {self.profile.role} do not allow {', '.join(missing)}",
                status=403,
                cause="A step looks its lease up to prove it dead, keeps lease and token alive while the command runs, "
                "and gives the token back; `stepcreds revoke` ends what was lost by its accessor.",
                fix=f"The least that this profile needs, as a policy:\n{policy(self.profile)}",
                docs="policy-missing",
            )
        self.given_back = True
        return "look up, renew, give back"

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

    def database(self) -> str:
        url, credential = self.profile.database, self.credential
        if url is None or credential is None:
            raise NotLookedAtError("the profile names no database")
        if engine_for(url, self.around.clock) is None:
            raise NotLookedAtError(f"no login is tried at {url.engine}")
        holding = credential.holding
        try:
            return database.log_in(url, holding.username, holding.password, self.around.clock)
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
        return Link("scope", "ok" if passes else "failed", found, error)

    def end(self) -> None:
        """Nothing interrupts this: what was issued is ended and proven dead first."""
        ending: Ending | None = None

        def revoke() -> str:
            nonlocal ending
            if self.credential is None:
                raise NotLookedAtError("nothing was issued")
            ending = finish(self.step, self.profile, self.credential.vault, self.credential.holding, None)
            if ending.revocation.status == "failed":
                raise words.unproven(self.credential.holding, ending)
            return f"{_LOCKS[ending.lock.status]}{ending.revocation.detail or ending.revocation.status}"

        def prove() -> str:
            if self.credential is None or ending is None:
                raise NotLookedAtError("nothing was issued")
            if not ending.proof.proven and self.profile.revocation != "none":
                raise words.unproven(self.credential.holding, ending)
            said = verdict(ending, self.credential.holding.expire_time or None)
            return f"{said} ({ending.proof.method})" if ending.proof.proven else said

        self.of.look("revoke", revoke, needs=("issue",), interruptible=False)
        self.of.look("proof", prove, needs=("issue", "revoke"), interruptible=False)
