"""The links of one profile in a step's order: what is at Vault and on the way first, then a credential; prints nothing.

What each link means is in a module of its own.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from stepcreds.config.model import Profile
from stepcreds.doctor import database, role, signing, statements, token
from stepcreds.doctor.credential import Looker, OneCredential
from stepcreds.doctor.link import Link, NotLookedAtError
from stepcreds.doctor.operator import Operator
from stepcreds.doctor.servers import PATIENCE
from stepcreds.errors import LedgerError, StepcredsError, VaultError
from stepcreds.ledger.checkpoint import key_of
from stepcreds.ledger.record import new_uid
from stepcreds.model import Holding
from stepcreds.secret import Secret
from stepcreds.session.acquire import log_in
from stepcreds.vault.advice import Login
from stepcreds.vault.client import Vault


class OneProfile:
    """The links of one profile."""

    def __init__(self, examination: Looker, profile: Profile) -> None:
        self.of = examination
        self.profile = profile
        self.around = examination.around
        self.settings = self.around.config.vault
        self.reach: token.Reach | None = None
        self.said_of_statements = ""  # its fix
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
            if self.around.config.ledger.key is not None:
                look("signing", partial(self.signing, vault, self.around.config.ledger.key), needs=("login",))
            look("policy", partial(self.policy, vault), needs=("login",))
        finally:
            if vault.has_token and not self.given_back:
                with suppress(VaultError):
                    vault.revoke_self()
            vault.close()
            self.of.keeper.release(self.own.credential_uid)
        look("network", self.network)
        OneCredential(self.of, self.profile, self.reach, self.said_of_statements).run()

    def operator(self, path: str, unknown: str) -> Operator:
        if self.of.operator is None:
            raise NotLookedAtError(f"{unknown} was not looked at: give VAULT_TOKEN a token that may read {path}")
        return self.of.operator

    def role(self) -> Link:
        name, mount = self.profile.role, self.settings.mount
        found = self.operator(f"auth/{mount}/role/{name}", "whom it lets in (bound_claims)").jwt_role(name)
        if self.of.status["identity"] == "failed":
            raise NotLookedAtError("not compared: there is no identity to compare it with")
        claims = self.of.identity.claims
        return role.judge(*found, name=name, mount=mount, audience=self.settings.audience, claims=claims)

    def statements(self) -> Link:
        mount, word, name = self.profile.creds.rpartition("/creds/")
        if self.profile.database is None or not word:
            raise NotLookedAtError("no statements of a database end this credential")
        role = self.operator(f"{mount}/roles/{name}", "how it revokes").role_of(self.profile.creds)
        link = statements.judge(role, self.profile)
        self.said_of_statements = link.error.fix if link.error is not None else ""
        return link

    def login(self, vault: Vault) -> Link:
        self.logged_in = login = log_in(self.around, self.of.identity, self.profile, vault)
        self.of.secrets.append(login.token)
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

    def signing(self, vault: Vault, template: str) -> Link:
        claims, operator = self.of.identity.claims, self.of.operator
        repository_id = self.around.ci.job(claims, self.around.environment).repository_id
        role = key = None
        if operator is not None:
            with suppress(NotLookedAtError):
                role, _ = operator.jwt_role(self.profile.role)
            with suppress(NotLookedAtError, LedgerError):
                key = operator.key(key_of(template, repository_id))
        login = Login(self.profile.role, self.settings.mount, self.settings.audience, claims, "")
        return signing.signing(vault, template, repository_id, login=login, role=role, key=key)

    def policy(self, vault: Vault) -> Link:
        self.reach, link = token.allowed(
            vault,
            self.profile,
            self.logged_in,
            self.settings,
            self.around.clock,
            ledger_key=self.around.config.ledger.key,
        )
        self.given_back = True
        return link

    def network(self) -> str:
        if self.profile.database is None:
            raise NotLookedAtError("the profile names no database")
        try:
            return database.reach(self.profile.database, self.around.clock)
        except StepcredsError as error:
            raise database.with_a_fix(error) from None
