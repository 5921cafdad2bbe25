"""A measurement in words: the verdict, the worst of it, each finding with its path and its fix; it prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepcreds.config.model import Profile
from stepcreds.errors import ExcessError
from stepcreds.measurement import LEVELS, Finding, Measured
from stepcreds.printable import one_line
from stepcreds.scope.allowances import entry_of
from stepcreds.scope.judgement import declared

MOST = 8  # findings in a message; `stepcreds scope` shows all
LONGEST = 400  # characters of a finding, or a fix


def verdict(profile: Profile, measured: Measured) -> str:
    """What was declared and what was found, for a sentence: "declared read-only in app, and can do more (ddl)"."""
    found = f"more ({_worst_level(measured.excess)})" if measured.excess else f"no more ({measured.level})"
    return f"declared {one_line(declared(profile))}, and can do {found}"


def worst(measured: Measured) -> str:
    """The single worst thing, without a full stop: "it can DROP 3 tables of app, via SET ROLE app_owner"."""
    findings = measured.excess or measured.findings
    if not findings:
        return "it can do nothing"
    finding = max(findings, key=lambda each: LEVELS.index(each.level))
    return one_line(f"it can {finding.what}{_path(finding)}", LONGEST)


def line(finding: Finding) -> str:
    """One finding: what `allow` calls it, what it is, three examples, the path, and why it is what it is."""
    examples = f" ({', '.join(finding.objects)}{', …' if finding.number > len(finding.objects) else ''})"
    shown = examples if finding.objects else ""
    because = f" [{finding.because}]" if finding.because else ""
    return one_line(f"{finding.name}: {finding.what}{shown}{_path(finding)}{because}", LONGEST)


def refusal(profile: Profile, measured: Measured) -> ExcessError:
    """Why the credential is not handed over: what it can do beyond its profile, the worst first."""
    excess = measured.excess
    return ExcessError(
        f"The credential of profile {profile.name} is {verdict(profile, measured)}: {worst(measured)}",
        cause="\n".join(_lines(profile, excess)),
        fix="\n".join(
            [
                *_fixes(excess[:MOST]),
                f"Or accept one of them for a while, under profiles.{profile.name}:",
                "  allow:",
                f"    - {entry_of(excess[0])}",
                "Or have a warning of it: on_excess: warn",
            ]
        ),
        docs="excess",
    )


def warning(profile: Profile, measured: Measured) -> str:
    """What a step says that goes on all the same: the verdict, and a line for each finding."""
    what = f"the credential of profile {profile.name} is {verdict(profile, measured)}"
    said = f"{what}: {worst(measured)}. on_excess: warn lets it pass"
    return "\n".join([said, *_lines(profile, measured.excess)])


def _lines(profile: Profile, excess: Sequence[Finding]) -> list[str]:
    more = len(excess) - MOST
    return [line(each) for each in excess[:MOST]] + (
        [f"and {more} more: stepcreds scope {profile.name}"] if more > 0 else []
    )


def _fixes(findings: Iterable[Finding]) -> list[str]:
    """Each fix once, the one for the worst first."""
    return list(dict.fromkeys(one_line(each.fix, LONGEST) for each in findings if each.fix))


def _worst_level(findings: Iterable[Finding]) -> str:
    return max((each.level for each in findings), key=LEVELS.index)


def _path(finding: Finding) -> str:
    return f", via {finding.via}" if finding.via else ""
