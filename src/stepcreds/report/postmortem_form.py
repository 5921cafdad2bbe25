"""A post-mortem in the order in which it is read, for every form alike: headings, sentences, numbers of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from stepcreds.ledger.view import text_of
from stepcreds.report import postmortem_gone
from stepcreds.report.postmortem import ChainState, Postmortem, Step
from stepcreds.report.postmortem_suspects import Suspect
from stepcreds.report.postmortem_words import Evidence, Said, lasting, listed, quoted, when

NATURES: Final = {"recorded": "", "unknown": "Unknown", "counterfactual": "Counterfactual", "limit": "Cannot be known"}
STANDINGS: Final = {"could": "Could have done it", "may": "Cannot be excluded", "excluded": "Excluded"}
UNSIGNED: Final = (
    "Unsigned records prove nothing against somebody who could write to the file: he could have written all of it anew."
)

INCOMPLETE: Final = (
    "Signed does not mean complete: what was cut or removed together with its checkpoints, seals and Vault's audit log "
    "know (verify --seals, ledger reconcile)."
)


class Line(NamedTuple):
    """One thing said, and the numbers of the records that it rests on."""

    label: str  # of `NATURES`
    text: str
    records: tuple[int, ...]


class Records:
    """All records that were named, numbered from 1 in the order in which they are."""

    def __init__(self) -> None:
        self._numbers: dict[Evidence, int] = {}

    @property
    def all(self) -> list[tuple[int, Evidence]]:
        return [(number, evidence) for evidence, number in self._numbers.items()]

    def lines(self, said: Iterable[Said]) -> list[Line]:
        return [Line(NATURES[each.nature], each.text, self._of(each.evidence)) for each in said]

    def _of(self, evidence: Sequence[Evidence]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self._numbers.setdefault(each, len(self._numbers) + 1) for each in evidence))


class Person(NamedTuple):
    """One suspect, ready to be read."""

    title: str
    lines: list[Line]


class Section(NamedTuple):
    """One step: its title, what is known of its command, and each question with what is said to it."""

    title: str
    command: str
    answers: list[tuple[str, list[Line]]]


class Form(NamedTuple):
    title: str
    head: list[str]
    suspects: list[tuple[str, list[Person]]]  # by standing; [] without a time of the damage
    elsewhere: list[Person]
    elsewhere_notes: list[str]
    chains: list[str]
    steps: list[Section]
    over_time: list[str]
    limits: Sequence[str]
    records: list[tuple[int, str]]


def form(found: Postmortem) -> Form:
    """Everything, in order."""
    records = Records()
    by_standing = [
        (
            title,
            [_person(each, records, is_of_it=True) for each in found.suspects if each.standing == standing]
            + (list(_gone(found, found.at, records)) if standing == "may" else []),
        )
        for standing, title in STANDINGS.items()
        if found.at is not None
    ]
    elsewhere = [_person(each, records, is_of_it=False) for each in found.elsewhere]
    steps = [_section(step, records) for step in found.steps]
    return Form(
        f"Post-mortem of run {quoted(found.run)} of {quoted(found.repository)}",
        list(_head(found)),
        by_standing,
        elsewhere,
        list(_elsewhere_notes(found)),
        [*map(_chain, found.chains), *(f"Not read: {quoted(error)}" for error in found.errors)],
        steps,
        list(_over_time(found)),
        found.limits,
        [(number, _record(evidence)) for number, evidence in records.all],
    )


def _head(found: Postmortem) -> Iterable[str]:
    if found.at is not None:
        yield f"The damage was done at {when(found.at)}, and takes the level {quoted(found.needs)} or more."
    else:
        yield "No time of the damage was given: with --at TIME this says who could have done it then."
    signed, entries = sum(each.signed for each in found.chains), sum(each.entries for each in found.chains)
    by = f" by keys of {quoted(found.trust)}" if found.trust is not None else ""
    if not by and any(each.state == "not checked" for each in found.chains):
        yield "Signatures were not checked: name the keys that count with --trust."
    elif all(each.state == "signed" for each in found.chains):
        yield f"Signed{by}, up to the last record that a step signs: {signed} of {entries} records of this run."
    else:
        yield f"Signed{by}: {signed} of {entries} records of this run. {UNSIGNED}"
    if signed:
        yield INCOMPLETE
    count = sum(len(each.findings) for each in found.chains)
    if count:
        yield f"The ledgers of this run have {count} finding{'s' * (count > 1)}: read those first, below."
    yield from _head_of_gone(found)
    yield from _head_of_unread(found)


def _gone(found: Postmortem, at: float, records: Records) -> Iterable[Person]:
    for each in found.gone:
        yield Person(postmortem_gone.title(each), records.lines(postmortem_gone.reasons(each, at)))
    if found.gone_more:
        yield Person(f"{_ledgers(found.gone_more)} more that are gone or cut: not shown (--all)", [])


def _head_of_gone(found: Postmortem) -> Iterable[str]:
    missing = len(found.gone) + found.gone_more
    count = missing + found.gone_excluded
    if not count:
        return
    its, it = ("its", "it") if count == 1 else ("their", "they")
    what, held = f"not here, only {its} checkpoints", "of what"
    if any(each.is_cut for each in found.gone):
        what, held = f"not here as {it} {'was' if count == 1 else 'were'} signed", "of all that"
    text = f"{_ledgers(count)} {_are(count)} {what}: nothing below tells {held} {it} held."
    if found.at is not None and not missing:
        text += f" {it.capitalize()} {_are(count)} excluded: all that is signed there is later."
    elif found.at is not None:
        who = it.capitalize() if missing == count else f"{missing:,} of them"
        text += f" {who} cannot be excluded."
    yield text


def _head_of_unread(found: Postmortem) -> Iterable[str]:
    if found.unread:
        held = "it" if found.unread == 1 else "they"
        yield f'{_ledgers(found.unread)} could not be read: nothing below tells of what {held} held (see "Not read").'


def _ledgers(count: int) -> str:
    return "1 ledger" if count == 1 else f"{count:,} ledgers"


def _person(each: Suspect, records: Records, *, is_of_it: bool) -> Person:
    credential = each.credential
    job = credential.job
    step = credential.step_name or credential.step_uid[:8]
    title = f"Step {quoted(step)}, job {quoted(job.get('job', ''))}"
    if not is_of_it:
        repository = each.chapter.view.repository or job.get("repository_id", "")
        title += f" of run {quoted(job.get('run_id', ''))} of {quoted(repository)}"
    title += f", with {quoted(credential.profile)}"
    title += f", as {quoted(credential.db_user)}" if credential.db_user else ""
    if not is_of_it:
        database = text_of(credential.requested, "database")
        title += f", for {quoted(database)}" if database else ", for a database that is not on record"
    return Person(title, records.lines(each.reasons))


def _elsewhere_notes(found: Postmortem) -> Iterable[str]:
    if found.at is None:
        return
    more, excluded, other = found.elsewhere_more, found.elsewhere_excluded, found.elsewhere_other
    if not (found.elsewhere or excluded or other):
        yield "No other run is on record in these ledgers."
    if more:
        yield f"{_credentials(more)} cannot be excluded either, and {_are(more)} not shown (--all)."
    if excluded:
        yield f"{_credentials(excluded)} in these ledgers {_are(excluded)} excluded in the same way."
    if other:
        yield (
            f"{_credentials(other)} {_are(other)} for databases on other servers than {listed(found.servers)} by the "
            "word of ledgers that were not all verified: not held against the damage, and not shown (--all)."
        )
    if other and found.is_tampered:
        yield (
            "A ledger of this run was tampered with, and may not name every database that it could reach: --all holds "
            "all other runs against the damage."
        )
    if not found.servers:
        yield "Which databases this run could reach is not on record, so all other runs were held against the damage."


def _credentials(count: int) -> str:
    return "1 credential of another run" if count == 1 else f"{count:,} credentials of other runs"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _chain(each: ChainState) -> str:
    signed = (
        "signatures not checked" if each.state == "not checked" else f"{each.signed} of {each.entries} records signed"
    )
    state = "closed" if each.closed else "open: something may follow, or be missing"
    findings = "; ".join(each.findings) or "no finding"
    return f"{quoted(each.file)}: {signed}, {state}; {findings}."


def _section(step: Step, records: Records) -> Section:
    title = f"{quoted(step.name)} of job {quoted(step.job)}, attempt {quoted(step.attempt)}"
    if step.start is not None and step.end is not None:
        code = f", exit code {step.exit_code}" if step.exit_code is not None else ""
        command = (
            f"Its command ran from {when(step.start)} to {when(step.end)} ({lasting(step.end - step.start)}{code})."
        )
    else:
        command = "When its command ran, if it did, is not on record."
    return Section(title, command, [(answer.question, records.lines(answer.said)) for answer in step.answers])


def _over_time(found: Postmortem) -> Iterable[str]:
    for each in found.radius:
        used = f"up to {quoted(each.used)} as far as was seen" if each.used is not None else "not measured"
        granted = quoted(each.granted) if each.granted is not None else "not measured"
        yield (
            f"{quoted(each.profile)}, {_runs(len(each.runs))} on record: "
            f"declared {quoted(each.declared or 'nothing')}, granted {granted} "
            f"(measured in {each.granted_runs}), used {used} (measured in {each.used_runs})."
        )
        for change in each.changes[-3:]:
            yield (
                f"{quoted(each.profile)}: its power changed at run {quoted(change.after.run_id)}, from "
                f"{quoted(change.before.level or '?')} to {quoted(change.after.level or '?')}."
            )
        if each.narrower is not None:
            yield f"{quoted(each.profile)}: {each.narrower.text}"
        yield from (f"{quoted(each.profile)}: {remark}" for remark in each.remarks)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _record(each: Evidence) -> str:
    signed = {True: "signed", False: "not signed", None: "signature not checked"}[each.signed]
    place = quoted(f"{each.file}:{each.line}")
    return f"{place}: {quoted(each.kind)} at {quoted(each.time)}, event {quoted(each.event_uid)}, {signed}"
