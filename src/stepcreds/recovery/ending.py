"""Ends one credential whose password is lost: log in, revoke, prove by lookup and a witness, record."""

from __future__ import annotations

import math
from collections.abc import Callable

from stepcreds.errors import LedgerError, StepcredsError, VaultError
from stepcreds.ledger import credential as record
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import new_uid
from stepcreds.model import Ending, Holding, Identity, Proof, Revocation
from stepcreds.process.pair import Worker
from stepcreds.recovery.leftover import Leftover
from stepcreds.recovery.task import Task
from stepcreds.revoke import NO_LOCK, revoke_lease
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import log_in
from stepcreds.session.finish import SIGNING
from stepcreds.session.signing import checkpoint
from stepcreds.session.step import Ended, Step, Surroundings
from stepcreds.vault.client import Vault
from stepcreds.witness import Witnesses, can_testify

NOTHING_DONE = Ending(
    NO_LOCK,
    Revocation("none", "failed", None),
    Proof("unknown", "not_checked", "not_checked", "none", None),
)


class Endings:
    """Ends credentials one after the other, with one witness for each server."""

    def __init__(
        self,
        task: Task,
        around: Surroundings,
        worker: Worker,
        identity: Callable[[], Identity],
        step: Callable[[], Step],
    ) -> None:
        self.task = task
        self.around = around
        self.worker = worker
        self.identity = identity  # raises `StepcredsError`; so does
        self.step = step  # that of this recovery: its witnesses are on record, too
        self.witnesses = Witnesses(step)
        self.ended: list[Ended] = []  # what was recorded, in order
        self.tolerated = 0  # how many are not proven dead, and that is no more than a warning

    def attempt(self, leftover: Leftover) -> bool:
        """Whether it is proven dead. A failure (of a role that this job may not log in as, say) is said, and raised no
        further: it must not keep the others alive."""
        try:
            return self.end(leftover)
        except StepcredsError as error:
            return self.failed(leftover, error)

    def failed(self, leftover: Leftover, error: StepcredsError) -> bool:
        """Say why nothing could be done about it; whether that is all right. A token alone ends by itself soon."""
        if leftover.is_token:
            self.around.voice.warn(
                f"the Vault token {leftover.holding.accessor} (accessor), which was given nothing, could not be "
                f"revoked: {error.what}"
            )
            return True
        self.around.voice.fail(error)
        self.unproven(leftover, NOTHING_DONE)
        return False

    def end(self, leftover: Leftover) -> bool:
        """Revoke, prove, record; whether it is proven dead."""
        holding, profile = leftover.holding, leftover.profile
        vault = Vault(self.around.config.vault, self.around.clock, step_uid=self.around.step_uid)
        own = Holding(new_uid(), profile.name, Secret(""), "")  # this login's token, which may not outlive us either
        try:
            with self.worker.cancellation.interruptible():
                login = log_in(self.around, self.identity(), profile, vault)
                self.worker.hold(own._replace(token=login.token, accessor=login.accessor))
            if (leftover.is_token or leftover.said_dead) and self.is_dead(leftover, vault):
                if (
                    leftover.said_dead and holding.lease_id
                ):  # a step that was killed between its last record and its last call still has it
                    self.revoke_token(leftover, vault)
                return True
            revocation = self.revoke(holding, vault)
            ending = Ending(NO_LOCK, revocation, self.prove(leftover, vault))
            if revocation.method != "accessor":
                self.revoke_token(leftover, vault)
            on_record = self.is_recorded(leftover, ending, vault)
        finally:
            self.give_back(vault, own)
        if not ending.proof.proven:
            self.unproven(leftover, ending)
            return False
        self.around.voice.say(words.ended(holding, ending, None))
        if leftover.said_dead:
            self.around.voice.fail(words.was_said_dead(holding))
        return on_record and not leftover.said_dead

    def is_dead(self, leftover: Leftover, vault: Vault) -> bool:
        """Whether Vault bears out what the ledger says; a token without a lease is made so. Raises `VaultError`."""
        holding = leftover.holding
        if holding.lease_id:
            return not vault.lookup_lease(holding.lease_id).alive
        vault.revoke_accessor(holding.accessor)
        return True

    def unproven(self, leftover: Leftover, ending: Ending) -> None:
        """Say so: as a failure, or as the warning that somebody has decided it to be."""
        error = words.unproven(leftover.holding, ending, job_is_over=self.task.job_is_over)
        rule = self.task.without_proof
        if rule == "warn" or (rule == "profile" and leftover.profile.on_revoke_failure == "warn"):
            self.tolerated += 1
            self.around.voice.warn("\n".join(text for text in (error.what, error.cause, error.fix) if text))
        else:
            self.around.voice.fail(error)

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

    def revoke_token(self, leftover: Leftover, vault: Vault) -> None:
        """End the token that asked for it, too: it has nothing left to give, and may be one that lives for hours."""
        accessor = leftover.holding.accessor
        if not accessor:
            return
        try:
            vault.revoke_accessor(accessor)
        except VaultError as error:
            self.around.voice.warn(f"the Vault token {accessor} (accessor) could not be revoked: {error.what}")
            self.journal(leftover).append(
                record.token_revoke_failed(
                    leftover.step_uid,
                    leftover.holding.credential_uid,
                    token_accessor=accessor,
                    detail=error.what,
                    expire_time=None,
                )
            )

    def is_recorded(self, leftover: Leftover, ending: Ending, vault: Vault) -> bool:
        """Put the end on record, and have that signed. What has been done is said all the same where that fails."""
        failure: StepcredsError | None
        try:
            failure = self.record(leftover, ending, vault)
        except LedgerError as error:
            failure = error
        if failure is not None:
            self.around.voice.fail(failure)
        return failure is None

    def record(self, leftover: Leftover, ending: Ending, vault: Vault) -> StepcredsError | None:
        """Raises `LedgerError` where it is not on record; returns why it is not signed."""
        journal = self.journal(leftover)
        # A step whose front left it may have ended it meanwhile; but where the ledger said so before, that was not so.
        append = journal.append if leftover.said_dead else journal.append_end
        entry = append(
            record.closed(
                leftover.step_uid,
                leftover.holding.credential_uid,
                profile=leftover.profile.name,
                step_name=self.around.step_name,
                command=None,
                outcome=None,
                measurement=leftover.holding.measurement,
                ending=ending,
                expire_time=leftover.holding.expire_time or None,
                on_record=leftover.privileges if leftover.privileges.get("granted") is not None else None,
            )
        )
        seq = entry["seq"]
        recorded = ending._replace(seq=seq if isinstance(seq, int) else None)
        holding, profile = leftover.holding, leftover.profile
        # What is handed out lasts longer than the profile's `ttl`.
        lasted = holding.expire_time - holding.issue_time if 0 < holding.expire_time < math.inf else profile.ttl
        self.ended.append(Ended(profile._replace(ttl=lasted), holding, recorded, journal.path))
        return checkpoint(self.around, journal, vault, entry, patience=SIGNING)

    def journal(self, leftover: Leftover) -> Journal:
        return Journal.at(leftover.file, clock=self.around.clock) if leftover.file is not None else self.step().journal

    def give_back(self, vault: Vault, own: Holding) -> None:
        try:
            if vault.has_token:
                vault.revoke_self()
        except VaultError as error:
            self.around.voice.warn(f"this login's Vault token could not be revoked: {error.what}")
        vault.close()
        self.worker.release(own.credential_uid)
