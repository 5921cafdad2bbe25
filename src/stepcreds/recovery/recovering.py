"""One recovery: what is left, an identity if there is any need of one, every end, and the closing of the chain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from stepcreds.errors import CancelledError, StepcredsError
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.reading import ChainView, CredentialView, chains_of, unclosed
from stepcreds.model import Identity, Job
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker, run_pair
from stepcreds.recovery.ending import NOTHING_DONE, Endings
from stepcreds.recovery.leftover import Leftover, find
from stepcreds.recovery.task import Report, Task
from stepcreds.session.begin import begin, identify
from stepcreds.session.departure import depart
from stepcreds.session.step import Step, Surroundings
from stepcreds.session.summary import summarise
from stepcreds.session.takeover import take_over

FINDING = 1


def exit_code(report: Report) -> int:
    """0 when all of it is proven dead (or there was nothing), 1 when something is not, 2 for wrong usage."""
    return 0 if report.proven else report.failure or FINDING


def run(task: Task, around: Surroundings, conclude: Callable[[Report], int] = exit_code) -> int:
    """`recover` in a pair of processes of its own; the code to exit with, which `conclude` makes of the report."""

    def work(worker: Worker) -> int:
        if task.job_is_over:
            worker.cancellation.disregard_signals()  # a runner in a hurry has SIGKILL
        return conclude(recover(task, around, worker))

    # At the end of a job nobody would go on in the background.
    leave = None if task.job_is_over else partial(depart, around=around, is_step=False)
    return run_pair(work, partial(take_over, around=around, argv=None), leave=leave)


def recover(task: Task, around: Surroundings, worker: Worker) -> Report:
    """End what is left. Raises nothing that is foreseen: what failed has been said."""
    recovery = _Recovery(task, around, worker)
    failure = FINDING
    try:
        return recovery.run()
    except Cancelled as error:
        around.voice.fail(
            CancelledError(f"Ended by {error.signal_name} before everything was revoked", docs="cancelled")
        )
    except StepcredsError as error:
        failure = error.exit_code
        around.voice.fail(error)
    return recovery.failed(failure)


class _Recovery:
    """What the worker does; `job` is as good as is known until there is an identity."""

    def __init__(self, task: Task, around: Surroundings, worker: Worker) -> None:
        self.task = task
        self.around = around
        self.worker = worker
        self.job: Job = around.ci.job({}, around.environment)
        self.by_environment = around.ci.names_its_job and bool(self.job.run_id and self.job.job)
        self.opened: Step | None = None
        self.known: Identity | None = None
        self.endings = Endings(task, around, worker, self.identity, self.step)
        self.complete = True  # whether every chain could be read and closed, and every witness is dead

    def run(self) -> Report:
        if not self.by_environment:
            self.identity()
        left = self.left()
        if not left and self.complete and self.task.speaks:
            self.around.voice.say(self.nothing())
        with self.around.voice.folded("stepcreds: what steps left"):
            try:
                proven = self.attempt(left)
            finally:
                # Before the chain is closed: their ends belong into it.
                self.complete &= self.endings.witnesses.dismiss()
        if self.task.summary:
            summarise(self.around, self.endings.ended, whose="earlier steps")
        clean = all(proven) and self.complete
        closed = self.close() if self.task.close and clean else ()
        clean &= self.complete
        failures = proven.count(False) - self.endings.tolerated
        return Report(
            len(left),
            clean,
            clean or (self.complete and failures <= 0),
            tuple(chain.file for chain in self.chains()),
            closed,
            frozenset(credential.step_uid for credential in self.still_open()),
        )

    def failed(self, failure: int) -> Report:
        """The report of a recovery that did not get to its end."""
        try:
            return Report(0, False, False, tuple(chain.file for chain in self.chains()), failure=failure)
        except StepcredsError:
            return Report(0, False, False, failure=failure)

    def nothing(self) -> str:
        what = "is handed out in this job" if self.task.handed_out else "is open in this ledger"
        return f"nothing to revoke: no credential {what}"

    def left(self) -> list[Leftover]:
        config, by_environment = self.around.config, self.by_environment
        left, errors = find(
            self.task, config.ledger, config.profiles, self.job, self.around.step_uid, by_environment=by_environment
        )
        for error in errors:
            self.complete = False
            self.around.voice.fail(error)
        return left

    def attempt(self, left: list[Leftover]) -> list[bool]:
        """Of each whether it is proven dead. Without an identity nothing can be done but to name it."""
        try:
            if left:
                self.identity()
        except StepcredsError as error:
            credentials = [leftover for leftover in left if not leftover.is_token]
            if credentials:
                self.around.voice.fail(error)
            for leftover in credentials:
                self.endings.unproven(leftover, NOTHING_DONE)
            return [False for _ in credentials]
        return [self.endings.attempt(leftover) for leftover in left]

    def identity(self) -> Identity:
        if self.known is None:
            with self.worker.cancellation.interruptible():
                self.known = identify(self.around, self.task.id_token_file)
            if not self.by_environment:
                self.job = self.around.ci.job(self.known.claims, self.around.environment)
        return self.known

    def step(self) -> Step:
        if self.opened is None:
            self.opened = begin(self.around, self.identity(), self.worker, delivery="witness")
        return self.opened

    def chains(self) -> list[ChainView]:
        """Those of this job alone."""
        return chains_of(self.around.config.ledger, self.job, by_environment=self.by_environment)[0]

    def still_open(self) -> list[CredentialView]:
        settings = self.around.config.ledger
        return unclosed(settings, self.job, by_environment=self.by_environment)[0]

    def close(self) -> tuple[Path, ...]:
        files = tuple(chain.file for chain in self.chains() if not chain.closed)
        for file in files:
            Journal.at(file, clock=self.around.clock).close(self.around.step_uid)
        return files
