"""What was found missing or different, made so: the steps in their order, and what an operator's token needs for them.

A step either happens or fails; whoever runs them knows which were done, and a new survey finds the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.databases.stream import place
from stepcreds.errors import StepcredsError, UsageError, VaultError
from stepcreds.secret import Secret
from stepcreds.setup import permissions
from stepcreds.setup.administrator import open_session, where
from stepcreds.setup.difference import Difference, body_for
from stepcreds.setup.live import Live
from stepcreds.setup.permissions import Capabilities
from stepcreds.setup.survey import DatabaseState, Survey


class Step(NamedTuple):
    """One thing to do, in words, and the call that does it."""

    what: str
    run: Callable[[], None]


class Rotation(NamedTuple):
    """A management user that gets a password which Vault alone knows."""

    state: DatabaseState
    connection: Difference
    why: str
    # Whether an administrator has to set one first; else Vault can also replace the one that it has.
    needs_administrator: bool

    @property
    def sets(self) -> bool:
        """Whether the administrator sets one first."""
        return self.state.administrator is not None


def rotations(survey: Survey, *, asked: bool) -> tuple[Rotation, ...]:
    """Whose password is made anew: where Vault has no connection, where the database has no user, where it is `asked`.

    Never for another reason: another Vault may log in as the same user.
    """
    made = []
    for state, connection in survey.connections:
        renamed = any(field.name == "username" for field in connection.fields)
        if connection.action == "create":
            why = "Vault has no connection with it yet"
        elif renamed:
            why = "Vault logs in as somebody else"
        elif not state.has_manager:
            why = "the database does not have it"
        elif asked:
            why = "you asked for it"
        else:
            continue
        made.append(Rotation(state, connection, why, needs_administrator=connection.action == "create" or renamed))
    return tuple(made)


def lacking(survey: Survey, rotated: Sequence[Rotation]) -> Capabilities:
    """What the token may not do and would have to; by path."""
    needed: list[Capabilities] = [permissions.to_read(each.setting) for each in survey.differences]
    needed += [permissions.to_write(each) for each in survey.pending]
    # What could not be read may have to be written.
    needed += [permissions.to_write(each._replace(action="create")) for each in survey.unread]
    needed += [_to_rotate(rotation) for rotation in rotated]
    return permissions.missing(permissions.together(needed), survey.held)


def require(survey: Survey, rotated: Sequence[Rotation]) -> None:
    """Raises `UsageError` or `VaultError` unless everything can be done, so that nothing is left half done."""
    for rotation in rotated:
        if rotation.needs_administrator and not rotation.sets:
            raise _no_administrator(rotation)
    for conflict in survey.conflicts:
        raise VaultError(
            f"{conflict.setting.path} cannot become what the plan wants: {conflict.reason}",
            fix="Choose another mount or key in stepcreds.yml, or remove what is there if nothing needs it.",
            docs="setup-conflict",
        )
    missing = lacking(survey, rotated)
    if missing:
        words = [f"{path}: {', '.join(permissions.in_order(missing[path]))}" for path in sorted(missing)]
        raise VaultError(
            "Your Vault token may not do all of this, and nothing was changed",
            status=403,
            cause="\n".join(words),
            fix="As a policy, with what the token has there already:\n"
            + permissions.policy(
                {path: missing[path] | survey.held.get(path, frozenset()) - {"deny"} for path in missing}
            )
            + "The whole policy that `setup apply` needs: stepcreds setup apply --print-policy",
            docs="setup-capabilities",
        )


def steps(survey: Survey, rotated: Sequence[Rotation], live: Live, clock: Clock) -> tuple[Step, ...]:
    """Everything that is to be done, the databases first: Vault tries a connection when it is written."""
    passwords = {
        rotation.connection.setting.path: Secret(secrets.token_urlsafe(32)) for rotation in rotated if rotation.sets
    }
    made = list(_database_steps(survey, passwords, clock))
    by_path = {rotation.connection.setting.path: rotation for rotation in rotated}
    for each in survey.differences:
        path = each.setting.path
        if each.action in ("create", "change") or path in passwords:
            made.append(Step(path, _writing(survey, each, passwords.get(path), live)))
        if path in by_path:
            where = permissions.rotation(each.setting)
            what = f"{where}: from here on Vault alone knows the password of {by_path[path].state.plan.manager}"
            made.append(Step(what, lambda where=where: live.write(where, {})))  # type: ignore[misc]
    return tuple(made)


def _database_steps(survey: Survey, passwords: Mapping[str, Secret], clock: Clock) -> Iterable[Step]:
    for state, connection in survey.connections:
        password = passwords.get(connection.setting.path)
        if state.administrator is None or not (state.missing or password is not None):
            continue
        number = len(state.missing) + (password is not None)
        yield Step(f"{where(state.plan)}: {number} statement{'s' * (number > 1)}", _running(state, password, clock))


def _running(state: DatabaseState, password: Secret | None, clock: Clock) -> Callable[[], None]:
    def run() -> None:
        assert state.administrator is not None  # noqa: S101 - there is no step otherwise
        with open_session(state.plan, state.administrator, clock) as session:
            session.run(password)

    return run


def _writing(survey: Survey, each: Difference, password: Secret | None, live: Live) -> Callable[[], None]:
    setting, found = each.setting, survey.found.get(each.setting.path)
    body = body_for(each, found)
    path = setting.path
    if each.action == "change":
        path = permissions.change_path(setting)
        if path != setting.path:
            body = {field.name: field.wanted for field in each.fields}

    def write() -> None:
        filled = body if password is None else {**body, **{name: password.reveal() for name in setting.secret}}
        live.write(path, filled, hidden=[password] if password is not None else [])

    return write


def _to_rotate(rotation: Rotation) -> Capabilities:
    setting = rotation.connection.setting
    needed = [{permissions.rotation(setting): frozenset({"update"})}]
    if rotation.sets:
        needed.append({setting.path: frozenset({"create", "update"})})
    return permissions.together(needed)


def _no_administrator(rotation: Rotation) -> StepcredsError:
    plan = rotation.state.plan
    return UsageError(
        f"Vault's connection {rotation.connection.setting.path} needs a password of {plan.manager} at "
        f"{place(plan.url.host, plan.url.port)}, and there is no administrator of the database to set one",
        cause="Vault replaces the password at once by one that it alone knows, but somebody has to set the first. "
        "Nothing was changed.",
        fix="Give the administrator's URL in an environment variable: --database-admin VARIABLE\n"
        "Or let the database's administrator run what `stepcreds setup --format sql` prints, write the connection as "
        "`stepcreds setup --format shell` shows it, and come back for the rest.",
        docs="setup-administrator",
    )
