"""One credential of a step as a post-mortem has it: with its chain, and with what others on record have of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.report.postmortem_words import Said, listed, quoted, rests_on, when
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import Overlap
from stepcreds.review.sharing import Shared

MOST: Final = 10  # of a kind, in a sentence


class Held(NamedTuple):
    """One credential of the step, and what else is on record about it."""

    chapter: Chapter
    credential: CredentialView
    shared: Sequence[Shared]  # identifiers that another step had as well
    overlaps: Sequence[Overlap]  # other steps' commands that ran while it lived
    same_role: int  # credentials of other steps, in all of the ledgers, that had the same role
    same_id: Sequence[str]  # other files in which its credential_uid is, with other records


def shared(held: Held) -> Iterator[Said]:
    """Who else had it, or could have: by the same identifiers, at the same time, or where its command left it."""
    if not held.credential.issued:
        return
    each, chapter, name = held.credential, held.chapter, quoted(held.credential.profile)
    evidence = rests_on(chapter, each.requested, each.issued)
    for one in held.shared:
        steps = [step_of(other) for other in one.credentials if other.step_uid != each.step_uid]
        who = f"{listed(steps[:MOST])}{more(len(steps))}"
        text = f"{name}: the same {one.what}, {quoted(one.value)}, is on record for {who}."
        yield Said("recorded", text, evidence)
    for overlap in held.overlaps:
        lived = "lived" if overlap.certain else "may have lived"
        text = f"{name} {lived} while {quoted(step_of(overlap.other))} ran its command, from {when(overlap.start)}."
        yield Said("recorded" if overlap.certain else "unknown", text, evidence)
    places = [place for leak in each.leaks for place in objects(leak.get("places"))]
    for leak in each.leaks[:MOST]:
        files = [f"{text_of(place, 'file')}:{place.get('line')}" for place in objects(leak.get("places"))]
        where = f"{listed(files[:MOST])}{more(len(files))}"
        text = f"Its command left {name} in {where}: whoever could read that could use it while it lived."
        yield Said("recorded", text, rests_on(chapter, leak))
    if not (held.shared or held.overlaps or places):
        yield Said(
            "recorded",
            f"{name}: no other step on record had its lease, its token or its user, or ran while it lived.",
            evidence,
        )
    if held.same_role:
        count = "1 other step" if held.same_role == 1 else f"{held.same_role} other steps"
        yield Said(
            "recorded",
            f"The role {quoted(each.role)} was used by {count} in these ledgers, each with a credential of its own.",
            evidence,
        )
    if each.delivery == "outputs":
        text = f"{name} was handed out as outputs: every later step of the job could read it."
        yield Said("recorded", text, evidence)


def step_of(credential: CredentialView) -> str:
    job = credential.job
    return f"{credential.step_name or credential.step_uid[:8]} of job {job.get('job', '')}, run {job.get('run_id', '')}"


def more(count: int) -> str:
    return f" and {count - MOST} more" if count > MOST else ""


def texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def objects(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
