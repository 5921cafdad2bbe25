"""Which credentials, at the moment of a damage, could have done it, in order; and which are excluded, by what proof.

Times are by the clocks of the machines that ran the steps. Nothing is excluded by less than `MARGIN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.measurement import LEVELS, Level
from stepcreds.report.blast_radius import used_of
from stepcreds.report.postmortem_held import objects
from stepcreds.report.postmortem_reach import Servers, is_elsewhere
from stepcreds.report.postmortem_words import MARGIN, Said, lasting, listed, quoted, rests_on, when
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import command_times, lifetime
from stepcreds.review.selection import is_tampered

EXAMPLES: Final = 3
DOUBTED: Final = -1  # the weight of who would be excluded, had somebody signed that

# could: alive, and measured to have the power. may: one of the two is not known.
Standing = Literal["could", "may", "excluded"]
ORDER: Final[tuple[Standing, ...]] = ("could", "may", "excluded")


class Suspect(NamedTuple):
    """One credential, and why it stands where it does."""

    standing: Standing
    weight: int  # within its standing: what else speaks for it
    chapter: Chapter
    credential: CredentialView
    reasons: tuple[Said, ...]


class _Found(NamedTuple):
    """A part of the answer: True, False, or None where nobody knows."""

    yes: bool | None
    said: Said


def suspects(
    credentials: Iterable[tuple[Chapter, CredentialView]],
    at: float,
    needs: Level,
    *,
    trusted: bool,
    servers: Servers | None = None,
    newest_first: bool = False,
) -> list[Suspect]:
    """All of them, those first for which most speaks. `needs` is the least level that the damage takes.

    `trusted`: somebody said whose signatures count. `servers`: where the damage was; None: nobody said.
    """
    found = [_suspect(chapter, credential, at, needs, trusted, servers) for chapter, credential in credentials]
    found.sort(key=lambda each: each.credential.time or 0.0, reverse=newest_first)
    found.sort(key=lambda each: (ORDER.index(each.standing), -each.weight))
    return found


def _suspect(
    chapter: Chapter, credential: CredentialView, at: float, needs: Level, trusted: bool, servers: Servers | None
) -> Suspect:
    alive, able = _alive(chapter, credential, at), _able(chapter, credential, needs)
    proofs = tuple(each.said for each in (alive, able) if each.yes is False)
    if is_elsewhere(credential, servers):
        text = f"It was for {quoted(credential.server)}, and the damage was on {listed(sorted(servers or ()))}."
        proofs = (Said("recorded", text, rests_on(chapter, credential.requested)), *proofs)
    if proofs:
        return _excluded(chapter, credential, proofs, trusted)
    traces = list(_traces(chapter, credential, at, needs))
    standing: Standing = "could" if alive.yes and able.yes else "may"
    weight = 2 * len(traces) + _is_running(credential, at)
    return Suspect(standing, weight, chapter, credential, (*traces, alive.said, able.said))


def _excluded(chapter: Chapter, credential: CredentialView, proofs: tuple[Said, ...], trusted: bool) -> Suspect:
    """Unless its ledger was changed, or could have been: whoever did that would have wanted just this.

    Of a ledger that nobody was to sign, and where nobody asks for signatures, the word is taken.
    """
    signing = chapter.verified.signing
    text = ""
    if is_tampered(chapter):
        text = "Its ledger was tampered with: what that says excludes nobody."
    elif signing.state == "not checked":
        text = "Its ledger's signatures were not checked: what it says excludes nobody. Name a trust file: --trust."
    elif (trusted or signing.checkpoints) and not any(map(_is_signed, proofs)):
        text = "It cannot be excluded: no signature that counts covers the record that would do so."
    if text:
        return Suspect("may", DOUBTED, chapter, credential, (Said("unknown", text), *proofs))
    return Suspect("excluded", 0, chapter, credential, proofs)


def _is_signed(said: Said) -> bool:
    """Whether all that it rests on is."""
    return bool(said.evidence) and all(each.signed for each in said.evidence)


def _alive(chapter: Chapter, each: CredentialView, at: float) -> _Found:
    lived = lifetime(each)
    if lived is None:
        return _unissued(chapter, each, at)
    if at < lived.start - MARGIN:
        text = f"It was issued {lasting(lived.start - at)} later."
        return _Found(False, Said("recorded", text, rests_on(chapter, each.issued)))
    if lived.proven and lived.end is not None:
        return _alive_with_proof(chapter, each, at, lived.start, lived.end)
    evidence = rests_on(chapter, each.issued, each.closed)
    if lived.end is not None and lived.end < at:
        text = f"It was to end by itself at {when(lived.end)}; nothing proves that it had."
        return _Found(None, Said("unknown", text, evidence))
    end = command_times(each)[1]
    certain = end is not None and lived.start <= at <= end  # it was revoked after its command, if at all
    text = f"It was issued at {when(lived.start)}, and is not proven dead: {_doing(each, at)}."
    return _Found(True if certain else None, Said("unknown", text, evidence))


def _alive_with_proof(chapter: Chapter, each: CredentialView, at: float, start: float, end: float) -> _Found:
    evidence = rests_on(chapter, each.issued, each.closed)
    if command_times(each)[0] is None and each.delivery == "exec":
        text = f"Nobody was handed it: it was ended before its command began, and proven dead at {when(end)}."
        return _Found(False, Said("recorded", text, rests_on(chapter, each.closed)))
    if end < at - MARGIN:
        how = quoted(text_of(each.closed, "verified", "method"))
        text = f"It was proven dead {lasting(at - end)} before ({how}), at {when(end)}."
        return _Found(False, Said("recorded", text, rests_on(chapter, each.closed)))
    if not start <= at <= end:
        text = f"It lived from {when(start)} to {when(end)}: too near to tell, by clocks that may differ."
        return _Found(None, Said("unknown", text, evidence))
    return _Found(True, Said("recorded", f"It was alive: {_doing(each, at)}.", evidence))


def _unissued(chapter: Chapter, each: CredentialView, at: float) -> _Found:
    evidence = rests_on(chapter, each.requested, each.closed)
    if each.verdict == "not issued":
        return _Found(False, Said("recorded", "It was refused: nothing was issued.", evidence))
    if each.time is not None and at < each.time - MARGIN:
        return _Found(False, Said("recorded", f"It was asked for {lasting(each.time - at)} later.", evidence))
    return _Found(None, Said("unknown", "It was asked for, and whether it was issued is not on record.", evidence))


def _doing(each: CredentialView, at: float) -> str:
    start, end = command_times(each)
    if start is None:
        return "when its command ran is not on record"
    if at < start:
        return f"its command began {lasting(start - at)} later"
    if end is None:
        return f"its command had begun {lasting(at - start)} before"
    return "its command was running" if at <= end else f"its command had ended {lasting(at - end)} before"


def _is_running(each: CredentialView, at: float) -> bool:
    start, end = command_times(each)
    return start is not None and end is not None and start <= at <= end


def _able(chapter: Chapter, each: CredentialView, needs: Level) -> _Found:
    records = (each.closed, *each.closings, each.measured)
    says = next((record for record in records if record and record.get("privileges") is each.privileges), {})
    evidence = rests_on(chapter, says or each.closed or each.measured)
    level = next((known for known in LEVELS if known == each.level), "admin" if each.level else None)
    if level is None:
        return _Found(None, Said("unknown", "What it could do is not measured.", evidence))
    by = f"as {quoted(each.measured_by)} measured before its command"
    if LEVELS.index(level) < LEVELS.index(needs):
        return _Found(False, Said("recorded", f"It could do no more than {quoted(level)}, {by}.", evidence))
    granted = each.privileges.get("granted")
    findings = objects(granted.get("findings")) if isinstance(granted, dict) else []
    enough = [one for one in findings if text_of(one, "level") in LEVELS[LEVELS.index(needs) :]]
    enough.sort(key=lambda one: LEVELS.index(text_of(one, "level")), reverse=True)
    what = [
        text_of(one, "what") + (f", via {via}" if (via := text_of(one, "via")) else "") for one in enough[:EXAMPLES]
    ]
    told = f": it could {listed(what)}{_and_more(len(enough))}" if what else ""
    return _Found(True, Said("recorded", f"It had {quoted(level)}, {by}{told}.", evidence))


def _traces(chapter: Chapter, each: CredentialView, at: float, needs: Level) -> Iterator[Said]:
    """What speaks for it beyond time and power: what its command is known to have done, or what changed meanwhile."""
    start, end = command_times(each)
    meanwhile = start is None or end is None or start - MARGIN <= at <= end + MARGIN
    gone = [one for one in objects(each.left.get("changes")) if text_of(one, "code") == "LEFT.GONE"]
    if gone and meanwhile:
        what = listed(text_of(one, "what") for one in gone[:EXAMPLES])
        text = f"While its command ran: {what}{_and_more(len(gone))}. Between two looks, whoever did it."
        yield Said("recorded", text, rests_on(chapter, each.left))
    used = used_of(each)
    if used is not None and meanwhile and LEVELS.index(used.level) >= LEVELS.index(needs):
        counted = listed(f"{one.kind} ({one.calls})" for one in used.statements[: 2 * EXAMPLES])
        yield Said("recorded", f"The database counted for it, at least: {counted}.", rests_on(chapter, each.closed))


def _and_more(count: int) -> str:
    return f" and {count - EXAMPLES} more" if count > EXAMPLES else ""
