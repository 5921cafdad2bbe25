"""The end of a job on GitHub: nothing that stepcreds issued in it may be left alive; its chain is closed and copied.

A job with several uses of the Action has several ends, the last use's first. Each ends whatever is left of the job, so
that the first of them usually does it all; and each goes by what its own step told the runner (`state`), because later
steps can rewrite the workspace and the ledger. What a step told of what it held is looked up at Vault, whatever the
ledger says of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepcreds import recovery
from stepcreds.action.inputs import Inputs
from stepcreds.action.saved import Saved
from stepcreds.action.standing import has_changed
from stepcreds.ci.interface import CI
from stepcreds.clock import Clock
from stepcreds.config.model import LedgerSettings
from stepcreds.errors import ConfigError, LedgerError, StepcredsError
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.push import PATIENCE
from stepcreds.ledger.reading import chains_of, unclosed
from stepcreds.ledger.record import new_uid
from stepcreds.model import Job
from stepcreds.recovery.ending import NOTHING_DONE
from stepcreds.recovery.handed_out import forget
from stepcreds.recovery.leftover import find
from stepcreds.review.sources import local
from stepcreds.review.verification import verify
from stepcreds.session import words
from stepcreds.session.step import Surroundings, Voice
from stepcreds.shipping import ship

FAILED = 1


def end_job(inputs: Inputs, saved: Saved, redirected: Sequence[str], around: Surroundings) -> int:
    """End what is left of this job, close its chain, copy it; the code to exit with: 0, or 1 where something failed.

    `redirected`: in what the environment leads to another Vault now than the step's.
    """
    if has_changed(saved):
        around.voice.warn(
            f"{saved.path} has changed since the step that got the credential: the end of the job goes by what it said "
            "then"
        )
    if redirected and saved.vault is not None:
        around.voice.warn(
            f"the environment of this job leads to another Vault now ({', '.join(redirected)}) than that of the step: "
            f"the end of the job asks {' and '.join(saved.vault.addresses)}, as the step did. Look for what sets "
            "STEPCREDS_VAULT_ADDR, VAULT_… or BAO_… (a line in GITHUB_ENV)"
        )
    task = recovery.Task(
        reach="job",
        close=True,
        remembered=saved.credentials,
        job_is_over=True,
        speaks=False,
        without_proof=inputs.on_revoke_failure or "profile",
        summary=inputs.summary,
    )
    return recovery.run(task, around, lambda report: _conclude(report, saved, around))


def _conclude(report: recovery.Report, saved: Saved, around: Surroundings) -> int:
    voice = around.voice
    forget(around, report)
    failures = 0 if report.tolerable else 1
    for error in (*_forgotten(saved, around.environment), *_gone(saved, around.clock), *_altered(report.chains)):
        failures += 1
        voice.fail(error)
    places, lost = _copy(report, around)
    failures += lost
    if report.proven and not failures:
        ending = f"{'; '.join(f.name for f in report.closed)} is closed" if report.closed else ""
        where = f"copied to {' and '.join(places)}" if places else ""
        voice.say("; ".join(filter(None, ("the job is over, and nothing of it is alive", ending, where))))
    return FAILED if failures else 0


def _forgotten(saved: Saved, environment: Mapping[str, str]) -> list[StepcredsError]:
    """The failure of a job whose runner remembers nothing of a step: the first thing that a step does is to tell it."""
    if saved.begun or not environment.get("GITHUB_STATE"):
        return []
    return [
        LedgerError(
            "The runner remembers nothing of this step of the Action",
            cause="Each tells it at once that it has begun. It was killed before that; or what it ran emptied its "
            "state (GITHUB_STATE), and killed all of it.",
            fix="Look at what this step ran. What the ledger tells of this job is ended; whether the step had a "
            "credential that is on no record, only Vault's audit log can tell.",
            docs="altered-ledger",
        )
    ]


def _gone(saved: Saved, clock: Clock) -> list[StepcredsError]:
    """The failure of a job whose ledger somebody removed or replaced, so that nobody knows of its other steps."""
    if not saved.ledger:
        return []
    try:
        if Journal.at(Path(saved.ledger), clock=clock).chain_uid == saved.chain_uid:
            return []
        cause = "There is another chain in its file"
    except LedgerError as error:
        cause = error.what
    return [
        LedgerError(
            "The ledger that this job's steps wrote is not there any more",
            cause=f"{cause}. Something removed or replaced it after the step.",
            fix="What this step itself held is ended. Whether a step with `shell: stepcreds exec …` left something, "
            "only Vault's audit log can tell. Set ledger.path to a folder that no step cleans, and ledger.push.",
            docs="altered-ledger",
        )
    ]


def _altered(chains: tuple[Path, ...]) -> list[StepcredsError]:
    """The failure of a job with a chain in which somebody wrote what stepcreds does not write."""
    found = [
        finding for result in verify(local(chains)) for finding in result.findings if finding.certainty == "tampered"
    ]
    if not found:
        return []
    lines = [f"{Path(f.file).name}:{f.line}: {f.layer}/{f.code}: {f.meaning}" for f in found[:5]]
    return [
        LedgerError(
            "The ledger of this job was altered",
            cause="\n".join(lines),
            fix="Keep the file as evidence, and look at the steps of this job. What was in the lines that were altered "
            "may have been a credential: Vault's audit log knows.",
            docs="altered-ledger",
        )
    ]


def _copy(report: recovery.Report, around: Surroundings) -> tuple[list[str], int]:
    """Where the chains went, and how many failures of the job it is that one did not."""
    settings, voice = around.config.ledger, around.voice
    if settings.push is None:
        # Once, by the end that closes it; what is somewhere else than the runner's own folder is its owner's to keep.
        if report.closed and _is_temporary(settings, around.environment):
            voice.warn(
                "the ledger of this job ends with its runner, because nothing says where to copy it. Set ledger.push "
                "in stepcreds.yml: to artifact, to a folder, or to an object store"
            )
        return [], 0
    places, failures = [], 0
    until = around.clock.monotonic() + PATIENCE  # for all of them: a store that hangs holds no job for longer
    for file in report.chains:
        try:
            left = max(until - around.clock.monotonic(), 1.0)
            place = ship(file, settings, around.environment, around.clock, left)
        except StepcredsError as error:
            if settings.on_push_failure == "fail":
                failures += 1
                voice.fail(error)
            else:
                voice.warn("\n".join(text for text in (error.what, error.cause, error.fix) if text))
        else:
            places += [place] if place else []
    return places, failures


def _is_temporary(settings: LedgerSettings, environment: Mapping[str, str]) -> bool:
    temporary = environment.get("RUNNER_TEMP", "")
    return bool(temporary) and settings.path.is_relative_to(temporary)


def end_without_configuration(
    error: StepcredsError,
    inputs: Inputs,
    saved: Saved,
    environment: Mapping[str, str],
    ci: CI,
    clock: Clock,
    voice: Voice,
) -> int:
    """The end of a job whose configuration cannot be read: fine if there is nothing to end, and loud if there is."""
    temporary = environment.get("RUNNER_TEMP", "")
    settings = LedgerSettings(Path(saved.ledger).parent if saved.ledger else Path(temporary, "stepcreds"), None)
    job = ci.job({}, environment)
    forgotten = _forgotten(saved, environment)
    for failure in forgotten:
        voice.fail(failure)
    views, errors = unclosed(settings, job, by_environment=True)
    if not views and not errors and not saved.credentials:
        closed = _close(settings, job, clock)
        if closed:
            voice.warn(
                f"{'; '.join(file.name for file in closed)} is closed, and copied nowhere: what says where cannot be "
                f"read. {_first(error)}"
            )
        if not forgotten:
            voice.say("the job is over, and nothing of it is alive")
        return FAILED if forgotten else 0
    voice.fail(error)
    for failure in errors:
        voice.fail(failure)
    failures = len(forgotten) + len(errors)
    task = recovery.Task(reach="job", remembered=saved.credentials)
    for leftover in find(task, settings, {}, job, "", by_environment=True)[0]:
        unproven = words.unproven(leftover.holding, NOTHING_DONE, job_is_over=True)
        if inputs.on_revoke_failure == "warn":
            voice.warn("\n".join(text for text in (unproven.what, unproven.cause, unproven.fix) if text))
        else:
            failures += 1
            voice.fail(unproven)
    return FAILED if failures else 0


def _close(settings: LedgerSettings, job: Job, clock: Clock) -> list[Path]:
    """Close the chains of a job of which nothing is left; those that were open."""
    files = [chain.file for chain in chains_of(settings, job, by_environment=True)[0] if not chain.closed]
    for file in files:
        Journal.at(file, clock=clock).close(new_uid())
    return files


def _first(error: StepcredsError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else ()
    return f"{problems[0].where}: {problems[0].what}" if problems else error.what
