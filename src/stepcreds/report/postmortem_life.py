"""How long a credential was alive, and what would have had to be otherwise for it to be dead before the damage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from stepcreds.report.postmortem_held import Held
from stepcreds.report.postmortem_words import Said, lasting, quoted, rests_on, when
from stepcreds.review.lifetimes import command_times, lifetime

SHORT: Final = 120.0  # seconds: a ttl that every profile could have


def active(held: Held) -> Iterator[Said]:
    """From when until when it lived; without a proof, an upper bound that is said to be one."""
    each, chapter, name = held.credential, held.chapter, quoted(held.credential.profile)
    lived = lifetime(each)
    if lived is None:
        if each.verdict != "not issued":
            yield Said(
                "unknown", f"How long {name} lived, if it was issued, is not on record.", rests_on(chapter, each.closed)
            )
        return
    evidence = rests_on(chapter, each.issued, each.closed)
    start, end = command_times(each)
    if start is not None and end is not None:
        yield Said(
            "recorded",
            f"Its command ran from {when(start)} to {when(end)}, {lasting(end - start)}.",
            rests_on(chapter, each.closed),
        )
    if lived.proven and lived.end is not None:
        after = f", {lasting(lived.end - end)} after its command" if end is not None and lived.end >= end else ""
        died = f"its proof of death at {when(lived.end)}{after}"
        text = f"{name}: {lasting(lived.end - lived.start)}, from {when(lived.start)} to {died}."
        yield Said("recorded", text, evidence)
    elif lived.end == math.inf:
        yield Said(
            "unknown",
            f"{name}: since {when(lived.start)}. It has no end of its own, and no proof of death is on record.",
            evidence,
        )
    elif lived.end is not None:
        renewed = "" if each.closed else ", unless it was renewed while its command ran"
        text = (
            f"{name}: from {when(lived.start)}, at most until {when(lived.end)}, when it ends by itself{renewed}. "
            "That is an upper bound and no proof: nobody looked."
        )
        yield Said("unknown", text, evidence)
    else:
        yield Said("unknown", f"{name}: since {when(lived.start)}. When it ended nobody knows.", evidence)


def dead_before(held: Held, at: float | None) -> Iterator[Said]:
    """Whether it could have been dead at `at`, None where nobody said when the damage was done."""
    each, name = held.credential, quoted(held.credential.profile)
    lived = lifetime(each)
    if at is None:
        yield Said("unknown", "No time of the damage was given (--at).")
        return
    if lived is None:
        if each.verdict == "not issued":
            yield Said("recorded", f"{name}: there was nothing to be dead.", rests_on(held.chapter, each.closed))
        else:
            yield Said(
                "unknown", f"{name}: whether it existed is not on record.", rests_on(held.chapter, each.requested)
            )
        return
    evidence = rests_on(held.chapter, each.issued, each.closed)
    end = command_times(each)[1]
    if at < lived.start:
        yield Said("recorded", f"{name}: it was issued {lasting(lived.start - at)} after the damage.", evidence)
    elif lived.proven and lived.end is not None and lived.end <= at:
        yield Said("recorded", f"{name}: it was: proven dead {lasting(at - lived.end)} before the damage.", evidence)
    elif end is not None and at <= end:
        text = f"{name}: not by ending it with its step: the damage came {lasting(end - at)} before its command ended."
        yield Said("recorded", text, evidence)
        sooner = lasting(at - lived.start)
        text = f"Had its command been bounded (max_ttl) to less than {sooner} from its issue, it would have been dead."
        yield Said("counterfactual", text)
    else:
        yield from _counterfactuals(held, at, end, lived.start)


def _counterfactuals(held: Held, at: float, end: float | None, start: float) -> Iterator[Said]:
    """For one that was, or may have been, alive when its step had no use for it any more."""
    each, name = held.credential, quoted(held.credential.profile)
    evidence = rests_on(held.chapter, each.issued, each.closed)
    lived = lifetime(each)
    if lived is not None and lived.end is not None and not lived.proven and lived.end <= at:
        due = lasting(at - lived.end)
        text = f"{name}: its end by itself was due {due} before the damage. No proof of it is on record."
        yield Said("unknown", text, evidence)
    else:
        yield Said(
            "recorded",
            f"{name}: it was, or may have been, alive then, and is not proven dead before the damage.",
            evidence,
        )
    if end is not None:
        text = f"Had it been revoked at its step's end, it would have been dead {lasting(at - end)} before the damage."
        yield Said("counterfactual", text, evidence)
    else:
        yield Said("unknown", "When its command ended is not on record.", evidence)
    if at - start > SHORT:
        text = (
            f"Had its ttl been {lasting(SHORT)}, and nobody renewed it, it would have ended by itself "
            f"{lasting(at - start - SHORT)} before the damage."
        )
        yield Said("counterfactual", text, evidence)
