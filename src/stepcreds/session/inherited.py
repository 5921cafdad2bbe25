"""Ends one credential that the other half of the pair held, from wherever that half had got to."""

from __future__ import annotations

from pathlib import Path

from stepcreds.config.model import Profile
from stepcreds.errors import StepcredsError
from stepcreds.ledger.reading import CredentialView, read_chain
from stepcreds.model import Holding
from stepcreds.session import words
from stepcreds.session.finish import Beside, abandon, finish, give_back, sign
from stepcreds.session.step import Closing, Ended
from stepcreds.vault.client import Vault


def end_inherited(
    closing: Closing, holding: Holding, profile: Profile, vault: Vault, ended: list[Ended], beside: Beside
) -> bool:
    """Whether the step may be called a success as far as `holding` goes, whose end is added to `ended`."""
    around = closing.around
    on_record = _on_record(holding)
    if on_record is not None and on_record.proven_time is not None:
        # The worker was killed between its last record and its last call.
        signed = sign(closing, vault, on_record.closed)
        give_back(closing, vault, holding)
        if around.notebook is not None and not closing.keeper.front_gone:
            around.notebook.strike(holding.credential_uid)
        return signed
    if not holding.lease_id:
        # The worker knew of no lease, but it may have asked for one.
        asked = on_record is None or bool(on_record.requested)
        abandon(closing, profile, vault, holding, "unknown" if asked else "not_asked", beside=beside)
        return True
    ending = finish(closing, profile, vault, holding, None, beside=beside)
    ended.append(Ended(profile, holding, ending, closing.journal.path))
    if ending.proof.proven:
        around.voice.say(words.ended(holding, ending, None))
        return ending.recorded
    around.voice.fail(words.unproven(holding, ending))
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
