"""From when until when credentials lived, and which of them lived during another step; pure, from the records alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stepcreds.ledger.view import CredentialView, epoch_of, text_of


class Lifetime(NamedTuple):
    """Epoch seconds. A credential that was not issued, or whose issue is not on record, has none."""

    start: float
    end: float | None  # None: nobody knows; `math.inf`: it has no end of its own
    proven: bool  # False: `end` is when it ends by itself, an upper bound


class Overlap(NamedTuple):
    """A credential that lived while another step of its job attempt ran its command."""

    credential: CredentialView
    other: CredentialView  # one of that step's
    start: float
    end: float | None  # as `Lifetime.end` has it, or the end of that command
    certain: bool  # False: it may have been dead by then, and nothing proves it


def lifetime(credential: CredentialView) -> Lifetime | None:
    """When it lived."""
    start = credential.issue_time
    if start is None:
        return None
    end = credential.proven_time if credential.proven else credential.expire_time
    return Lifetime(start, end, credential.proven)


def command_times(credential: CredentialView) -> tuple[float | None, float | None]:
    """When its step's command began and ended, None where that is not on record."""
    step = next((each for each in credential.closings if text_of(each, "step", "start")), {})
    return epoch_of(text_of(step, "step", "start")), epoch_of(text_of(step, "step", "end"))


def overlaps(credentials: Iterable[CredentialView]) -> list[Overlap]:
    """Of the credentials of one chain those that lived into another step's command, in the order of the chain.

    Of a step with several credentials the first stands for its command.
    """
    listed = list(credentials)
    commands = {each.step_uid: each for each in reversed(listed) if command_times(each)[0] is not None}
    found = []
    for each in listed:
        lived = lifetime(each)
        if lived is None:
            continue
        for step_uid, other in commands.items():
            start, end = command_times(other)
            if step_uid == each.step_uid or start is None:
                continue
            last = min(moment for moment in (lived.end, end, float("inf")) if moment is not None)
            first = max(lived.start, start)
            if first < last:
                found.append(Overlap(each, other, first, None if last == float("inf") else last, lived.proven))
    return found
