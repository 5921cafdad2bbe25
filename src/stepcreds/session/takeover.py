"""What is left to do when one half of the pair was killed: end what it still held, as it would have done itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stepcreds.config.model import Profile
from stepcreds.deliver.files import remove_folder
from stepcreds.errors import StepcredsError, VaultError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, NOT_PROVEN, SIGNALLED
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.reading import CredentialView, read_chain
from stepcreds.measurement import Measured
from stepcreds.model import Holding
from stepcreds.process.cancel import Cancellation
from stepcreds.process.custody import Custody
from stepcreds.process.worker import describe
from stepcreds.session import words
from stepcreds.session.finish import abandon, finish, give_back
from stepcreds.session.guard import Guard
from stepcreds.session.step import Closing, Ended, Surroundings
from stepcreds.session.summary import summarise
from stepcreds.vault.client import Vault

# The command's own code is lost with the worker; the command itself was ended by SIGKILL.
KILLED = SIGNALLED + 9
FINDING = 1  # of a command other than `exec`


class Alone:
    """`session.step.Keeper` for the half that is left: there is nobody to tell."""

    cancellation = Cancellation()
    front_gone = False

    def hold(self, holding: Holding) -> None:
        pass

    def release(self, credential_uid: str) -> None:
        pass


def take_over(
    custody: Custody, *, around: Surroundings, argv: Sequence[str] | None, wants_summary: bool = False
) -> int:
    """End every credential of `custody`; the code to exit with.

    The order is the session's: folders, then for each credential lock, revoke, prove, record, token.
    """
    for folder in custody.folders:
        remove_folder(folder)
    around.voice.fail(
        StepcredsError(
            f"The process that ran this step was lost: {custody.reason}",
            cause="Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.",
            fix="What it held is ended by the process that is left, which says below how that went."
            if custody.holdings
            else "It held no credential.",
            docs="worker-lost",
        )
    )
    if not custody.started:
        _tell_of_excess(custody.holdings, around)
    takeover = _Takeover(around, argv)
    if custody.started:
        _note(custody.holdings, around)
        takeover.guard.clean(custody.holdings)
    proven = [takeover.end(holding) for holding in reversed(custody.holdings)]
    if wants_summary:
        summarise(around, takeover.ended[::-1], takeover.guard.leaks)
    if argv is None:
        return FINDING
    if not custody.started:
        return BEFORE_THE_COMMAND
    return KILLED if all(proven) else NOT_PROVEN


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
    def __init__(self, around: Surroundings, argv: Sequence[str] | None) -> None:
        self.around = around
        self.argv = tuple(argv) if argv is not None else None
        self.guard = Guard(around, late=True)
        self.ended: list[Ended] = []

    def end(self, holding: Holding) -> bool:
        """Whether the step may be called a success as far as this goes; raises nothing."""
        around = self.around
        vault = Vault(around.config.vault, around.clock)
        vault.use(holding.token)
        if not holding.ledger:  # a token that was to revoke, and was given nothing
            with suppress(VaultError):
                vault.revoke_self()
            return True
        journal = Journal(Path(holding.ledger), holding.chain_uid, around.clock)
        closing = Closing(around, journal, Alone(), self.argv)
        profile = around.config.profiles[holding.profile]
        try:
            proven = self.end_orderly(closing, holding, profile, vault)
            self.guard.record(journal, holding.credential_uid)
            return proven
        except Exception as error:  # noqa: BLE001 - whatever it is, the token must go, and the other credentials
            around.voice.fail(words.defect(holding, describe(error)))
            abandon(closing, profile, vault, holding._replace(lease_id=""), "unknown")
            return False

    def end_orderly(self, closing: Closing, holding: Holding, profile: Profile, vault: Vault) -> bool:
        voice = self.around.voice
        on_record = _on_record(holding)
        if on_record is not None and on_record.proven_time is not None:
            give_back(closing, vault, holding)  # the worker was killed between its last record and its last call
            if self.around.notebook is not None:
                self.around.notebook.strike(holding.credential_uid)
            return True
        if not holding.lease_id:
            # The worker knew of no lease, but it may have asked for one.
            asked = on_record is None or bool(on_record.requested)
            abandon(closing, profile, vault, holding, "unknown" if asked else "not_asked")
            return True
        ending = finish(closing, profile, vault, holding, None)
        self.ended.append(Ended(profile, holding, ending, closing.journal.path))
        if ending.proof.proven:
            voice.say(words.ended(holding, ending, None))
            return ending.recorded
        voice.fail(words.unproven(holding, ending))
        return ending.recorded and profile.on_revoke_failure == "warn"


def _on_record(holding: Holding) -> CredentialView | None:
    """What the ledger knows of `holding`, if only that there is nothing.

    None where it cannot be read, which must not keep the credential from being ended.
    """
    try:
        chain = read_chain(Path(holding.ledger))
    except StepcredsError:
        return None
    nothing = CredentialView(chain.file, chain.job, holding.credential_uid, {}, {}, ())
    return next((view for view in chain.credentials if view.credential_uid == holding.credential_uid), nothing)
