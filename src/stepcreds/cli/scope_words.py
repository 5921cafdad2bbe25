"""The phrases of a report of `stepcreds scope`: each in one line, of whatever a server called its things."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.measurement import LEVELS, Finding, Level
from stepcreds.printable import one_line
from stepcreds.scope.judgement import DECLARED, declared
from stepcreds.survey.result import Survey


def verdict(survey: Survey) -> str:
    """In one line what was declared, and what it really is."""
    profile = survey.profile
    if survey.verdict == "unmeasurable":
        reason = getattr(survey.error, "reason", "") or (survey.error.what if survey.error is not None else "")
        return f"UNMEASURABLE: {one_line(reason)}"
    if survey.verdict == "within":
        return f"WITHIN {one_line(declared(profile))}"
    if survey.measured is None:
        return f"EXCESS: declared {one_line(declared(profile))}; the database was not measured"
    level = survey.measured.level
    effective = f"effective {level}"
    if survey.measured.excess and profile.access is not None and not _higher(level, DECLARED[profile.access]):
        effective += " beyond that"
    worst = survey.level or level
    if _higher(worst, level):
        effective += f", and {worst} with its Vault token"
    return f"EXCESS: declared {one_line(declared(profile))}, {effective}"


def _higher(one: Level, other: Level) -> bool:
    return LEVELS.index(one) > LEVELS.index(other)


def unseen(survey: Survey) -> tuple[str, ...]:
    """What nobody looked at, at the database and at Vault."""
    measured = survey.measured.not_examined if survey.measured is not None else ()
    return (*measured, *(f"Vault: {text}" for text in (survey.token.not_examined if survey.token is not None else ())))


def examples(finding: Finding) -> str:
    """Up to three of what it is about, and how many more there are."""
    shown = finding.objects[:3]
    if all(name in finding.what for name in shown):
        return ""  # it says them itself
    more = finding.number - len(shown)
    return f": {', '.join(one_line(name, 80) for name in shown)}" + (f" and {more:,} more" if more > 0 else "")


def before(was: Mapping[str, object], finding: Finding) -> str:
    """What of it was otherwise, in the earlier report."""
    pairs = (("level", finding.level), ("standing", finding.standing), ("via", finding.via), ("count", finding.number))
    return ", ".join(f"{key} {one_line(str(was[key])) or 'nothing'}" for key, now in pairs if was[key] != now)
