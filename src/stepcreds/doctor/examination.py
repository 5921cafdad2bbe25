"""Every link between a job and its credential, in the order in which a step needs them; it prints nothing.

A credential that is issued on the way is recorded, ended and proven dead as any other is, by the same functions, also
when the examination is interrupted or killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from stepcreds.config.model import Profile
from stepcreds.doctor.link import BrokenError, Link, NotLookedAtError, Report
from stepcreds.doctor.profile import PATIENCE, OneProfile
from stepcreds.errors import CancelledError, StepcredsError, VaultError
from stepcreds.model import Identity
from stepcreds.printable import one_line
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.secret import Secret
from stepcreds.session.begin import identify
from stepcreds.session.step import Surroundings
from stepcreds.session.takeover import take_over
from stepcreds.vault.client import Vault
from stepcreds.vault.failure import without_password

FINDING = 1


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
        lambda worker: Examination(around, worker, report, id_token_file, operator_token).run(profiles),
        partial(take_over, around=around, argv=None),
        clock=around.clock,
    )


class Examination:
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

    @property
    def keeper(self) -> Worker:
        return self.worker

    def run(self, profiles: Sequence[Profile]) -> int:
        try:
            self.look("config", self.config)
            self.look("identity", self.identify)
            self.look("vault", self.servers)
            for profile in profiles:
                self.report.profile(profile.name)
                OneProfile(self, profile).run()
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
        settings = self.around.config.vault._replace(addresses=(address,))
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
