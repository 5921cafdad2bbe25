"""From when until when credentials lived, and which of them lived during another step; pure, from the records alone."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
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
    """When it lived. Of one that nobody closed, `end` is when it ended by itself unless it was renewed."""
    start = credential.issue_time
    if start is None:
        return None
    end = credential.proven_time if credential.proven else _end_by_itself(credential)
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
    commands = _commands(listed)
    # A job can have thousands of steps, and most of them end before the next begins. Looked at are only the commands
    # that began before a credential's end, and came after the last that had all ended before its beginning.
    starts = [command.start for command in commands]
    latest = list(accumulate((command.end for command in commands), max))
    found = []
    for each in listed:
        lived = lifetime(each)
        if lived is None:
            continue
        end = math.inf if lived.end is None else lived.end
        for command in commands[bisect_right(latest, lived.start) : bisect_left(starts, end)]:
            first, last = max(lived.start, command.start), min(end, command.end)
            if first < last and command.credential.step_uid != each.step_uid:
                known = None if last == math.inf else last
                found.append(Overlap(each, command.credential, first, known, lived.proven))
    return found


class _Command(NamedTuple):
    start: float
    end: float  # infinite where it is not on record
    credential: CredentialView


def _commands(credentials: list[CredentialView]) -> list[_Command]:
    """One for each step, in the order in which they began."""
    found: dict[str, _Command] = {}
    for each in credentials:
        start, end = command_times(each)
        if start is not None:
            found.setdefault(each.step_uid, _Command(start, math.inf if end is None else end, each))
    return sorted(found.values(), key=lambda command: command.start)


def _end_by_itself(credential: CredentialView) -> float | None:
    """The last that is on record of its expiry; None where that is over before its end, so that it was renewed."""
    said = epoch_of(credential.verdict.removeprefix("expires at "))
    expiry = credential.expire_time
    if said is not None or expiry is None:
        return said
    later = (epoch_of(text_of(credential.closed, "revoke", "time")), command_times(credential)[1])
    return None if any(moment is not None and moment > expiry for moment in later) else expiry
