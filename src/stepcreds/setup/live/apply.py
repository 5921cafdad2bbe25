"""What was found missing or different, made so: the steps in their order, and what an operator's token needs for them.

A step either happens or fails; whoever runs them knows which were done, and a new survey finds the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.errors import DatabaseError, VaultError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.setup.live import accessor, permissions
from stepcreds.setup.live.administrator import open_session, where
from stepcreds.setup.live.difference import Difference, body_for
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.permissions import Capabilities
from stepcreds.setup.live.rotation import OPEN_FOR, Rotation
from stepcreds.setup.live.rotation import require as require_rotation
from stepcreds.setup.live.survey import DatabaseState, Survey
from stepcreds.setup.plan import Statement


class Step(NamedTuple):
    """One thing to do, in words, and the call that does it."""

    what: str
    run: Callable[[], None]


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
        require_rotation(rotation)
    for state in survey.databases:
        for statement, reason in state.refused:
            raise _refused(state, statement, reason)
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


def _refused(state: DatabaseState, statement: Statement, reason: str) -> DatabaseError:
    what, _, mended = reason.partition("\n")
    remedy = "".join(f"\n  {line}" for line in statement.remedy.splitlines())
    return DatabaseError(
        f"{where(state.plan)} is not ready, and nothing was changed: {one_line(what, 600)}",
        fix=mended + remedy,
        docs="setup-not-ready",
    )


def steps(survey: Survey, rotated: Sequence[Rotation], live: Live, clock: Clock) -> tuple[Step, ...]:
    """Everything that is to be done, the databases first: Vault tries a connection when it is written."""
    passwords = {
        rotation.connection.setting.path: Secret(secrets.token_urlsafe(32)) for rotation in rotated if rotation.forced
    }
    made = list(_database_steps(survey, passwords, clock))
    by_path = {rotation.connection.setting.path: rotation for rotation in rotated}
    for each in survey.differences:
        path = each.setting.path
        body = body_for(each, survey.found.get(path))
        if path in by_path:
            made += _connection_steps(by_path[path], body, passwords.get(path), live)
        elif each.action in ("create", "change"):
            made.append(Step(path, _writing(each, body, live)))
    return tuple(made)


def _connection_steps(
    rotation: Rotation, body: Mapping[str, object], password: Secret | None, live: Live
) -> Iterable[Step]:
    """A connection opens for its roles when Vault alone knows the password, and so shows how far an earlier run got."""
    setting = rotation.connection.setting
    final = {name: value for name, value in body.items() if name not in setting.secret}
    first = {**final, OPEN_FOR: []} if rotation.opens else final
    if password is not None:
        filled = {**first, **{name: password.reveal() for name in setting.secret}}
        what = f"{setting.path}, for no role yet" if rotation.opens else setting.path
        yield Step(what, lambda: live.write(setting.path, filled, hidden=[password]))
    elif rotation.connection.action == "change" and not rotation.opens:
        yield Step(setting.path, lambda: live.write(setting.path, final))
    path = permissions.rotation(setting)
    known = f"from here on Vault alone knows the password of {rotation.state.plan.manager}"
    yield Step(f"{path}: {known}", lambda: live.write(path, {}))
    if rotation.opens:
        yield Step(f"{setting.path}, for its roles", lambda: live.write(setting.path, final))


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


def _writing(each: Difference, body: Mapping[str, object], live: Live) -> Callable[[], None]:
    path = permissions.change_path(each.setting) if each.action == "change" else each.setting.path
    if each.setting.kind == "auth_config":
        return lambda: _write_issuer(path, body, live)
    if accessor.is_needed(each.setting):  # still: the mount was made by a step before this one
        return lambda: live.write(path, accessor.filled(each.setting, live, required=True).body)
    return lambda: live.write(path, body)


def _write_issuer(path: str, body: Mapping[str, object], live: Live) -> None:
    """Vault fetches the issuer's discovery document at once, and says 400 to whatever goes wrong with that."""
    try:
        live.write(path, body)
    except VaultError as error:
        issuer = one_line(str(body.get("oidc_discovery_url")), 300)
        document = f"{issuer}/.well-known/openid-configuration"
        if error.status != 400 or "oidc_discovery_url" not in body:
            raise
        raise VaultError(
            f"Vault cannot use the issuer {issuer}: {one_line('; '.join(error.errors), 600)}",
            status=400,
            errors=error.errors,
            cause=f"When this is written Vault itself fetches {document}. Nobody answers there, its machine is not let "
            "out or does not trust the certificate, or the document names another issuer.",
            fix="The issuer that the claim iss of a job's token has, letter for letter: --issuer URL\n"
            "A certificate of a CA of your own: --issuer-ca FILE\n"
            f"See what Vault's machine gets: curl {document}",
            docs="setup-issuer",
        ) from None


def _to_rotate(rotation: Rotation) -> Capabilities:
    setting = rotation.connection.setting
    needed = [{permissions.rotation(setting): frozenset({"update"})}]
    if rotation.forced or rotation.opens:
        needed.append({setting.path: frozenset({"create", "update"})})
    return permissions.together(needed)
