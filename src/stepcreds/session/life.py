"""The life of one step's credentials, in order: the only module that knows the order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stepcreds.deliver import Parent, deliver, needs_folder
from stepcreds.deliver.files import make_folder, remove_folder, write_files
from stepcreds.errors import ProcessError, StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, LEAKED, NOT_PROVEN, OUTPUT_LOST
from stepcreds.ledger.record import Event
from stepcreds.model import Delivery, Ending, Holding, Outcome
from stepcreds.process.cancel import Cancelled
from stepcreds.process.command import run_command
from stepcreds.process.pair import Worker
from stepcreds.redact import Redactor
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.begin import identify
from stepcreds.session.finish import finish
from stepcreds.session.guard import Guard
from stepcreds.session.preparation import begin_step, parent_of, prepare
from stepcreds.session.remains import Remains
from stepcreds.session.renewal import Renewal
from stepcreds.session.request import Request
from stepcreds.session.step import Credential, Ended, Step, Surroundings
from stepcreds.session.summary import summarise


def live(request: Request, around: Surroundings, worker: Worker) -> int:
    """`stepcreds exec`: the command with its credentials, which are dead when this returns; the code to exit with.

    What goes wrong is said through `around.voice`, by whichever half of the pair is left to say it.
    """
    return _Life(request, around, worker).live()


class _Life:
    """What the worker does between the fork and its exit."""

    def __init__(self, request: Request, around: Surroundings, worker: Worker) -> None:
        self.request = request
        self.around = around
        self.worker = worker
        self.credentials: list[Credential] = []
        self.outcome: Outcome | None = None
        self.guard = Guard(around)
        self.remains = Remains(around)
        self.ended: list[Ended] = []
        self.folder = ""  # the private one; "" where none is needed

    def live(self) -> int:
        """Identity, then every credential; the command; then every end, the last credential first."""
        step: Step | None = None
        failure: StepcredsError | None = None
        code = BEFORE_THE_COMMAND
        try:
            prepare(self.request, self.around)
            with self.worker.cancellation.interruptible():
                identity = identify(self.around, self.request.id_token_file)
            parent = parent_of(identity, self.request, self.around)
            step = begin_step(identity, parent, self.request, self.around, self.worker)
            self.make_folder()
            for profile in self.request.profiles:
                self.credentials.append(acquire(step, profile))
            with self.worker.cancellation.interruptible():
                for credential in self.credentials:
                    self.remains.remember(credential)
            self.outcome = self.hand_over(parent)
        except Cancelled as cancelled:
            failure = words.cancelled(cancelled.signal_name)
        except ProcessError as error:
            code, failure = error.code, error
        except StepcredsError as error:
            failure = error
        with self.said_afterwards():
            if self.outcome is not None:
                code = self.judge(self.outcome)
            left = self.remove_folder()
            proven = self.end_all(step) if step is not None else True
            code = code if proven or self.outcome is None else NOT_PROVEN
            self.worker.ending(code)
            self.tell(left, failure)
        if step is not None:
            self.look_back(step)
        return code

    @contextmanager
    def said_afterwards(self) -> Iterator[None]:
        """What is said meanwhile is said when all is dead: a log that nobody reads keeps nothing alive."""
        voice = self.around.voice
        with voice.held():
            try:
                yield
            except BaseException:
                voice.hurry()  # what is still held is the other half's
                raise
            if self.worker.cancellation.signal:
                voice.hurry()

    def end_all(self, step: Step) -> bool:
        """Every end, the last credential first; whether the step may be called a success."""
        self.worker.ending()
        proven = [self.end(step, credential) for credential in reversed(self.credentials)]
        return all(proven)

    def make_folder(self) -> None:
        """Where files are asked for, the private folder: a machine that has no place for it is to get no credential."""
        if needs_folder(self.request.profiles):
            self.folder = make_folder(self.around.environment, self.worker.keep_folder)

    def hand_over(self, parent: Parent) -> Outcome:
        """To one process tree, in its environment and its private folder, renewed as long as it runs."""
        delivery = deliver([credential.grant for credential in self.credentials], parent, self.folder)
        write_files(self.folder, delivery.files)
        is_masked = self.around.voice.mask(self.around.ci.mask(delivery.secrets)) and self.around.ci.masks
        return self.run_command(delivery, is_masked)

    def run_command(self, delivery: Delivery, is_masked: bool) -> Outcome:
        around, request = self.around, self.request
        for credential in self.credentials:
            around.voice.say(words.handed_over(credential.grant, credential.holding))
        with Renewal(self.credentials, keeper=self.worker, clock=around.clock, voice=around.voice) as renewal:
            outcome = run_command(
                request.argv,
                delivery.environment,
                max_ttl=min(credential.profile.max_ttl for credential in self.credentials),
                grace=request.grace,
                redact=Redactor(delivery.secrets) if self.redacts(is_masked) else None,
                worker=self.worker,
                clock=around.clock,
            )
        self.credentials = renewal.settled()
        if outcome.reason == "not_started":
            raise Cancelled(outcome.cancelled_by)
        return outcome

    def judge(self, outcome: Outcome) -> int:
        """The exit code, if every credential is proven dead."""
        clean = self.guard.clean(self.holdings())
        for text in words.remarks(outcome):
            self.around.voice.warn(text)
        # Without redaction the command would have met the full disk itself.
        code = OUTPUT_LOST if outcome.output_lost and outcome.exit_code == 0 else outcome.exit_code
        return code if clean else code or LEAKED

    def holdings(self) -> list[Holding]:
        return [credential.holding for credential in self.credentials]

    def redacts(self, is_masked: bool) -> bool:
        if self.request.redact is not None:
            return self.request.redact
        return not is_masked and not os.isatty(1)

    def remove_folder(self) -> list[str]:
        """What of the private folder could not be removed."""
        left = remove_folder(self.folder) if self.folder else []
        if self.folder and not left:
            self.worker.forget_folder(self.folder)
        return left

    def tell(self, left: list[str], failure: StepcredsError | None) -> None:
        """What went wrong before the end."""
        if left:
            self.around.voice.warn(f"files of the step could not be removed: {', '.join(left[:3])}")
        if failure is not None:
            self.fail(failure)

    def end(self, step: Step, credential: Credential) -> bool:
        """Whether the step may be called a success as far as this credential goes."""
        holding, profile = credential.holding, credential.profile

        def look_again(password: Secret) -> None:
            if self.outcome is not None:
                self.remains.compare(credential, password, cancelled=bool(self.worker.cancellation.signal))

        def found(ending: Ending) -> list[Event]:
            if self.outcome is None:
                return []
            self.remains.missed(credential, ending.lock.detail)
            uid = holding.credential_uid
            return [*self.remains.events(uid), *self.guard.events(uid)]

        ending = finish(
            step,
            profile,
            credential.vault,
            holding,
            self.outcome,
            when_locked=look_again,
            beside=found,
            usage=self.remains.usage(credential) if self.outcome is not None else None,
        )
        self.ended.append(Ended(profile, holding, ending, step.journal.path))
        if tampering := words.tampering(holding, ending):
            self.around.voice.warn(tampering)
        if ending.proof.proven or profile.revocation == "none":
            self.around.voice.say(words.ended(holding, ending, self.outcome))
            return ending.recorded
        self.fail(words.unproven(holding, ending))
        return ending.recorded and profile.on_revoke_failure == "warn"

    def look_back(self, step: Step) -> None:
        """Once the credentials are dead: where the command left them, and the table on the page of the run."""
        if self.outcome is not None:
            if self.request.leak_scan:
                self.guard.look(self.holdings(), self.outcome.start, self.worker.cancellation)
            self.guard.record(step.journal)
            self.remains.tell()
        # The runner reads the page as soon as the front has ended, which has put on it what there was to say.
        if self.request.summary and not self.worker.front_gone:
            summarise(self.around, [*self.ended[::-1], *step.refused], self.guard.leaks, self.remains.found)

    def fail(self, error: StepcredsError) -> None:
        self.around.voice.fail(error)
