"""Holds what a credential can do against what its profile declares; pure: it asks nobody and prints nothing.

A finding is excess where its level is over the declared one, or where it is about something outside of the declared
databases, schemas, tables and columns. What is worth knowing and no power (`info`) never is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stepcreds.config.model import Access, Allowance, Profile
from stepcreds.measurement import LEVELS, Finding, Level

DECLARED: Final[dict[Access, Level]] = {"read-only": "read", "read-write": "write", "ddl": "ddl"}


def judge(findings: Iterable[Finding], profile: Profile) -> tuple[Finding, ...]:
    """Each finding with its standing: excess first, and within one standing the worst first."""
    allowances = {entry.what: entry for entry in profile.allow}
    judged = [_judged(finding, profile, allowances.get(finding.name)) for finding in findings]
    return tuple(sorted(judged, key=_rank))


def _rank(finding: Finding) -> tuple[int, int, str, str]:
    standing = ("excess", "allowed", "within").index(finding.standing)
    return standing, -LEVELS.index(finding.level), finding.code, finding.subject


def _judged(finding: Finding, profile: Profile, allowance: Allowance | None) -> Finding:
    because = _excess(finding, profile)
    if not because:
        return finding
    if allowance is not None:
        accepted = f"allowed until {allowance.expires}: {allowance.reason}"
        return finding._replace(standing="allowed", because=accepted)
    return finding._replace(standing="excess", because=because)


def _excess(finding: Finding, profile: Profile) -> str:
    """Why the finding goes beyond the profile, "" where it does not."""
    declared = DECLARED[profile.access or "read-only"]
    if finding.level == "info":
        return ""
    if LEVELS.index(finding.level) > LEVELS.index(declared):
        return f"{finding.level}, and the profile declares {profile.access}"
    return _outside(finding, profile)


def _outside(finding: Finding, profile: Profile) -> str:
    """Which of the declared places the finding is outside of, "" where it is inside of all."""
    databases = profile.databases or ((profile.database.database,) if profile.database is not None else ())
    if not finding.database:
        return "it holds for the whole server"
    if finding.database not in databases:
        return f"the profile does not declare the database {finding.database}"
    if profile.schemas and not finding.schema:
        return f"it holds for the whole database, and the profile declares the schemas {', '.join(profile.schemas)}"
    if profile.schemas and finding.schema not in profile.schemas:
        return f"the profile does not declare the schema {finding.schema}"
    return _beside(finding, profile)


def _beside(finding: Finding, profile: Profile) -> str:
    """Whether it is about relations or columns that the profile leaves out."""
    if not (profile.tables or profile.columns) or (finding.table and finding.table in profile.tables):
        return ""
    if finding.columns and set(finding.columns) <= set(profile.columns):
        return ""
    return f"the profile declares only {', '.join((*profile.tables, *profile.columns)[:3])}"
