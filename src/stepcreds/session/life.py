"""The life of one step's credentials, in order: the only module that knows the order."""

from __future__ import annotations

from functools import partial

from stepcreds.databases import engine_for
from stepcreds.deliver import check_names, deliver, inherited_names
from stepcreds.deliver.files import PrivateFolder
from stepcreds.errors import CancelledError, LedgerError, ProcessError, StepcredsError
from stepcreds.identity import claims_for_ledger, obtain
from stepcreds.ledger.journal import Journal
from stepcreds.model import Delivery, Ending, Identity, Outcome
from stepcreds.process.cancel import Cancelled
from stepcreds.process.command import run_command
from stepcreds.process.pair import Worker, run_pair
from stepcreds.process.redact import Redactor
from stepcreds.secret import Secret
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.finish import finish
from stepcreds.session.renewal import Renewal
from stepcreds.session.step import Credential, Request, Step, Surroundings
from stepcreds.session.takeover import take_over

BEFORE_THE_COMMAND = 125
NOT_PROVEN = 121


def run(request: Request, around: Surroundings) -> int:
    """`stepcreds exec`: the command with its credentials, which are dead when this returns; the code to exit with.

    Raises `StepcredsError` for what can be known before there is anything to end. What goes wrong later is said through
    `around.voice`, by whichever half of the pair is left to say it.
    """
    check_names(request.profiles)
    for profile in request.profiles:
        engine = engine_for(profile.database, around.clock)
        if engine is not None and profile.database is not None:
            engine.prepare(profile.database)
    return run_pair(
        lambda worker: _Life(request, around, worker).live(), partial(take_over, around=around, argv=request.argv)
    )


class _Life:
    """What the worker does between the fork and its exit."""

    def __init__(self, request: Request, around: Surroundings, worker: Worker) -> None:
        self.request = request
        self.around = around
        self.worker = worker
        self.credentials: list[Credential] = []
        self.outcome: Outcome | None = None

    def live(self) -> int:
        code = BEFORE_THE_COMMAND
        try:
            step = self.begin()
            for profile in self.request.profiles:
                self.credentials.append(acquire(step, profile))
            self.outcome = self.hand_over(step)
            code = self.outcome.exit_code
        except Cancelled as cancelled:
            self.around.voice.fail(_cancelled(cancelled))
        except ProcessError as error:
            code = error.code
            self.outcome = _not_started(code, self.around.clock.now())
            self.around.voice.fail(error)
        except StepcredsError as error:
            self.around.voice.fail(error)
        proven = [self.end(step, credential) for credential in reversed(self.credentials)]
        return code if all(proven) or self.outcome is None else NOT_PROVEN

    def begin(self) -> Step:
        around, request = self.around, self.request
        with self.worker.cancellation.interruptible():
            identity = self.identify()
        job = around.ci.job(identity.claims, around.environment)
        journal = Journal.open(
            around.config.ledger,
            job,
            step_uid=around.step_uid,
            claims=claims_for_ledger(identity.claims),
            vault_addr=around.config.vault.addresses[0],
            clock=around.clock,
        )
        return Step(
            around,
            journal,
            self.worker,
            request.argv,
            identity=identity,
            reason=request.reason,
            inherited=inherited_names(request, around.environment),
        )

    def identify(self) -> Identity:
        around = self.around
        if around.operator_token is not None:
            return Identity(Secret(""), {}, "the operator's own Vault token")
        return obtain(
            around.config.vault,
            around.environment,
            clock=around.clock,
            ci=around.ci,
            id_token_file=self.request.id_token_file,
        )

    def hand_over(self, step: Step) -> Outcome:
        """To one process tree, through its environment and its private folder; renewed as long as it runs."""
        with PrivateFolder(self.worker) as folder:
            delivery = deliver()
            folder.write(delivery.files)
            self.announce(delivery)
            with Renewal(
                self.credentials, keeper=self.worker, clock=self.around.clock, voice=self.around.voice
            ) as renewal:
                outcome = run_command(
                    self.request.argv,
                    delivery.environment,
                    max_ttl=min(credential.profile.max_ttl for credential in self.credentials),
                    grace=self.request.grace,
                    redact=Redactor(delivery.secrets) if self.request.redact else None,
                    worker=self.worker,
                    clock=self.around.clock,
                )
            self.credentials = renewal.settled()
        return outcome
