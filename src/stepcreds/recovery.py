"""`stepcreds revoke`: ends what a killed `exec` left, and proves it though the password is lost.

The ledger says what was requested and not closed, or closed without proof. A login of this job's own ends it by its
lease id, or by its token's accessor where no lease came on record. Proof is by lookup and by a witness: a fresh
credential of a profile on the same server sees neither the role nor a session of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stepcreds import scope
from stepcreds.config.model import Profile
from stepcreds.errors import CancelledError, StepcredsError, UsageError, VaultError
from stepcreds.ledger import credential as record
from stepcreds.ledger.credential import server_of
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.reading import CredentialView, unclosed, with_lease
from stepcreds.ledger.record import new_uid
from stepcreds.ledger.view import text_of
from stepcreds.model import Ending, Holding, Proof, Revocation
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.revoke import NO_LOCK, revoke_lease
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import log_in
from stepcreds.session.begin import begin, identify
from stepcreds.session.step import Step, Surroundings
from stepcreds.session.takeover import take_over
from stepcreds.vault.client import Vault
from stepcreds.witness import Witnesses, can_testify

FINDING = 1


@dataclass(frozen=True)
class Task:
    """One call of `stepcreds revoke`."""

    lease: str | None = None  # this one, whichever job it was issued to
    everything: bool = False  # all of this run attempt; else those of this job's last step
    id_token_file: Path | None = None


@dataclass(frozen=True)
class Leftover:
    """A credential that may still be alive."""

    holding: Holding  # without token and password: they are lost
    profile: Profile
    server: str  # as `ledger.credential.server_of` names it, "" where it is no database's
    file: Path | None  # the chain it is on record in; None: in none that is here
    step_uid: str


def run(task: Task, around: Surroundings) -> int:
    """End what is left; 0 when all of it is proven dead (or there was nothing), 1 when something is not."""
    return run_pair(lambda worker: _Recovery(task, around, worker).run(), partial(take_over, around=around, argv=None))


class _Recovery:
    """What the worker of `stepcreds revoke` does."""

    def __init__(self, task: Task, around: Surroundings, worker: Worker) -> None:
        self.task = task
        self.around = around
        self.worker = worker
        self.opened: Step | None = None
        self.witnesses = Witnesses(self.step)
        self.complete = True  # whether every chain could be read, and every witness is dead

    def run(self) -> int:
        voice = self.around.voice
        try:
            with self.worker.cancellation.interruptible():
                self.identity = identify(self.around, self.task.id_token_file)
            left = self.left()
            if not left and self.complete:
                voice.say("nothing to revoke: no credential is open in this ledger")
            try:
                proven = [self.attempt(leftover) for leftover in left]
            finally:
                self.complete &= self.witnesses.dismiss()  # before the chain is closed: their ends belong into it
            clean = all(proven) and self.complete
            if self.task.everything and clean:
                self.step().journal.close(self.around.step_uid)
            return 0 if clean else FINDING
        except Cancelled as error:
            voice.fail(CancelledError(f"Ended by {error.signal_name} before everything was revoked", docs="cancelled"))
            return FINDING
        except StepcredsError as error:
            voice.fail(error)
            return error.exit_code

    def left(self) -> list[Leftover]:
        """What is to be ended, oldest first."""
        settings = self.around.config.ledger
        if self.task.lease is not None:
            view = with_lease(settings, self.task.lease)
            return [self.leftover(view) if view is not None else self.unrecorded(self.task.lease)]
        job = self.around.ci.job(self.identity.claims, self.around.environment)
        views, errors = unclosed(settings, job, whole_run=self.task.everything)
        for error in errors:
            self.complete = False
            self.around.voice.fail(error)
        views = [view for view in views if not _went_with_its_token(view)]
        if not self.task.everything:
            views = [view for view in views if view.step_uid == views[-1].step_uid]
        return [self.leftover(view) for view in views]

    def leftover(self, view: CredentialView) -> Leftover:
        holding = Holding(
            view.credential_uid,
            view.profile,
            Secret(""),
            view.token_accessor,
            lease_id=view.lease_id,
            username=view.db_user,
            issue_time=view.issue_time or 0.0,
            expire_time=view.expire_time or 0.0,
        )
        return Leftover(holding, self.profile(view), view.server, view.file, view.step_uid)

    def profile(self, view: CredentialView) -> Profile:
        """The profile by which it was issued, as far as a login needs it: the configuration may have changed since."""
        known = self.around.config.profiles.get(view.profile) or Profile(view.profile, "", "", None, None)
        return known._replace(role=view.role, creds=view.creds)

    def unrecorded(self, lease_id: str) -> Leftover:
        """A lease that no ledger here knows: the profile whose creds path it is under says how to end it."""
        for profile in self.around.config.profiles.values():
            if lease_id.startswith(profile.creds + "/"):
                holding = Holding(new_uid(), profile.name, Secret(""), "", lease_id=lease_id)
                server = server_of(profile.database) if profile.database is not None else ""
                return Leftover(holding, profile, server, None, self.around.step_uid)
        raise UsageError(
            "No profile of this configuration issues such a lease",
            cause="The lease id begins with the creds path of the profile it was issued for, and none of these match: "
            + ", ".join(sorted({profile.creds for profile in self.around.config.profiles.values()})),
            fix="Use the stepcreds.yml of the step that held it.",
            docs="revoke",
        )

    def attempt(self, leftover: Leftover) -> bool:
        """`end`; a failure (of a role that this job may not log in as, say) must not keep the others alive."""
        try:
            return self.end(leftover)
        except StepcredsError as error:
            self.around.voice.fail(error)
            return False

    def end(self, leftover: Leftover) -> bool:
        """Revoke, prove, record; whether it is proven dead."""
        holding, profile = leftover.holding, leftover.profile
        vault = Vault(self.around.config.vault, self.around.clock)
        own = Holding(new_uid(), profile.name, Secret(""), "")  # this login's token, which may not outlive us either
        try:
            with self.worker.cancellation.interruptible():
                login = log_in(self.around, self.identity, profile, vault)
                self.worker.hold(own._replace(token=login.token, accessor=login.accessor))
            revocation = self.revoke(holding, vault)
            ending = Ending(NO_LOCK, revocation, self.prove(leftover, vault))
        finally:
            self.give_back(vault, own)
        self.record(leftover, ending)
        if ending.proof.proven:
            self.around.voice.say(words.ended(holding, ending, None))
        else:
            self.around.voice.fail(words.unproven(holding, ending))
        return ending.proof.proven

    def revoke(self, holding: Holding, vault: Vault) -> Revocation:
        clock = self.around.clock
        if holding.lease_id:
            return revoke_lease(holding.lease_id, vault, clock)
        try:
            vault.revoke_accessor(holding.accessor)
            return Revocation("accessor", "revoked", clock.now())
        except VaultError as error:
            return Revocation("accessor", "failed", clock.now(), error.what)

    def prove(self, leftover: Leftover, vault: Vault) -> Proof:
        """Lookup and witness; an engine without a login is proven by the lookup alone."""
        holding = leftover.holding
        if not holding.lease_id:
            detail = "the answer to its request is not on record: neither its lease nor its user is known"
            return Proof("not_checked", "not_checked", "not_checked", "none", None, detail)
        try:
            state = vault.lookup_lease(holding.lease_id)
        except VaultError as error:
            return Proof("unknown", "not_checked", "not_checked", "none", None, error.what)
        if state.alive:
            return Proof("alive", "not_checked", "not_checked", "none", None, state.detail)
        now = self.around.clock.now
        if not can_testify(leftover.server):
            return Proof("gone", "not_applicable", "not_checked", "lease lookup", now())
        if not holding.username:
            detail = "no ledger here knows the database user: only that of its own step could"
            return Proof("gone", "not_checked", "unknown", "lease lookup", None, detail)
        sighting = self.witnesses.look_for(holding.username, leftover.server)
        time = now() if sighting.answer == "absent" else None
        return Proof("gone", "not_checked", sighting.answer, "lease lookup and a witness", time, sighting.detail)

    def step(self) -> Step:
        if self.opened is None:
            self.opened = begin(self.around, self.identity, self.worker, delivery="witness")
        return self.opened

    def record(self, leftover: Leftover, ending: Ending) -> None:
        holding = leftover.holding
        journal = (
            Journal.at(leftover.file, clock=self.around.clock) if leftover.file is not None else self.step().journal
        )
        journal.append(
            record.closed(
                leftover.step_uid,
                holding.credential_uid,
                profile=leftover.profile.name,
                step_name=self.around.step_name,
                command=None,
                outcome=None,
                measurement=scope.not_measured(leftover.profile),
                ending=ending,
                expire_time=holding.expire_time or None,
            )
        )

    def give_back(self, vault: Vault, own: Holding) -> None:
        try:
            if vault.has_token:
                vault.revoke_self()
        except VaultError as error:
            self.around.voice.warn(f"this login's Vault token could not be revoked: {error.what}")
        vault.close()
        self.worker.release(own.credential_uid)


def _went_with_its_token(view: CredentialView) -> bool:
    """Whether nothing is left to ask: its lease is not known, and what asked for it has been revoked."""
    method, status = (text_of(view.closed, "revoke", name) for name in ("method", "status"))
    return method in ("token", "accessor") and status == "revoked"
