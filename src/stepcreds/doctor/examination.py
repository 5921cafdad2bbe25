"""Every link between a job and its credential, in the order in which a step needs them; it prints nothing.

A credential that is issued on the way is recorded, ended and proven dead as any other is, by the same functions, also
when the examination is interrupted or killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from stepcreds.config.model import Profile
from stepcreds.doctor import machine, servers
from stepcreds.doctor.link import BrokenError, Link, NotLookedAtError, Report
from stepcreds.doctor.operator import Operator
from stepcreds.doctor.profile import OneProfile
from stepcreds.errors import CancelledError, IdentityError, StepcredsError, UnsupportedError
from stepcreds.model import Identity
from stepcreds.printable import one_line
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.secret import Secret
from stepcreds.session.begin import identify
from stepcreds.session.departure import depart
from stepcreds.session.step import Surroundings
from stepcreds.session.takeover import take_over

FINDING = 1
# In place of the command lines of `exec`.
_NOT_IN_A_JOB = (
    "On another CI, write its ID token to a file:\n"
    "  stepcreds doctor --id-token-file FILE\n"
    "On your own machine there is no job to examine. With the Vault token that you logged in with, what a credential "
    "can do:\n"
    "  stepcreds scope --as-operator PROFILE"
)


def examine(
    around: Surroundings,
    profiles: Sequence[Profile],
    *,
    report: Report,
    id_token_file: Path | None = None,
    operator_token: Secret | None = None,
    secrets: list[Secret] | None = None,
) -> int:
    """Look at every link of each profile; 0 when there is nothing to change, 1 when something is broken or warned of.

    With `operator_token` the roles at Vault are read as well. What is issued on the way is added to `secrets`, so that
    whoever writes the report can keep it out.
    """
    try:
        return run_pair(
            lambda worker: Examination(around, worker, report, id_token_file, operator_token, secrets).run(profiles),
            partial(take_over, around=around, argv=None),
            leave=partial(depart, around=around, is_step=False),
            clock=around.clock,
        )
    except UnsupportedError as error:
        report.link(Link("machine", "failed", error.what, error))
        report.finish()
        return FINDING


class Examination:
    """What all profiles share, and then each profile."""

    def __init__(
        self,
        around: Surroundings,
        worker: Worker,
        report: Report,
        id_token_file: Path | None,
        operator_token: Secret | None,
        secrets: list[Secret] | None,
    ) -> None:
        self.around = around
        self.worker = worker
        self.report = report
        self.id_token_file = id_token_file
        self.operator_token = operator_token
        self.secrets = [] if secrets is None else secrets  # the caller's own list
        self.status: dict[str, str] = {}
        self.found = False  # anything to change
        self.identity = Identity(Secret(""), {}, "")
        self.servers: list[servers.Seen] = []  # those that answered

    @property
    def keeper(self) -> Worker:
        return self.worker

    @property
    def operator(self) -> Operator | None:
        if self.operator_token is None or not self.servers:
            return None
        return Operator(self.around.config.vault, self.servers[0].address, self.operator_token, self.around.clock)

    @property
    def vault_ahead(self) -> float | None:
        return self.servers[0].ahead if self.servers else None

    def run(self, profiles: Sequence[Profile]) -> int:
        around = self.around
        try:
            self.look("config", self.config)
            self.look("machine", lambda: machine.machine(profiles, around.environment))
            self.look("ledger", lambda: machine.ledger(around.config.ledger, around.environment))
            self.look("identity", self.identify)
            self.look("vault", self.vault)
            self.look("clock", self.clocks, needs=("vault",))
            for profile in profiles:
                self.report.profile(profile.name)
                OneProfile(self, profile).run()
        except Cancelled as cancelled:
            self.found = True
            what = f"Ended by {cancelled.signal_name} before every link was looked at"
            error = CancelledError(what, docs="cancelled")
            self.around.voice.fail(error)
            self.report.cut_short(error)
        kept = self.report.finish()
        return 0 if kept and not self.found else FINDING

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
        self.found = self.found or link.finding
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
        return f"{config.source}: {', '.join(config.profiles) or 'no profiles'}"

    def identify(self) -> str:
        try:
            self.identity = identify(self.around, self.id_token_file)
        except IdentityError as error:
            if error.docs == "no-identity":
                error.fix = _NOT_IN_A_JOB
            raise
        subject = one_line(str(self.identity.claims.get("sub") or "no subject"))
        return f"{self.identity.source}: {subject}, for {self.around.config.vault.audience}"

    def vault(self) -> Link:
        self.servers, link = servers.servers(self.around.config.vault, self.around.clock)
        return link

    def clocks(self) -> Link:
        claims = self.identity.claims if self.status["identity"] == "ok" else None
        return servers.clocks(self.servers, claims, self.around.clock)
