"""Holds what a credential can do against what its profile declares; pure: it asks nobody and prints nothing.

A finding is excess where its level is over the declared one, or where it is about something outside of the declared
databases, schemas, tables and columns. What is worth knowing and no power (`info`) never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from stepcreds.config.model import Access, Profile
from stepcreds.measurement import LEVELS, Finding, Level
from stepcreds.scope.allowances import stand

DECLARED: Final[dict[Access, Level]] = {"read-only": "read", "read-write": "write", "ddl": "ddl"}
_STANDINGS: Final = ("excess", "allowed", "within")
# Of one level, what is worse than the rest of it: the end of a code. A sentence about the worst begins with these.
_GRAVEST: Final = ("SUPERUSER", "DATABASE.OWN", "SCHEMA.OWN", "TABLE.OWN", "TABLE.WRITE", "TABLE.READ")
_SHOWN: Final = 3  # of the declared relations and columns, in a sentence


def judge(findings: Iterable[Finding], profile: Profile, today: str) -> tuple[Finding, ...]:
    """Each finding with its standing: excess first, and within one standing the worst first.

    `today` is the UTC date, YYYY-MM-DD, which decides over what is allowed.
    """
    return tuple(sorted((_judged(finding, profile, today) for finding in findings), key=_rank))


def declared(profile: Profile) -> str:
    """What the profile declares, for a sentence: "read-only in app"."""
    places = (*profile.tables, *profile.columns) or profile.schemas or profile.databases
    access = profile.access or "nothing"
    return f"{access} in {_listed(places)}" if places else access


def _rank(finding: Finding) -> tuple[int, int, int, tuple[str, ...]]:
    grave = next((at for at, end in enumerate(_GRAVEST) if finding.code.endswith(end)), len(_GRAVEST))
    names = finding.code, finding.subject, finding.database, finding.via
    return _STANDINGS.index(finding.standing), -LEVELS.index(finding.level), grave, names


def _judged(finding: Finding, profile: Profile, today: str) -> Finding:
    because = _excess(finding, profile)
    return stand(finding, because, profile, today) if because else finding._replace(standing="within", because="")


def _excess(finding: Finding, profile: Profile) -> str:
    """Why the finding goes beyond the profile, "" where it does not."""
    if finding.level == "info":
        return ""
    if profile.access is None or LEVELS.index(finding.level) > LEVELS.index(DECLARED[profile.access]):
        return f"{finding.level}, and the profile declares {profile.access or 'no access'}"
    return _outside(finding, profile)


def _outside(finding: Finding, profile: Profile) -> str:
    """Which of the declared places the finding is outside of, "" where it is inside of all."""
    if not finding.database:
        return "it holds for the whole server"
    if finding.database not in databases(profile):
        return f"the profile does not declare the database {finding.database}"
    if profile.schemas and not finding.schema:
        return f"it holds for the whole database, and the profile declares the schemas {_listed(profile.schemas)}"
    if profile.schemas and finding.schema not in profile.schemas:
        return f"the profile does not declare the schema {finding.schema}"
    return _beside(finding, profile)


def _beside(finding: Finding, profile: Profile) -> str:
    """Whether it is about relations or columns that the profile leaves out.

    A relation that is declared may be used whole, a column that is declared alone. What is about no relation of its
    own (a schema's other tables, the right to create more) goes beyond a list of relations.
    """
    if not (profile.tables or profile.columns) or (finding.table and finding.table in profile.tables):
        return ""
    # A column whose own name has a dot is taken for none of a declared table: a list that is in doubt is too short.
    if finding.columns and all(
        column in profile.columns or column.rpartition(".")[0] in profile.tables for column in finding.columns
    ):
        return ""
    return f"the profile declares only {_listed((*profile.tables, *profile.columns))}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def databases(profile: Profile) -> tuple[str, ...]:
    """The names of the databases that `access` is about."""
    return profile.databases or ((profile.database.database,) if profile.database is not None else ())
