"""What is left to do when one half of the pair was killed: end what it still held, as it would have done itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from stepcreds.deliver.files import remove_folder
from stepcreds.errors import StepcredsError, VaultError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, NOT_PROVEN, SIGNALLED
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import Event
from stepcreds.measurement import Measured
from stepcreds.model import Holding, Leak
from stepcreds.process.cancel import Cancellation
from stepcreds.process.custody import Custody, describe
from stepcreds.session import words
from stepcreds.session.finish import abandon
from stepcreds.session.guard import Guard
from stepcreds.session.inherited import end_inherited
from stepcreds.session.step import Closing, Ended, Surroundings
from stepcreds.session.summary import summarise
from stepcreds.vault.client import Vault

# The command's own code is lost with the worker; the command itself was ended by SIGKILL.
KILLED = SIGNALLED + 9
FINDING = 1  # of a command other than `exec`


class Alone:
    """`session.step.Keeper` for the half that is left: there is nobody to tell."""

    cancellation = Cancellation()

    def __init__(self, front_gone: bool) -> None:
        self.front_gone = front_gone

    def hold(self, holding: Holding) -> None:
        pass

    def release(self, credential_uid: str) -> None:
        pass


def take_over(
    custody: Custody, *, around: Surroundings, argv: Sequence[str] | None, wants_summary: bool = False
) -> int:
    """End every credential of `custody`, whatever goes wrong on the way, and say so afterwards; the code to exit with.

    The order is the session's: folders, then for each credential lock, revoke, prove, record, token.
    """
    with around.voice.held():
        takeover = _Takeover(around, custody, argv)
        proven = takeover.run()
        if wants_summary and not custody.front_gone:
            takeover.safely(lambda: summarise(around, takeover.ended[::-1], takeover.leaks))
    if argv is None:
        return FINDING
    if not custody.started:
        return BEFORE_THE_COMMAND
    return KILLED if proven else NOT_PROVEN


def _note(holdings: Sequence[Holding], around: Surroundings) -> None:
    """What the CI's runner was told of them only the other half knows, and the command may have changed it."""
    for holding in holdings:
        if around.notebook is not None and holding.ledger:
            with suppress(StepcredsError):  # it is about to be ended
                profile = around.config.profiles[holding.profile]
                around.notebook.note(holding, profile, "exec", around.step_uid, asked=True)


def _tell_of_excess(holdings: Sequence[Holding], around: Surroundings) -> None:
    """The other half may have died while it ended what it was about to refuse."""
    for holding in holdings:
        profile, measured = around.config.profiles[holding.profile], holding.measurement
        if isinstance(measured, Measured) and measured.excess and profile.on_excess == "fail":
            from stepcreds.scope.report import refusal

            around.voice.fail(refusal(profile, measured))


class _Takeover:
    def __init__(self, around: Surroundings, custody: Custody, argv: Sequence[str] | None) -> None:
        self.around = around
        self.custody = custody
        self.argv = tuple(argv) if argv is not None else None
        self.keeper = Alone(custody.front_gone)
        self.guard: Guard | None = None
        self.ended: list[Ended] = []

    @property
    def leaks(self) -> list[Leak]:
        return self.guard.leaks if self.guard is not None else []

    def run(self) -> bool:
        """Whether the step may be called a success as far as this goes; raises nothing."""
        around, holdings = self.around, self.custody.holdings
        around.voice.fail(words.lost(self.custody.reason, bool(holdings)))
        for folder in self.custody.folders:
            self.safely(partial(remove_folder, folder))
        if self.custody.started:
            if not self.custody.front_gone:
                self.safely(lambda: _note(holdings, around))
            self.safely(self.clean)
        else:
            self.safely(lambda: _tell_of_excess(holdings, around))
        proven = [self.end(holding) for holding in reversed(holdings)]
        return all(proven)

    def safely(self, do: Callable[[], object]) -> bool:
        """Whether it could be done; a defect of ours in one thing is to keep no other from being done."""
        try:
            do()
        except Exception as error:  # noqa: BLE001
            self.around.voice.warn(f"not everything could be done after the loss of that process: {describe(error)}")
            return False
        return True

    def clean(self) -> None:
        self.guard = Guard(self.around, late=True)
        self.guard.clean(self.custody.holdings)

    def end(self, holding: Holding) -> bool:
        """Whether the step may be called a success as far as this goes; raises nothing."""
        proven: list[bool] = []
        if self.safely(lambda: proven.append(self.end_somehow(holding))):
            return all(proven)
        self.safely(lambda: self.vault_of(holding).revoke_self())
        return False

    def vault_of(self, holding: Holding) -> Vault:
        vault = Vault(self.around.config.vault, self.around.clock, step_uid=self.around.step_uid)
        vault.use(holding.token)
        return vault

    def end_somehow(self, holding: Holding) -> bool:
        around = self.around
        vault = self.vault_of(holding)
        if not holding.ledger:  # a token that was to revoke, and was given nothing
            with suppress(VaultError):
                vault.revoke_self()
            return True
        journal = Journal(Path(holding.ledger), holding.chain_uid, around.clock)
        closing = Closing(around, journal, self.keeper, self.argv)
        profile = around.config.profiles[holding.profile]
        try:
            proven = end_inherited(closing, holding, profile, vault, self.ended, lambda ending: self.found(holding))
        except Exception as error:  # noqa: BLE001 - whatever it is, the token must go, and the other credentials
            around.voice.fail(words.defect(holding, describe(error)))
            abandon(closing, profile, vault, holding._replace(lease_id=""), "unknown")
            return False
        if self.guard is not None:  # what a worker that was killed after its last record had not told of
            self.safely(partial(self.guard.record, journal, holding.credential_uid))
        return proven

    def found(self, holding: Holding) -> list[Event]:
        return self.guard.events(holding.credential_uid) if self.guard is not None else []
