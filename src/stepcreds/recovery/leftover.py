"""What may still be alive, by the ledger and by what a step told the CI's runner; it asks no server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stepcreds.config.model import LedgerSettings, Profile
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.credential import server_of
from stepcreds.ledger.privileges import measurement_of
from stepcreds.ledger.reading import CredentialView, chains_of, unclosed, with_lease
from stepcreds.ledger.record import new_uid
from stepcreds.ledger.view import text_of
from stepcreds.measurement import NotMeasured
from stepcreds.model import Holding, Job
from stepcreds.recovery.task import Remembered, Task
from stepcreds.secret import Secret

LOST = NotMeasured("what was found out is lost with the process that issued it")
OUTPUTS = "outputs"  # how the ledger calls the delivery of what was handed out


@dataclass(frozen=True)
class Leftover:
    """A credential that may still be alive."""

    holding: Holding  # without token and password: they are lost
    profile: Profile
    server: str  # as `ledger.credential.server_of` names it, "" where it is no database's
    file: Path | None  # the chain it is on record in; None: in none that is here
    step_uid: str
    said_dead: bool = False  # the ledger says so, and the step that held it never heard of it
    privileges: Mapping[str, object] = field(default_factory=dict)  # what the ledger says that it could do
    is_token: bool = False  # no credential, but the token that was to ask for one


def find(
    task: Task,
    settings: LedgerSettings,
    profiles: Mapping[str, Profile],
    job: Job,
    step_uid: str,
    *,
    by_environment: bool,
) -> tuple[list[Leftover], list[LedgerError]]:
    """What `task` is about, oldest first; and why a chain could not be read. `by_environment`: see `chains_of`.

    Raises `UsageError` for a lease that no profile can have issued.
    """
    if task.lease is not None:
        view = with_lease(settings, task.lease)
        return [_recorded(view, profiles) if view is not None else _unrecorded(task.lease, profiles, step_uid)], []
    views, errors = unclosed(settings, job, whole_run=task.reach == "run", by_environment=by_environment)
    views = [view for view in views if not _went_with_its_token(view)]
    if task.handed_out:
        views = [
            view for view in views if view.delivery == OUTPUTS and (not task.profiles or view.profile in task.profiles)
        ]
    if task.reach == "step":
        views = [view for view in views if view.step_uid == views[-1].step_uid]
    left = {view.credential_uid: _recorded(view, profiles) for view in views}
    if task.remembered:
        chains, _ = chains_of(settings, job, by_environment=by_environment)
        known = {view.credential_uid: view for chain in chains for view in chain.credentials}
        for each in task.remembered:
            uid = each.credential_uid
            remembered = _remembered(each, known.get(uid), profiles)
            # Of one that the ledger has, too, what the runner remembers counts: nobody can have changed that, and a
            # step tells it what it was given before it writes that down.
            left[uid] = replace(remembered, said_dead=False) if uid in left else remembered
    return list(left.values()), errors


def _recorded(view: CredentialView, profiles: Mapping[str, Profile]) -> Leftover:
    holding = Holding(
        view.credential_uid,
        view.profile,
        Secret(""),
        view.token_accessor,
        lease_id=view.lease_id,
        username=view.db_user,
        issue_time=view.issue_time or 0.0,
        expire_time=view.expire_time or 0.0,
        measurement=measurement_of(view.privileges) or LOST,
    )
    profile = _profile(view.profile, view.role, view.creds, profiles)
    return Leftover(holding, profile, view.server, view.file, view.step_uid, privileges=view.privileges)


def _remembered(each: Remembered, view: CredentialView | None, profiles: Mapping[str, Profile]) -> Leftover:
    privileges = view.privileges if view is not None else {}
    holding = Holding(
        each.credential_uid,
        each.profile,
        Secret(""),
        each.accessor,
        lease_id=each.lease_id,
        username=each.username,
        issue_time=each.issue_time,
        expire_time=each.expire_time,
        measurement=measurement_of(privileges) or LOST,
    )
    profile = _profile(each.profile, each.role, each.creds, profiles)
    file = view.file if view is not None else None
    is_token = not each.asked and view is None
    return Leftover(
        holding,
        profile,
        each.server,
        file,
        each.step_uid,
        said_dead=view is not None,
        is_token=is_token,
        privileges=privileges,
    )


def _profile(name: str, role: str, creds: str, profiles: Mapping[str, Profile]) -> Profile:
    """The profile by which it was issued, as far as a login needs it: the configuration may have changed since."""
    known = profiles.get(name) or Profile(name, "", "", None, None)
    return known._replace(role=role, creds=creds)


def _unrecorded(lease_id: str, profiles: Mapping[str, Profile], step_uid: str) -> Leftover:
    """A lease that no ledger here knows: the profile whose creds path it is under says how to end it."""
    for profile in profiles.values():
        if lease_id.startswith(profile.creds + "/"):
            holding = Holding(new_uid(), profile.name, Secret(""), "", lease_id=lease_id, measurement=LOST)
            server = server_of(profile.database) if profile.database is not None else ""
            return Leftover(holding, profile, server, None, step_uid)
    paths = ", ".join(sorted({profile.creds for profile in profiles.values()}))
    raise UsageError(
        "No profile of this configuration issues such a lease",
        cause="The lease id begins with the creds path of the profile it was issued for, and "
        + (f"none of these match: {paths}" if paths else "there is no profile here"),
        fix="Use the stepcreds.yml of the step that held it.",
        docs="revoke",
    )


def _went_with_its_token(view: CredentialView) -> bool:
    """Whether nothing is left to ask: its lease is not known, and what asked for it has been revoked."""
    method, status = (text_of(view.closed, "revoke", name) for name in ("method", "status"))
    return method in ("token", "accessor") and status == "revoked"
