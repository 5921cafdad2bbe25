"""What has drifted: a survey told as findings, each with why it matters and what mends it; and what else is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stepcreds.errors import VaultError
from stepcreds.setup.answers.issuers import REPOSITORY_ID
from stepcreds.setup.live import accessor, explanation, permissions
from stepcreds.setup.live.administrator import where
from stepcreds.setup.live.difference import Difference
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.survey import DatabaseState, Survey
from stepcreds.setup.plan import Plan, Setting

_MOST = 200  # other roles that are looked at, one request each


class Drift(NamedTuple):
    """One thing that is not as the configuration has it."""

    code: str  # stable, for scripts: "vault.jwt_role.bound_claims", "database.statement"
    place: str  # a path of Vault, or host:port/database
    what: str  # in a sentence; values that were found and wanted are in `found` and `wanted`
    why: str
    fix: str
    found: object = None
    wanted: object = None


class Report(NamedTuple):
    """The comparison as a whole."""

    drift: tuple[Drift, ...]
    notes: tuple[str, ...]  # in sentences, what is there beside the plan; not wrong by itself
    same: int  # objects of Vault and statements of databases that are as they should be
    not_compared: tuple[str, ...]  # in sentences, each with what is missing; it counts as neither right nor wrong

    @property
    def clean(self) -> bool:
        """Whether everything was compared, and is as it should be."""
        return not self.drift and not self.not_compared


def report(
    survey: Survey,
    *,
    examined: Sequence[Drift] = (),
    notes: Sequence[str] = (),
    not_examined: Sequence[str] = (),
    without_databases: bool = False,
) -> Report:
    """`survey` and what else was `examined` of the databases, as findings. Pure.

    `without_databases`: whoever asks knows that they are not looked at, so that is a note. Raises `VaultError` where
    nothing at all could be compared: that must not look like nothing that has drifted.
    """
    if len(survey.unread) == len(survey.differences) and all(each.administrator is None for each in survey.databases):
        raise VaultError(
            "Nothing could be compared",
            cause="The Vault token may not read any of it, and there is no administrator of a database.",
            fix="The policy that is enough to look:\n  stepcreds setup check --print-policy",
            docs="setup-capabilities",
        )
    drift = [found for difference in survey.differences for found in _of_vault(difference)]
    drift += [found for state in survey.databases for found in _of_database(state)]
    left = [
        f"{where(state.plan)}: not so, and {reason}. {statement.why}"
        for state in survey.databases
        for statement, reason in state.left
    ]
    left += [f"{each.setting.path}: left as it is. {each.reason}." for each in survey.left]
    same = sum(difference.action == "same" for difference in survey.differences) + sum(
        len(state.plan.statements) - len(state.missing) - len(state.left)
        for state in survey.databases
        if state.administrator is not None
    )
    not_compared = [f"{each.setting.path}: {each.reason}" for each in survey.unread]
    unseen = [where(state.plan) for state in survey.databases if state.administrator is None]
    if without_databases:
        left += [f"{place}: not looked at (--without-databases)." for place in unseen]
    else:
        not_compared += [f"{place}: no administrator's URL (--database-admin VARIABLE)" for place in unseen]
    return Report((*drift, *examined), (*notes, *left), same, (*not_compared, *not_examined))


def look_around(plan: Plan, live: Live, survey: Survey) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which other roles of Vault have to do with ours: notes, and what could not be looked at, both in sentences."""
    notes: list[str] = []
    not_seen: list[str] = []
    signs = any(map(accessor.is_needed, plan.settings))
    for folder, ours in _folders(plan).items():
        lacking = permissions.missing(permissions.together(map(permissions.to_look_around, ours)), survey.held)
        if lacking:
            words = [f"{' and '.join(permissions.in_order(each))} on {path}" for path, each in lacking.items()]
            not_seen.append(f"other roles at {folder}: the token lacks {', and '.join(words)}")
            continue
        known = {setting.path for setting in ours}
        others = [f"{folder}/{name}" for name in live.names(folder) if f"{folder}/{name}" not in known]
        if len(others) > _MOST:
            notes.append(f"{len(others) - _MOST} of {len(others)} other roles at {folder} were not looked at.")
        for path in others[:_MOST]:
            role = live.read(path) or {}
            said = (_concerns(ours, role), _names_repository(ours, role) if signs else "")
            notes += [f"{path} is not in the configuration, and {each}." for each in said if each]
    return tuple(notes), tuple(not_seen)


