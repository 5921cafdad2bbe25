"""What the front says when it leaves its worker alone: a cancelled step does not hold the job, and what it held is not
proven dead yet. It ends nothing itself; the worker goes on, as it does when its front is killed."""

from __future__ import annotations

from pathlib import Path

from stepcreds.exit_codes import BEFORE_THE_COMMAND, NOT_PROVEN
from stepcreds.model import Ending, Proof, Revocation
from stepcreds.process.custody import Custody
from stepcreds.revoke import NO_LOCK
from stepcreds.session import words
from stepcreds.session.finish import PATIENCE
from stepcreds.session.step import Ended, Surroundings
from stepcreds.session.summary import summarise
from stepcreds.session.takeover import FINDING, KILLED

# What is known of an end that is under way.
UNDER_WAY = Ending(
    NO_LOCK,
    Revocation("none", "failed", None, "it is under way"),
    Proof("not_checked", "not_checked", "not_checked", "none", None),
)


def depart(custody: Custody, *, around: Surroundings, wants_summary: bool = False, is_step: bool = True) -> int:
    """Say what of `custody` is not proven dead; the code to exit with. `is_step`: it has a command, or was to have."""
    around.voice.hurry()
    left = [holding for holding in custody.holdings if holding.ledger]
    for holding in left:
        around.voice.fail(words.under_way(holding, custody.reason, PATIENCE * len(left)))
    if not left:
        around.voice.fail(words.still_busy(custody.reason, PATIENCE, ends_others=bool(custody.holdings)))
    if wants_summary:
        profiles = around.config.profiles
        summarise(around, [Ended(profiles[each.profile], each, UNDER_WAY, Path(each.ledger)) for each in left])
    if not is_step:
        return FINDING
    if not custody.started:
        return BEFORE_THE_COMMAND
    if left:
        return NOT_PROVEN
    return custody.code or KILLED  # whatever is still busy, it has said that it failed
