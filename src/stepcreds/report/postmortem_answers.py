"""The six questions of a post-mortem, answered for one step from its records; what they do not say is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stepcreds.ledger.view import text_of
from stepcreds.measurement import LEVELS
from stepcreds.report.blast_radius import used_of
from stepcreds.report.postmortem_held import MOST, Held, more, shared, texts
from stepcreds.report.postmortem_life import active, dead_before
from stepcreds.report.postmortem_words import Answer, Said, listed, quoted, rests_on, when
from stepcreds.review.lifetimes import command_times

QUESTIONS: Final = (
    "Which credentials did it hold?",
    "Were they necessary?",
    "How long were they active?",
    "Could it have been dead before the damage?",
    "Did its scope match the task, or was it inherited?",
    "Who else shares it?",
)


def answers(helds: Sequence[Held], at: float | None) -> tuple[Answer, ...]:
    """One for each of `QUESTIONS`. `at` is when the damage happened, None where nobody said."""
    found = (
        [said for held in helds for said in _held(held)] + _inherited(helds),
        [said for held in helds for said in _necessary(held)],
        [said for held in helds for said in active(held)],
        [said for held in helds for said in dead_before(held, at)],
        [said for held in helds for said in _scope(held)] + _inherited(helds),
        [said for held in helds for said in shared(held)],
    )
    return tuple(Answer(question, tuple(said)) for question, said in zip(QUESTIONS, found, strict=True))


def _held(held: Held) -> Iterator[Said]:
    each, chapter = held.credential, held.chapter
    asked = f"{quoted(each.profile)} (role {quoted(each.role)}, {quoted(each.creds)})"
    if each.issued:
        user = f" as {quoted(each.db_user)}" if each.db_user else ""
        lease = f", lease {quoted(each.lease_id)}" if each.lease_id else ""
        text = (
            f"{asked}: issued at {when(each.issue_time)}{user}{lease}, handed over by {quoted(each.delivery or '?')}."
        )
        yield Said("recorded", text, rests_on(chapter, each.requested, each.issued))
    elif each.verdict == "not issued":
        yield Said("recorded", f"{asked}: refused, nothing was issued.", rests_on(chapter, each.requested, each.closed))
    else:
        text = (
            f"{asked}: asked for at {when(each.time)}. Whether it was issued is not on record: Vault's audit log says."
        )
        yield Said("unknown", text, rests_on(chapter, each.requested, each.closed))
    if each.issued and each.closings and command_times(each)[0] is None and each.delivery == "exec":
        text = f"No command is on record that had {quoted(each.profile)}: it was ended before, or its step was lost."
        yield Said("recorded", text, rests_on(chapter, each.closed))
    if held.same_id:
        files = f"{listed(held.same_id[:MOST])}{more(len(held.same_id))}"
        text = (
            f"The id of the credential for {quoted(each.profile)} is also in other records, of {files}: "
            "a copy that differs, or a ledger that repeats it."
        )
        yield Said("recorded", text, rests_on(chapter, each.requested, each.issued))


def _inherited(helds: Sequence[Held]) -> list[Said]:
    records = [(held.chapter, held.credential.requested) for held in helds if held.credential.requested]
    names = {name: None for _, record in records for name in texts(record.get("inherited"))}
    evidence = tuple(one for chapter, record in records for one in rests_on(chapter, record))
    if names:
        text = (
            f"Variables that look like credentials were in its environment already: {listed(list(names)[:MOST])}"
            f"{more(len(names))}. What they can do, and whether they were used, is on no record."
        )
        return [Said("unknown", text, evidence)]
    if records:
        return [Said("recorded", "No variable that looks like a credential was in its environment already.", evidence)]
    return [Said("unknown", "What was in its environment already is not on record.")]


def _necessary(held: Held) -> Iterator[Said]:
    each, chapter, name = held.credential, held.chapter, quoted(held.credential.profile)
    declared = each.requested.get("declared")
    if isinstance(declared, dict) and each.access:
        where = f" in {listed(texts(declared.get('schemas')))}" if texts(declared.get("schemas")) else ""
        reason = f", because {quoted(text_of(declared, 'reason'))}" if text_of(declared, "reason") else ""
        text = f"{name} declared: {quoted(each.access)}{where}, for {declared.get('ttl')} s at a time{reason}."
        yield Said("recorded", text, rests_on(chapter, each.requested))
    else:
        yield Said("unknown", f"What {name} was to do is not declared.", rests_on(chapter, each.requested))
    if not each.issued:
        return
    if each.level:
        beyond = f", {len(each.excess)} beyond what was declared" if each.excess else ""
        text = f"{name} was granted: {quoted(each.level)}{beyond} (measured by {quoted(each.measured_by)})."
        yield Said("recorded", text, rests_on(chapter, each.closed or each.measured))
    else:
        why = f" ({quoted(each.measured_by)})" if each.measured_by else ""
        yield Said("unknown", f"What {name} was granted is not measured{why}.", rests_on(chapter, each.closed))
    yield from _used(held)
    yield from _changed(held)


def _used(held: Held) -> Iterator[Said]:
    each, name = held.credential, quoted(held.credential.profile)
    used = used_of(each)
    if used is None:
        yield Said("unknown", f"What of it {name} used is not measured. That does not say that it was not used.")
        return
    counted = ", ".join(
        f"{each.calls} x {quoted(each.kind)}" + (f" as {quoted(each.role)}" if each.role else "")
        for each in used.statements[:MOST]
    )
    text = (
        f"{name} used at least: {counted or 'no statement that needs any power'}{more(len(used.statements))} "
        f"(level {quoted(used.level)}, counted by {quoted(used.by)}). Caveats: {listed(used.gaps)}."
    )
    evidence = rests_on(held.chapter, each.closed)
    yield Said("recorded", text, evidence)
    if each.level in LEVELS and LEVELS.index(used.level) < LEVELS.index(each.level) and not used.other:
        enough = f"no more than {quoted(used.level)}" if used.statements else "no power at all"
        text = f"Had {name} been granted {enough}, all that was counted of it would have worked."
        yield Said("counterfactual", text, evidence)


def _changed(held: Held) -> Iterator[Said]:
    record = held.credential.left
    changes = record.get("changes")
    what = [text_of(each, "what") for each in changes if isinstance(each, dict)] if isinstance(changes, list) else []
    evidence = rests_on(held.chapter, record)
    if what:
        text = f"While its command ran, somebody changed in the database: {listed(what[:MOST])}{more(len(what))}."
        yield Said("recorded", text, evidence)
    elif text_of(record, "unknown"):
        yield Said(
            "unknown", f"What changed in the database meanwhile: {quoted(text_of(record, 'unknown'))}.", evidence
        )
    elif record:
        yield Said("recorded", "Nothing that outlives it changed in the database while its command ran.", evidence)


def _scope(held: Held) -> Iterator[Said]:
    each, chapter, name = held.credential, held.chapter, quoted(held.credential.profile)
    if not each.issued:
        return
    if not each.level:
        yield Said("unknown", f"{name}: nobody measured what it could do.", rests_on(chapter, each.closed))
        return
    evidence = rests_on(chapter, each.closed or each.measured)
    if each.excess:
        yield Said(
            "recorded",
            f"{name} could do more than it declared: {listed(each.excess[:MOST])}{more(len(each.excess))}.",
            evidence,
        )
    else:
        yield Said("recorded", f"{name} could do nothing beyond what it declared, as far as was measured.", evidence)
    granted = each.privileges.get("granted")
    findings = granted.get("findings") if isinstance(granted, dict) else None
    allowed = (
        [one for one in findings if isinstance(one, dict) and one.get("standing") == "allowed"]
        if isinstance(findings, list)
        else []
    )
    if allowed:
        names = [f"{text_of(one, 'code')} {text_of(one, 'subject')} ({text_of(one, 'because')})" for one in allowed]
        yield Said(
            "recorded", f"Beyond it, and accepted by its profile: {listed(names[:MOST])}{more(len(names))}.", evidence
        )
