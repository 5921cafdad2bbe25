"""Per profile and run what was declared, granted and, where the database can tell, used; and what less would have done.

Pure, from the records alone. "Not measured" is a state of its own: None, and never taken for "nothing".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from stepcreds.ledger.privileges import used_of as recorded_use
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.measurement import LEVELS, Used
from stepcreds.report.postmortem_copies import latest
from stepcreds.review.lifetimes import command_times

LEAST: Final = 20  # measured runs, before anything is said of a profile
_ACCESS: Final = {"info": "read-only", "read": "read-only", "write": "read-write", "ddl": "ddl"}
_DECLARED: Final = {"read-only": "read", "read-write": "write", "ddl": "ddl"}
_NO_STEP: Final = ("doctor", "scope", "witness")  # deliveries that hand a command nothing
_LONGER: Final = 4  # a ttl that is so many times what the longest command took is worth a remark
_MINUTE: Final = 60
_BECOMING: Final = "SET ROLE "  # how a finding's `via` says that it can take a role


class Run(NamedTuple):
    """One credential of a profile."""

    credential: CredentialView
    declared: str  # "read-only", …; "" where the profile declared nothing
    level: str | None  # the highest that was granted; None: not measured
    digest: str  # of all that was granted; "" not measured
    excess: tuple[str, ...]
    used: Used | None  # None: not measured
    seconds: float | None  # that its command took

    @property
    def run_id(self) -> str:
        return self.credential.job.get("run_id", "")


class PowerChange(NamedTuple):
    """A run whose credential could do something else than the one before it, as far as both were measured."""

    before: Run
    after: Run
    gained: tuple[str, ...]  # findings, "PG.TABLE.WRITE app"; of those that are on record
    lost: tuple[str, ...]


class Narrower(NamedTuple):
    """Less would have done, as far as anybody saw."""

    access: str  # what to put into the profile and into setup
    instead_of: str  # what is declared, or granted beyond it
    runs: int  # with a measured use that it rests on
    text: str


class ProfileRadius(NamedTuple):
    """One profile of one repository over time."""

    repository_id: str
    profile: str
    server: str  # "postgresql://host:port", of the last run; "" where it is no database's
    runs: tuple[Run, ...]  # the oldest first
    changes: tuple[PowerChange, ...]
    narrower: Narrower | None
    remarks: tuple[str, ...]  # why nothing narrower can be named though there are enough runs; a shorter ttl

    @property
    def granted_runs(self) -> int:
        """How many of `runs` were measured for what was granted."""
        return sum(run.level is not None for run in self.runs)

    @property
    def used_runs(self) -> int:
        """How many of `runs` were measured for what was used."""
        return sum(run.used is not None for run in self.runs)

    @property
    def declared(self) -> str:
        return self.runs[-1].declared

    @property
    def granted(self) -> str | None:
        """The level of the last run that was measured; None where none was."""
        return next((run.level for run in reversed(self.runs) if run.level is not None), None)

    @property
    def used(self) -> str | None:
        """The highest level that anybody saw used in any run; None where none was measured."""
        return max((run.used.level for run in self.runs if run.used is not None), key=_rank, default=None)


def blast_radius(credentials: Iterable[CredentialView], least: int = LEAST) -> list[ProfileRadius]:
    """Each profile with its runs, by repository and name; `least` runs measured for use before a narrower is named.

    Credentials that were not issued, and those that no command was to get (`doctor`, `scope`, a witness), are no runs.
    """
    profiles: dict[tuple[str, str], list[Run]] = {}
    # A copy of a ledger, or an older state of it, makes no run more.
    for each in latest(credentials):
        if each.issued and each.delivery not in _NO_STEP:
            profiles.setdefault((each.job.get("repository_id", ""), each.profile), []).append(run_of(each))
    found = []
    for (repository_id, profile), runs in sorted(profiles.items(), key=lambda item: item[0]):
        runs.sort(key=lambda run: run.credential.issue_time or run.credential.time or 0.0)
        narrower, why_not = _narrower(runs, least)
        remarks = (*why_not, *_shorter(runs, least))
        found.append(
            ProfileRadius(
                repository_id, profile, runs[-1].credential.server, tuple(runs), _changes(runs), narrower, remarks
            )
        )
    return found


def run_of(credential: CredentialView) -> Run:
    """What one credential declared, was granted and used."""
    start, end = command_times(credential)
    return Run(
        credential,
        credential.access,
        credential.level or None,
        text_of(credential.privileges, "granted", "digest"),
        credential.excess,
        used_of(credential),
        None if start is None or end is None or end < start else end - start,
    )


def used_of(credential: CredentialView) -> Used | None:
    """What the database counted of its use; None: not measured."""
    said = (record.get("privileges") for record in credential.closings)
    known = (used for each in said if isinstance(each, dict) and (used := recorded_use(each)) is not None)
    return next(known, None)


def _changes(runs: Sequence[Run]) -> tuple[PowerChange, ...]:
    """Where the digest changed from one measured run to the next."""
    measured = [run for run in runs if run.digest]
    return tuple(
        PowerChange(before, after, *_differences(before, after))
        for before, after in pairwise(measured)
        if before.digest != after.digest
    )


def _differences(before: Run, after: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    old, new = _findings(before), _findings(after)
    return tuple(name for name in new if name not in old), tuple(name for name in old if name not in new)


def _findings(run: Run) -> dict[str, None]:
    return {f"{text_of(each, 'code')} {text_of(each, 'subject')}".rstrip(): None for each in _finding_records(run)}


def _finding_records(run: Run) -> list[Mapping[str, object]]:
    granted = run.credential.privileges.get("granted")
    return _objects(granted.get("findings")) if isinstance(granted, dict) else []


def _objects(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _narrower(runs: Sequence[Run], least: int) -> tuple[Narrower | None, tuple[str, ...]]:
    """The narrower access, or why it cannot be named though there would be enough to go by."""
    declared = runs[-1].declared
    granted = next((run.level for run in reversed(runs) if run.level is not None), None)
    measured = [run for run in runs if run.used is not None and run.declared == declared]
    if granted is None or declared not in _DECLARED or len(measured) < least:
        return None, ()
    used = max((run.used.level for run in measured if run.used is not None), key=_rank)
    if _rank(used) >= _rank(granted) or used not in _ACCESS:
        return None, ()
    unknown = [run for run in measured if run.used is not None and run.used.other]
    if unknown:
        why = (
            f"In {len(unknown)} of {len(measured)} measured runs statements were run of which nobody can say what they "
            "did (functions, DO blocks): no narrower access can be named."
        )
        return None, (why,)
    unseen = _unseen_roles(runs, measured, used)
    if unseen:
        why = (
            f"What it did as {', '.join(unseen)} nobody counted, and it can do more so (SET ROLE): no narrower access "
            "can be named."
        )
        return None, (why,)
    seen = "no statement that needs any power" if used == "info" else f"no more than {used}"
    access = _ACCESS[used]
    if _rank(_DECLARED[declared]) > _rank(_DECLARED[access]):
        change, instead_of = f"access: {access} instead of {declared}", declared
    else:
        change, instead_of = f"nothing beyond access: {declared}, which it has ({granted})", granted
    text = (
        f"{change}: {len(measured)} measured runs used {seen}. The counts are a lower bound: what views, triggers and "
        "functions did, and statements that failed, are not in them."
    )
    return Narrower(access, instead_of, len(measured), text), ()


def _unseen_roles(runs: Sequence[Run], measured: Sequence[Run], used: str) -> list[str]:
    """Roles whose power, beyond what was used, it can take, and as whom not every measured run was counted."""
    last = next(run for run in reversed(runs) if run.level is not None)
    ways = {
        way
        for each in _finding_records(last)
        if _rank(text_of(each, "level")) > _rank(used)
        for way in text_of(each, "via").split("; ")
        if way.startswith(_BECOMING)
    }
    roles = {way.removeprefix(_BECOMING) for way in ways}
    return sorted(role for role in roles if any(run.used is None or role not in run.used.roles for run in measured))


def _shorter(runs: Sequence[Run], least: int) -> tuple[str, ...]:
    """A ttl that is far longer than any command was. It is renewed, so a shorter one ends no command early."""
    declared = runs[-1].credential.requested.get("declared")
    ttl = declared.get("ttl") if isinstance(declared, dict) else None
    took = [run.seconds for run in runs if run.seconds is not None and run.credential.delivery == "exec"]
    if not isinstance(ttl, int) or len(took) < least:
        return ()
    enough = max(1, math.ceil(max(took) / _MINUTE)) * _MINUTE
    if ttl < _LONGER * enough:
        return ()
    return (
        f"ttl: {enough // _MINUTE}m instead of {ttl} s: the longest of {len(took)} commands took {max(took):.0f} s, "
        "and a ttl is renewed while the command runs. It bounds how long a credential outlives a runner that dies.",
    )


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)
