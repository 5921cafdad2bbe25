"""What the front says when it leaves its worker alone: a cancelled step does not hold the job, and what it held is not
proven dead yet. It ends nothing itself; the worker goes on, as it does when its front is killed."""

from __future__ import annotations

from pathlib import Path

from stepcreds.errors import CancelledError, StepcredsError, UnprovenError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, NOT_PROVEN
from stepcreds.model import Ending, Holding, Proof, Revocation
from stepcreds.process.custody import Custody
from stepcreds.process.front import STAYS
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
        around.voice.fail(_under_way(holding, custody.reason, PATIENCE * len(left)))
    if not left:
        around.voice.fail(_still_busy(custody.reason, PATIENCE, ends_others=bool(custody.holdings)))
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


def _under_way(holding: Holding, signal_name: str, seconds: float) -> StepcredsError:
    """The failure of a cancelled step whose credential is not proven dead in time, and may be in `seconds`."""
    lease = f" --lease {holding.lease_id}" if holding.lease_id else ""
    return UnprovenError(
        f"The credential of profile {holding.profile} is not proven dead yet: {words.until(holding)}",
        cause=f"{signal_name} asked this step to end, and {STAYS:.0f} seconds are over. Vault or the database is slow, "
        "or does not answer.",
        fix=f"Another process of this step goes on trying, for up to {seconds:.0f} seconds, unless the runner ends it. "
        "What came of it says, in a later step of the same job:\n  stepcreds ledger show\n"
        f"End it and prove it there, if that did not:\n  stepcreds revoke{lease}",
        docs="carried-on",
    )


def _still_busy(signal_name: str, seconds: float, *, ends_others: bool) -> CancelledError:
    """A cancelled step holds no credential of its own; `ends_others`: it was ending what earlier steps left."""
    return CancelledError(
        f"This step is still busy {STAYS:.0f} seconds after {signal_name}",
        cause="It holds no credential of its own, and is ending what earlier steps left or handed out. Vault or the "
        "database is slow, or does not answer."
        if ends_others
        else "It holds no credential. A server, or the disk that the ledger is on, does not answer.",
        fix=f"Another process of this step goes on trying, for up to {seconds:.0f} seconds for each credential, unless "
        "the runner ends it. End what is left, in a later step of the same job:\n  stepcreds revoke"
        if ends_others
        else "Nothing has to be ended. What it waits for, it waits for in the background, for a server "
        f"{seconds:.0f} seconds at most.",
        docs="carried-on",
    )
