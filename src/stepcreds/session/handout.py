"""Hands credentials to the later steps of a job, as outputs: held like any other until they are, and by nobody then.

Killed or cancelled at any moment before the last line of it, both halves of the pair know the credential, and end it:
also when the outputs are written, because a job whose step failed has no use for them. Afterwards the ledger and the
runner's memory of this step know what is left to end.
"""

from __future__ import annotations

import os

from stepcreds.deliver.outputs import Outputs, outputs_of
from stepcreds.errors import DeliveryError, LedgerError, StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND
from stepcreds.ledger.reading import read_chain
from stepcreds.model import Ending, Proof, Revocation
from stepcreds.process.cancel import Cancelled
from stepcreds.process.pair import Worker
from stepcreds.revoke import NO_LOCK
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.begin import begin, identify
from stepcreds.session.finish import finish
from stepcreds.session.handed_out import leave_note
from stepcreds.session.request import Request
from stepcreds.session.step import Credential, Ended, Step, Surroundings
from stepcreds.session.summary import summarise

WARNING = (
    "as an output the credential lives on when this step ends, and any later step of the job can name it. A step with "
    "run: has it for its own process tree alone, and proves it dead before the next one begins; so does "
    "`shell: stepcreds exec …`"
)
# What is known of the end of a credential that has been handed out.
ALIVE = Ending(
    NO_LOCK,
    Revocation("none", "failed", None, "it is handed out"),
    Proof("not_checked", "not_checked", "not_checked", "none", None),
)


def hand_out(request: Request, around: Surroundings, worker: Worker) -> int:
    """The Action with `outputs: true`: 0 when the credentials are handed out, 125 when they are not, and dead.

    What goes wrong is said through `around.voice`.
    """
    return _HandOut(request, around, worker).run()


class _HandOut:
    """What the worker does between the fork and its exit."""

    def __init__(self, request: Request, around: Surroundings, worker: Worker) -> None:
        self.request = request
        self.around = around
        self.worker = worker
        self.file = around.ci.outputs_file(around.environment)
        self.credentials: list[Credential] = []

    def run(self) -> int:
        step: Step | None = None
        try:
            self.prepare()
            with self.worker.cancellation.interruptible():
                identity = identify(self.around, self.request.id_token_file)
            step = begin(self.around, identity, self.worker, argv=None, delivery="outputs", reason=self.request.reason)
            for profile in self.request.profiles:
                self.credentials.append(acquire(step, profile, lasting=True))
            self.hand_over()
            self.summarise(step)
            self.let_go()
            return 0
        except Cancelled as cancelled:
            self.around.voice.fail(words.cancelled(cancelled.signal_name))
        except StepcredsError as error:
            self.around.voice.fail(error)
        if step is not None:
            for credential in reversed(self.credentials):
                self.end(step, credential)
            if self.request.summary:
                summarise(self.around, step.refused)
        return BEFORE_THE_COMMAND

    def prepare(self) -> None:
        """What can fail without a credential is to fail before there is one."""
        if not self.file:
            raise DeliveryError(
                f"{self.around.ci.title or 'This CI'} hands no outputs to later steps here",
                cause="GITHUB_OUTPUT is not set, which a runner sets for every step.",
                docs="outputs",
            )
        for profile in self.request.profiles:
            if profile.revocation == "none":
                raise DeliveryError(
                    f"The credential of profile {profile.name} cannot be handed out: nothing could end it",
                    cause=f"The profile says revocation: none, because {profile.creds} gives no lease.",
                    fix="Use it with run:, or read the secret without stepcreds.",
                    docs="outputs",
                )
        try:
            leave_note(self.around.environment, self.around.step_uid, self.file)
        except OSError as error:
            raise DeliveryError(
                f"The note for later steps cannot be written to RUNNER_TEMP: {error.strerror}",
                cause="The folder is the runner's own.",
                fix="Check its permissions, and the space on its disk.",
                docs="outputs",
            ) from None

    def hand_over(self) -> None:
        """Mask, then write. Raises `DeliveryError`, `Cancelled`."""
        around, cancellation = self.around, self.worker.cancellation
        outputs = outputs_of([(each.grant, each.holding.expire_time) for each in self.credentials])
        if not (around.ci.masks and around.voice.mask(around.ci.mask(outputs.secrets))):
            raise DeliveryError(
                "The CI's runner cannot be told to mask these values, so they are not handed out",
                cause="What stepcreds prints does not reach the runner: something redirects it to a file or a pipe.",
                fix="Use the Action itself (uses: stepcreds/stepcreds), whose output goes to the runner alone.",
                docs="outputs",
            )
        for credential in self.credentials:
            around.voice.say(words.handed_out(credential.grant, credential.holding))
        around.voice.warn(WARNING)
        with cancellation.interruptible():
            self.write(outputs)

    def let_go(self) -> None:
        """From here on it is the later steps' to use, and to end. Raises `Cancelled` where the step has failed by now.

        The front is told nothing of it: it knows what is held until the worker has said goodbye.
        """
        with self.worker.cancellation.interruptible():  # a front that is gone has asked for it
            for credential in self.credentials:
                credential.vault.close()

    def write(self, outputs: Outputs) -> None:
        """All of the outputs, or none. Raises `DeliveryError`."""
        text = "".join(self.around.ci.output(name, value.reveal()) for name, value in outputs.values)
        data = text.encode("utf-8", "surrogateescape")
        try:
            fd = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                before = os.fstat(fd).st_size
                if os.write(fd, data) != len(data):
                    os.ftruncate(fd, before)
                    raise OSError(28, "the disk is full")
            finally:
                os.close(fd)
        except OSError as error:
            raise DeliveryError(
                f"The outputs cannot be written to the runner's file (GITHUB_OUTPUT): {error.strerror}",
                cause="The file is the runner's own.",
                fix="Check the space on its disk.",
                docs="outputs",
            ) from None

    def summarise(self, step: Step) -> None:
        """The table on the page of the run says until when it lives: there is no proof of death yet."""
        if not self.request.summary:
            return
        try:
            on_record = {view.credential_uid: view.issued for view in read_chain(step.journal.path).credentials}
        except LedgerError:
            on_record = {}
        rows = []
        for credential in self.credentials:
            profile, holding = credential.profile, credential.holding
            seq = on_record.get(holding.credential_uid, {}).get("seq")
            alive = ALIVE._replace(seq=seq if isinstance(seq, int) else None)
            rows.append(Ended(profile._replace(ttl=profile.max_ttl), holding, alive, step.journal.path))
        summarise(self.around, rows)

    def end(self, step: Step, credential: Credential) -> None:
        ending = finish(step, credential.profile, credential.vault, credential.holding, None)
        if ending.proof.proven:
            self.around.voice.say(words.ended(credential.holding, ending, None))
        else:
            self.around.voice.fail(words.unproven(credential.holding, ending))
