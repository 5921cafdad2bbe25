"""One run taken apart after something went wrong: each step by six questions, and who could have done it at that time.

Everything said names the records that it rests on. Pure, but for the dossier that somebody read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from stepcreds.errors import UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.view import CredentialView
from stepcreds.measurement import Level
from stepcreds.printable import one_line
from stepcreds.report.blast_radius import ProfileRadius, blast_radius
from stepcreds.report.postmortem_answers import answers
from stepcreds.report.postmortem_copies import Pair, once, repeats
from stepcreds.report.postmortem_gone import Gone, is_excluded, nearest
from stepcreds.report.postmortem_held import Held
from stepcreds.report.postmortem_reach import Passed, Role, Servers, is_elsewhere, reach, unknown_run
from stepcreds.report.postmortem_suspects import Suspect, suspects
from stepcreds.report.postmortem_words import MARGIN, Answer, quoted
from stepcreds.review.dossier import Chapter, Dossier
from stepcreds.review.lifetimes import Overlap, command_times, overlaps
from stepcreds.review.selection import Selection, is_tampered
from stepcreds.review.sharing import Shared, shared

FEW: Final = 20  # credentials of other runs, and ledgers that are gone, that are shown
# What no ledger knows, whatever is in it.
LIMITS: Final = (
    "A step that does not use stepcreds, a secret of the CI, and a person with a login of his own leave nothing here. "
    "If no step could have done it, look there, and in the database's own log.",
    "A credential that somebody copied while it lived could be used by somebody else until it died: the ledger knows "
    "when it could be used, and not by whom.",
    "A job that lies while it writes its ledger is not found out by the ledger. What Vault issued is in Vault's audit "
    "log: stepcreds ledger reconcile.",
    "All times are by the clocks of the machines that ran the steps. Vault, the database and whoever named the time of "
    f"the damage have clocks of their own: nothing is excluded here by less than {MARGIN:.0f} s.",
)


class Step(NamedTuple):
    """One step of the run, and what is known to each question."""

    name: str
    job: str
    attempt: str
    step_uid: str
    start: float | None  # of its command
    end: float | None
    exit_code: int | None
    profiles: tuple[str, ...]
    answers: tuple[Answer, ...]


class ChainState(NamedTuple):
    """How far one ledger of the run is to be believed."""

    file: str
    entries: int
    signed: int  # of them
    state: str  # "signed", "partly signed", "unsigned", "not checked"
    findings: tuple[str, ...]
    closed: bool


class Postmortem(NamedTuple):
    """All of it."""

    run: str
    repository: str  # its name where the ledger has that, else its id
    trust: str | None  # the file of keys whose signatures counted; None: nobody looked at signatures
    at: float | None
    needs: Level
    servers: tuple[str, ...]  # "host:port" of the databases that it could reach; () where that is not known
    is_tampered: bool  # a ledger of this run was, so that it may not name all those servers
    chains: tuple[ChainState, ...]
    steps: tuple[Step, ...]  # by the time of their first record
    suspects: tuple[Suspect, ...]  # of this run; () without `at`
    elsewhere: tuple[Suspect, ...]  # of other runs in these ledgers, of those that are not excluded the first
    elsewhere_more: int  # of these, not in `elsewhere`
    elsewhere_excluded: int
    elsewhere_other: int  # by their own records for databases on other servers; neither shown nor all verified
    radius: tuple[ProfileRadius, ...]  # of the profiles of this run, over all runs in these ledgers
    limits: tuple[str, ...]
    errors: tuple[str, ...]  # ledgers that could not be read
    gone: tuple[Gone, ...]  # of ledgers that are gone or cut, and that are not excluded, the first
    gone_more: int  # of these, not in `gone`
    gone_excluded: int
    unread: int  # other ledgers that could not be read


def postmortem(
    dossier: Dossier,
    chosen: Selection,
    at: float | None = None,
    needs: Level = "write",
    *,
    passed: Passed | None = None,
    servers: Servers | None = None,
    gone: Sequence[Gone] = (),
) -> Postmortem:
    """Of the run that `chosen` names, by its id and where need be its repository and attempt.

    `passed`: what else is known of other runs, of which only the first `FEW` near ones are shown then; None: all are in
    the dossier, and shown. `servers`: where the damage was; None: wherever the run could reach. `gone`: what is known
    of the ledgers in the dossier's `gone`, whatever run they are of.

    Raises `UsageError` where no record is of such a run, or records of several repositories are.
    """
    everybody = once(dossier.credentials)
    mine = [(chapter, each) for chapter, each in everybody if chosen.takes(chapter, each)]
    if not mine:
        raise unknown_run(chosen.run, (each.job.get("run_id", "") for _, each in dossier.credentials), gone)
    repositories = {each.job.get("repository_id", ""): chapter.view.repository for chapter, each in mine}
    if len(repositories) > 1:
        names = ", ".join(one_line(name or uid) for uid, name in sorted(repositories.items()))
        raise UsageError(
            f"There is a run {one_line(chosen.run or '?')} of more than one repository: {names}",
            fix="Say which: --repository ID",
            docs="ledger-postmortem",
        )
    ((uid, name),) = repositories.items()
    # A ledger that was changed is named also where another has the same of each credential.
    best = {chapter.source.name for chapter, _ in mine}
    every = [chapter for chapter, each in dossier.credentials if chosen.takes(chapter, each)]
    of_it = [chapter for chapter in every if chapter.source.name in best or is_tampered(chapter)]
    others = [pair for pair in everybody if not chosen.takes(*pair)]
    trusted = dossier.trust is not None
    near = servers or reach(each for _, each in mine)
    ids = {each.credential_uid for _, each in mine}
    here = others if passed is None else [pair for pair in others if _is_near(*pair, near, ids)]
    found = suspects(mine, at, needs, trusted=trusted, servers=servers) if at is not None else []
    elsewhere = suspects(here, at, needs, trusted=trusted, newest_first=True) if at is not None else []
    open_ones = [each for each in elsewhere if each.standing != "excluded"]
    shown = len(open_ones) if passed is None else FEW
    missing = [each for each in gone if at is None or not is_excluded(each, at)]
    told_of = {each.file for each in gone}
    named = len(missing) if passed is None else FEW
    passed = passed or Passed()
    profiles = {each.profile for _, each in mine}
    radius = blast_radius(each for _, each in everybody if each.job.get("repository_id", "") == uid)
    return Postmortem(
        chosen.run or "",
        name or uid,
        dossier.trust.source if dossier.trust is not None else None,
        at,
        needs,
        tuple(sorted(near or ())),
        any(map(is_tampered, of_it)),
        tuple(map(_state, {chapter.source.name: chapter for chapter in of_it}.values())),
        _steps(mine, everybody, at, passed.roles),
        tuple(found),
        tuple(open_ones[:shown]),
        max(0, len(open_ones) - shown),
        len(elsewhere) - len(open_ones),
        len(others) - len(here) + passed.credentials,
        tuple(each for each in radius if each.profile in profiles),
        LIMITS,
        tuple(error.what for error in dossier.errors),
        tuple(nearest(missing, chosen.run or "", at)[:named]),
        max(0, len(missing) - named),
        len(gone) - len(missing),
        sum(each.file not in told_of for each in dossier.lost),
    )


def _is_near(chapter: Chapter, each: CredentialView, servers: Servers | None, ids: Collection[str]) -> bool:
    """Not where it says that it is for another server; but whoever changed a ledger, or repeated `ids` of this run in
    his own, could have it say that."""
    return is_tampered(chapter) or each.credential_uid in ids or not is_elsewhere(each, servers)


def _steps(
    mine: Sequence[Pair], everybody: Sequence[Pair], at: float | None, elsewhere: Mapping[Role, int]
) -> tuple[Step, ...]:
    # By the file, too: ids can be repeated in another ledger, which says nothing of these steps.
    by_step: dict[tuple[Path, str], list[Pair]] = {}
    for chapter, each in sorted(mine, key=lambda pair: pair[1].time or 0.0):
        by_step.setdefault((each.file, each.step_uid), []).append((chapter, each))
    sharing: dict[tuple[Path, str], list[Shared]] = {}
    for one in shared(each for _, each in everybody):
        for key in {_key(each) for each in one.credentials}:
            sharing.setdefault(key, []).append(one)
    lived: dict[tuple[Path, str], list[Overlap]] = {}
    # Within a chain: what lives at the same time on another machine shares nothing by that.
    by_file: dict[Path, list[CredentialView]] = {}
    for _, each in mine:
        by_file.setdefault(each.file, []).append(each)
    for credentials in by_file.values():
        for overlap in overlaps(credentials):
            lived.setdefault(_key(overlap.credential), []).append(overlap)
    same_id = repeats(everybody)
    roles = Counter((each.mount_point, each.role) for _, each in everybody if each.issued and each.role)
    roles.update(elsewhere)
    steps = []
    for (_, uid), pairs in by_step.items():
        here = Counter((each.mount_point, each.role) for _, each in pairs if each.issued and each.role)
        helds = [
            Held(
                chapter,
                each,
                sharing.get(_key(each), ()),
                lived.get(_key(each), ()),
                roles[each.mount_point, each.role] - here[each.mount_point, each.role],
                [name for name in same_id.get(each.credential_uid, ()) if name != chapter.source.name],
            )
            for chapter, each in pairs
        ]
        steps.append(_step(uid, helds, at))
    return tuple(steps)


def _key(each: CredentialView) -> tuple[Path, str]:
    return each.file, each.credential_uid


def _step(uid: str, helds: Sequence[Held], at: float | None) -> Step:
    first = helds[0].credential
    start, end = next(
        (times for held in helds if (times := command_times(held.credential))[0] is not None), (None, None)
    )
    codes = [_exit_code(held.credential) for held in helds]
    return Step(
        next((held.credential.step_name for held in helds if held.credential.step_name), uid[:8]),
        first.job.get("job", ""),
        first.job.get("run_attempt", ""),
        uid,
        start,
        end,
        next((code for code in codes if code is not None), None),
        tuple(held.credential.profile for held in helds),
        answers(helds, at),
    )


def _exit_code(each: CredentialView) -> int | None:
    steps = (closing.get("step") for closing in each.closings)
    codes = (step.get("exit_code") for step in steps if isinstance(step, dict))
    return next((code for code in codes if type(code) is int), None)


def _state(chapter: Chapter) -> ChainState:
    verified = chapter.verified
    found = tuple(map(_finding, verified.findings))
    signing = verified.signing
    return ChainState(chapter.source.name, verified.entries, signing.entries, signing.state, found, verified.closed)


def _finding(each: Finding) -> str:
    where = f"line {each.line}, " if each.line else ""
    return f"{where}{each.layer}/{each.code} ({each.certainty}): {quoted(each.meaning)}"