def _folders(plan: Plan) -> Mapping[str, Sequence[Setting]]:
    folders: dict[str, list[Setting]] = {}
    for setting in plan.settings:
        if setting.kind in ("jwt_role", "database_role"):
            folders.setdefault(setting.path.rpartition("/")[0], []).append(setting)
    return folders


def _concerns(ours: Sequence[Setting], role: Mapping[str, object]) -> str:
    """What a role that is no profile's has to do with `ours`; "" for nothing."""
    bodies = [setting.body for setting in ours]
    if ours[0].kind == "database_role":
        connection = role.get("db_name")
        return (
            f"issues users through the connection {connection}" if connection in [b["db_name"] for b in bodies] else ""
        )
    policies = _texts(role.get("token_policies"))
    shared = policies & {policy for body in bodies for policy in _texts(body.get("token_policies"))}
    if shared:
        return f"its jobs get the policy {' and '.join(sorted(shared))} too"
    if any(_lets_in(role.get("bound_claims"), body.get("bound_claims")) for body in bodies):
        named = " and ".join(sorted(policies)) or "default"
        return f"jobs of this configuration may log in with it, and get the policy {named}"
    return ""


def _names_repository(ours: Sequence[Setting], role: Mapping[str, object]) -> str:
    """What a login with a role that is no profile's does to the metadata that decides whose key signs."""
    if ours[0].kind != "jwt_role":
        return ""
    body = ours[0].body
    claim, wanted = _repository_claim(role), _repository_claim(body)
    if claim and claim != wanted:
        return f"takes {claim} for the {REPOSITORY_ID} by which the policies decide whose key signs the ledger"
    if not claim and role.get("user_claim") == body["user_claim"]:
        return (
            f"its logins take the {REPOSITORY_ID} away from the entities of these jobs: nothing is signed for them "
            "until they log in again"
        )
    return ""


def _repository_claim(role: Mapping[str, object]) -> str:
    mapped = role.get("claim_mappings")
    names = mapped.items() if isinstance(mapped, Mapping) else ()
    return next((str(claim) for claim, name in names if name == REPOSITORY_ID), "")


def _lets_in(bound: object, ours: object) -> bool:
    """Whether a job that fulfils the claims of `ours` may fulfil those of `bound`, as far as both name them."""
    if not isinstance(bound, Mapping) or not isinstance(ours, Mapping) or not bound:
        return False
    return all(name in ours and _texts(values) & _texts(ours[name]) for name, values in bound.items())


def _texts(value: object) -> set[str]:
    return set(map(str, value)) if isinstance(value, (list, tuple)) else set() if value is None else {str(value)}


def _of_vault(difference: Difference) -> list[Drift]:
    setting, fix = difference.setting, explanation.mends(difference)
    code = f"vault.{setting.kind}"
    if difference.action == "create":
        return [Drift(code, setting.path, "It is not there.", explanation.absent(setting.kind), fix)]
    return [
        Drift(
            f"{code}.{field.name}",
            setting.path,
            f"{field.name} differs.",
            explanation.differs(setting.kind, field),
            fix,
            field.found,
            field.wanted,
        )
        for field in difference.fields
    ]


def _of_database(state: DatabaseState) -> list[Drift]:
    drift = []
    reasons = dict(state.refused)
    for statement in state.missing:
        what, _, mended = reasons.get(statement, "").partition("\n")
        if what:
            fix = mended + "".join(f"\n  {line}" for line in statement.remedy.splitlines())
            drift.append(Drift("database.refused", where(state.plan), f"{what}.", "", fix))
        elif statement.done:
            what = f"Needed: {statement.why}"
            drift.append(Drift("database.statement", where(state.plan), what, "", "stepcreds setup apply"))
    return drift
