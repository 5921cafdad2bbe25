"""The life of one step's credentials, in order: the only module that knows the order."""

from __future__ import annotations

import os

from stepcreds.databases import engine_for
from stepcreds.deliver import Parent, check_names, deliver, needs_folder
from stepcreds.deliver.files import make_folder, remove_folder, write_files
from stepcreds.errors import ProcessError, StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, LEAKED, NOT_PROVEN, OUTPUT_LOST
from stepcreds.model import Delivery, Holding, Identity, Outcome
from stepcreds.process.cancel import Cancelled
from stepcreds.process.command import run_command
from stepcreds.process.pair import Worker
from stepcreds.redact import Redactor
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.begin import begin, identify
from stepcreds.session.finish import finish
from stepcreds.session.guard import Guard
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
        self.folder = ""  # the private one; "" where none is needed

    def live(self) -> int:
        """Identity, then every credential; the command; then every end, the last credential first."""
        step: Step | None = None
        failure: StepcredsError | None = None
        code = BEFORE_THE_COMMAND
        try:
            self.prepare()
            with self.worker.cancellation.interruptible():
                identity = identify(self.around, self.request.id_token_file)
            parent = self.parent(identity)
            step = self.begin(identity, parent)
            self.make_folder()
            for profile in self.request.profiles:
                self.credentials.append(acquire(step, profile))
            with self.worker.cancellation.interruptible():
                for credential in self.credentials:
                    self.remains.remember(credential)
            code = self.hand_over(parent)
        except Cancelled as cancelled:
            failure = words.cancelled(cancelled.signal_name)
        except ProcessError as error:
            code, failure = error.code, error
        except StepcredsError as error:
            failure = error
        left = self.remove_folder()
        if step is None:
            self.tell(left, failure)
            return code
        self.worker.ending()
        proven = [self.end(step, credential) for credential in reversed(self.credentials)]
        self.tell(left, failure)
        self.look_back(step)
        return code if all(proven) or self.outcome is None else NOT_PROVEN

    def prepare(self) -> None:
        """What can fail without a credential is to fail before there is one."""
        check_names(self.request.profiles)
        for profile in self.request.profiles:
            engine = engine_for(profile.database, self.around.clock)
            if engine is not None and profile.database is not None:
                engine.prepare(profile.database)

    def parent(self, identity: Identity) -> Parent:
        around = self.around
        variable = (identity.variable,) if identity.variable else ()
        return Parent(
            around.environment,
            self.request.inherit,
            (*around.ci.identity_variables, *variable),
            identity.token,
            str(identity.claims.get("iss") or ""),
        )

    def begin(self, identity: Identity, parent: Parent) -> Step:
        inherited = parent.credentials(self.request.profiles)
        if inherited:
            self.around.voice.warn(
                f"the command also inherits what looks like other credentials: {', '.join(inherited)}. "
                "Take them out of the job's environment, or run with --inherit clean"
            )
        return begin(
            self.around,
            identity,
            self.worker,
            argv=self.request.recorded,
            delivery="exec",
            inherited=inherited,
            reason=self.request.reason,
        )

    def make_folder(self) -> None:
        """Where files are asked for, the private folder: a machine that has no place for it is to get no credential."""
        if needs_folder(self.request.profiles):
            self.folder = make_folder(self.around.environment, self.worker.keep_folder)

    def hand_over(self, parent: Parent) -> int:
        """To one process tree, in its environment and its private folder, renewed as long as it runs; its exit code."""
        delivery = deliver([credential.grant for credential in self.credentials], parent, self.folder)
        write_files(self.folder, delivery.files)
        is_masked = self.around.voice.mask(self.around.ci.mask(delivery.secrets)) and self.around.ci.masks
        return self.run_command(delivery, is_masked)

    def run_command(self, delivery: Delivery, is_masked: bool) -> int:
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
        self.outcome = outcome
        clean = self.guard.clean(self.holdings())
        for text in words.remarks(outcome):
            around.voice.warn(text)
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
        """What went wrong before the end, said when all is dead: a log that nobody reads keeps nothing alive."""
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

        ending = finish(step, profile, credential.vault, holding, self.outcome, when_locked=look_again)
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
            self.remains.tell(step.journal, on_record=all(each.ending.recorded for each in self.ended))
        if self.request.summary:
            summarise(self.around, [*self.ended[::-1], *step.refused], self.guard.leaks, self.remains.found)

    def fail(self, error: StepcredsError) -> None:
        self.around.voice.fail(error)
