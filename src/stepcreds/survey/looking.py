"""Issues the credential of each profile as a step would, looks at it instead of handing it over, and ends it.

It is recorded, locked, revoked and proven dead by the session's own functions, also when this is interrupted or killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stepcreds.config.model import Profile
from stepcreds.databases import engine_for
from stepcreds.errors import CancelledError, StepcredsError, UnmeasuredError
from stepcreds.ledger.credential import verdict
from stepcreds.model import Ending, Holding
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.begin import begin, identify
from stepcreds.session.departure import depart
from stepcreds.session.finish import finish
from stepcreds.session.step import Credential, Step, Surroundings
from stepcreds.session.takeover import take_over
from stepcreds.survey import vault_side
from stepcreds.survey.asking import Asking, Job
from stepcreds.survey.measuring import measure, unmeasurable, without_way_out
from stepcreds.survey.result import Ended, Survey, TokenLook

DELIVERY = "scope"  # how the ledger names what is handed to nobody


class Order(NamedTuple):
    """What is to be looked at, and how."""

    profiles: tuple[Profile, ...]
    everywhere: bool = False  # at every database that lets the credential in
    id_token_file: Path | None = None
    operator: Secret | None = None  # a Vault token that may read what the job's own may not

    def __repr__(self) -> str:
        return f"Order({[profile.name for profile in self.profiles]!r})"


def look(
    order: Order,
    around: Surroundings,
    progress: Callable[[Profile], None],
    conclude: Callable[[Sequence[Survey], bool], int],
    refuse: Callable[[StepcredsError], None],
) -> int:
    """Look at each profile in turn; what `conclude` makes of it, in the worker, is the code to exit with.

    `conclude` is told whether every profile was looked at: an interruption leaves some out. `refuse` is told instead
    why nothing could be looked at: no identity, no ledger. Raises `StepcredsError` where no step could run at all.
    """
    return run_pair(
        lambda worker: _Looks(order, around, worker, progress).run(conclude, refuse),
        partial(take_over, around=around, argv=None),
        leave=partial(depart, around=around, is_step=False),
        clock=around.clock,
    )


class _Looks:
    """What the worker does."""

    def __init__(self, order: Order, around: Surroundings, worker: Worker, progress: Callable[[Profile], None]) -> None:
        self.order = order
        self.around = around
        self.worker = worker
        self.progress = progress
        config, token = around.config, order.operator
        self.operator = Asking(config.vault, token, around.clock) if token is not None else None

    def run(self, conclude: Callable[[Sequence[Survey], bool], int], refuse: Callable[[StepcredsError], None]) -> int:
        surveys: list[Survey] = []
        try:
            with self.worker.cancellation.interruptible():
                identity = identify(self.around, self.order.id_token_file)
            step = begin(self.around, identity, self.worker, delivery=DELIVERY)
            for profile in self.order.profiles:
                self.progress(profile)
                surveys.append(self.one(step, profile))
        except Cancelled as cancelled:
            which = "every profile" if len(self.order.profiles) > 1 else "the profile"
            what = f"Ended by {cancelled.signal_name} before {which} was looked at"
            self.around.voice.fail(CancelledError(what, docs="cancelled"))
        except StepcredsError as error:
            self.around.voice.fail(error)
            refuse(error)
            return error.exit_code
        finally:
            if self.operator is not None:
                self.operator.close()
        return conclude(surveys, len(surveys) == len(self.order.profiles))

    def one(self, step: Step, profile: Profile) -> Survey:
        """One profile; what is wrong with it is in the survey, and keeps nobody from looking at the others."""
        clock = self.around.clock
        if reason := unmeasurable(profile, clock):
            error = without_way_out(UnmeasuredError.of(profile.name, f"{reason}, and nothing was issued"))
            return Survey(profile, None, clock.now(), error=error)
        try:
            self.prepare(profile)
            # Looked at below, whatever the profile says: that is what was asked for.
            credential = acquire(step, profile._replace(measure="off"))
        except StepcredsError as error:
            return Survey(profile, None, clock.now(), error=error)
        holding = credential.holding
        survey = Survey(profile, None, clock.now(), user=holding.username)
        try:
            survey, holding = self.width(survey, holding)
            survey = survey._replace(token=self.token(step, credential))
        finally:  # an interruption goes on once the credential is dead
            ending = finish(step, profile, credential.vault, holding, None)
            if tampering := words.tampering(holding, ending):
                self.around.voice.warn(tampering)
            if not ending.proof.proven:
                self.around.voice.fail(words.unproven(holding, ending))
        return survey._replace(ended=_ended(ending, holding))

    def prepare(self, profile: Profile) -> None:
        """What would keep the database from being asked (a driver, a certificate) is to fail before a credential is."""
        engine = engine_for(profile.database, self.around.clock)
        if engine is not None and profile.database is not None:
            engine.prepare(profile.database)

    def width(self, survey: Survey, holding: Holding) -> tuple[Survey, Holding]:
        try:
            with self.worker.cancellation.interruptible():
                measured = measure(
                    survey.profile,
                    holding.username,
                    holding.password,
                    self.around.clock,
                    everywhere=self.order.everywhere,
                )
        except StepcredsError as error:
            return survey._replace(error=without_way_out(error)), holding
        holding = holding._replace(measurement=measured)
        self.worker.hold(holding)
        return survey._replace(measured=measured), holding

    def token(self, step: Step, credential: Credential) -> TokenLook:
        holding = credential.holding
        own = self.around.operator_token is None
        claims = step.identity.claims
        repository_id = self.around.ci.job(claims, self.around.environment).repository_id
        job = Job(holding.token, holding.accessor, credential.policies, claims, own, repository_id)
        with self.worker.cancellation.interruptible():
            return vault_side.look(job, credential.profile, self.around.config, self.around.clock, self.operator)


def _ended(ending: Ending, holding: Holding) -> Ended:
    return Ended(
        ending.proof.proven,
        verdict(ending, holding.expire_time or None),
        ending.proof.method,
        ending.lock.status,
        ending.revocation.status,
        "; ".join(filter(None, (ending.lock.detail, ending.revocation.detail, ending.proof.detail))),
    )
