"""What the front says when it leaves its worker alone: a cancelled step does not hold the job, and what it held is not
proven dead yet. It ends nothing itself; the worker goes on, as it does when its front is killed."""

from __future__ import annotations

from pathlib import Path

from stepcreds.errors import CancelledError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, NOT_PROVEN
from stepcreds.model import Ending, Proof, Revocation
from stepcreds.process.custody import Custody
from stepcreds.process.front import STAYS
from stepcreds.revoke import NO_LOCK
from stepcreds.session import words
from stepcreds.session.finish import PATIENCE
from stepcreds.session.step import Ended, Surroundings
from stepcreds.session.summary import summarise

# What is known of an end that is under way.
UNDER_WAY = Ending(
    NO_LOCK,
    Revocation("none", "failed", None, "it is under way"),
    Proof("not_checked", "not_checked", "not_checked", "none", None),
)


def depart(custody: Custody, *, around: Surroundings, wants_summary: bool = False) -> int:
    """Say what of `custody` is not proven dead; the code to exit with."""
    left = [holding for holding in custody.holdings if holding.ledger]
    for holding in left:
        around.voice.fail(words.under_way(holding, custody.reason, PATIENCE * len(left)))
    if not left:
        around.voice.fail(
            CancelledError(
                f"This step is still busy {STAYS:.0f} seconds after {custody.reason}",
                cause="It holds no credential. A server, or the disk that the ledger is on, does not answer.",
                fix="Nothing has to be ended. What it waits for, it waits for in the background, for a server "
                f"{PATIENCE:.0f} seconds at most.",
                docs="carried-on",
            )
        )
    if wants_summary:
        profiles = around.config.profiles
        summarise(around, [Ended(profiles[each.profile], each, UNDER_WAY, Path(each.ledger)) for each in left])
    return NOT_PROVEN if custody.started else BEFORE_THE_COMMAND
