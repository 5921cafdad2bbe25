"""Every link between a job and its credential, in the order in which a step needs them; it prints nothing.

A credential that is issued on the way is recorded, ended and proven dead as any other is, by the same functions, also
when the examination is interrupted or killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.doctor import database, operator, role
from stepcreds.doctor.link import BrokenError, Link, NotLookedAtError, Report
from stepcreds.errors import CancelledError, StepcredsError, VaultError
from stepcreds.ledger.credential import verdict
from stepcreds.model import Ending, Identity
from stepcreds.printable import one_line
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import acquire, log_in
from stepcreds.session.begin import begin, identify
from stepcreds.session.finish import finish
from stepcreds.session.step import Credential, Surroundings
from stepcreds.session.takeover import take_over
from stepcreds.setup.vault import policy
from stepcreds.vault.client import PROBE, Vault
from stepcreds.vault.transport import without_password

PATIENCE = 10.0  # seconds for one call: somebody waits for the answer
FINDING = 1
_LOCKS = {
    "locked": "locked at the database; ",
    "refused": "the database refused the lock; ",
    "failed": "the lock failed; ",
    "unreachable": "not locked, the database did not answer; ",
    "not_applicable": "",
}


def examine(
    around: Surroundings,
    profiles: Sequence[Profile],
    *,
    report: Report,
    id_token_file: Path | None = None,
    operator_token: Secret | None = None,
) -> int:
    """Look at every link of each profile; 0 when all hold, 1 when one is broken.

    With `operator_token` the JWT roles are read as well. Raises `UnsupportedError` where no step could run.
    """
    return run_pair(
        lambda worker: _Examination(around, worker, report, id_token_file, operator_token).run(profiles),
        partial(take_over, around=around, argv=None),
        clock=around.clock,
    )


class _Examination:
    """What all profiles share, and then each profile."""

    def __init__(
        self,
        around: Surroundings,
        worker: Worker,
        report: Report,
        id_token_file: Path | None,
        operator_token: Secret | None,
    ) -> None:
        self.around = around
        self.worker = worker
        self.report = report
        self.id_token_file = id_token_file
        self.operator_token = operator_token
        self.status: dict[str, str] = {}
        self.findings = 0
        self.identity = Identity(Secret(""), {}, "")
        self.address = ""  # of a server that answered

    def run(self, profiles: Sequence[Profile]) -> int:
        try:
            self.look("config", self.config)
            self.look("identity", self.identify)
            self.look("vault", self.servers)
            for profile in profiles:
                self.report.profile(profile.name)
                _Profile(self, profile).run()
        except Cancelled as cancelled:
            self.findings += 1
            what = f"Ended by {cancelled.signal_name} before every link was looked at"
            self.around.voice.fail(CancelledError(what, docs="cancelled"))
        self.report.finish(self.findings)
        return FINDING if self.findings else 0

    def look(
        self, name: str, check: Callable[[], str | Link], *, needs: Sequence[str] = (), interruptible: bool = True
    ) -> None:
        """Report what `check` finds; not looked at where a link that it needs does not hold."""
        broken = [need for need in needs if self.status.get(need) == "failed"]
        if broken:
            link = Link(name, "skipped", f"not looked at: {broken[0]} comes first")
        else:
            link = self.checked(name, check, interruptible)
        # What hangs on a link that was skipped for another's sake is not looked at either.
        self.status[name] = "failed" if broken else link.status
        self.findings += link.status == "failed"
        self.report.link(link)

    def checked(self, name: str, check: Callable[[], str | Link], interruptible: bool) -> Link:
        try:
            if interruptible:
                with self.worker.cancellation.interruptible():
                    found = check()
            else:
                found = check()
        except NotLookedAtError as reason:
            return Link(name, "skipped", str(reason))
        except BrokenError as broken:
            return Link(name, "failed", broken.found, broken.error, broken.rows)
        except StepcredsError as error:
            return Link(name, "failed", error.what, error)
        return found if isinstance(found, Link) else Link(name, "ok", found)

    def config(self) -> str:
        config = self.around.config
        return f"{config.source}: {', '.join(config.profiles)}"

    def identify(self) -> str:
        self.identity = identify(self.around, self.id_token_file)
        subject = one_line(str(self.identity.claims.get("sub") or "no subject"))
        return f"{self.identity.source}: {subject}, for {self.around.config.vault.audience}"

    def servers(self) -> str:
        """One server that answers is enough; the others are told of."""
        found, failures = [], []
        for address in self.around.config.vault.addresses:
            try:
                found.append(self.server(address))
                self.address = self.address or address
            except VaultError as error:  # noqa: PERF203 - each server is asked
                failures.append(error)
        if not found:
            raise failures[0]
        return "; ".join([*found, *(error.what for error in failures)])

    def server(self, address: str) -> str:
        settings = replace(self.around.config.vault, addresses=(address,))
        vault = Vault(settings, self.around.clock, patience=PATIENCE)
        try:
            status = vault.status()
        finally:
            vault.close()
        if status.sealed or not status.initialized:
            raise VaultError(
                f"Vault at {address} is sealed" if status.initialized else f"Vault at {address} was never set up",
                cause="The server was started and not unsealed, or somebody sealed it." if status.initialized else "",
                fix=f"An operator must do it:\n  bao operator {'unseal' if status.initialized else 'init'}",
                docs="vault-sealed",
            )
        if not address.startswith("https://"):
            secured = "without TLS"
        elif settings.skip_verify:
            secured = "TLS, its certificate not verified (VAULT_SKIP_VERIFY)"
        else:
            secured = f"TLS, its certificate signed by {settings.ca_cert or 'a CA of the system'}"
        proxy = settings.proxies.get(address)
        through = f", through the proxy {without_password(proxy)}" if proxy else ""
        return f"{address}: version {one_line(status.version, 40)}, {secured}{through}"


class _Profile:
    """The links of one profile."""

    def __init__(self, examination: _Examination, profile: Profile) -> None:
        self.of = examination
        self.profile = profile
        self.around = examination.around
        self.credential: Credential | None = None
        self.logged_in = False

    def run(self) -> None:
        look = self.of.look
        look("role", self.role, needs=("vault",))
        vault = Vault(self.around.config.vault, self.around.clock, patience=PATIENCE)
        try:
            look("login", partial(self.login, vault), needs=("identity", "vault"))
            look("revocation", partial(self.revocation, vault), needs=("login",))
            look("policy", partial(self.policy, vault), needs=("login",))
        finally:
            if self.logged_in:  # `policy` did not get as far as to give the token back
                with suppress(VaultError):
                    vault.revoke_self()
            vault.close()
        look("network", self.network)
        # An interrupted request to issue is the session's to deal with.
        look("issue", self.issue, needs=("login", "revocation", "policy", "network"), interruptible=False)
        try:
            look("database", self.database, needs=("issue",))
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
        self.logged_in = True
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
        self.logged_in = False
        return "look up, renew, give back"

    def network(self) -> str:
        if self.profile.database is None:
            raise NotLookedAtError("the profile names no database")
        try:
            return database.reach(self.profile.database, self.around.clock)
        except StepcredsError as error:
            raise database.with_a_fix(error) from None

    def issue(self) -> str:
        step = begin(self.around, self.of.identity, self.of.worker, delivery="doctor")
        self.credential = acquire(step, self.profile)
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
