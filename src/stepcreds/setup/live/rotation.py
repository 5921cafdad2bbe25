"""When the user that Vault logs in to a database as gets a new password: never without a reason that is told."""

from __future__ import annotations

from typing import Final, NamedTuple

from stepcreds.databases.stream import place
from stepcreds.errors import UsageError
from stepcreds.setup.live.difference import Difference
from stepcreds.setup.live.survey import DatabaseState, Survey

OPEN_FOR: Final = "allowed_roles"  # the field of a connection that says which roles may issue users through it

_RENAMED = "Vault logged in as another until now, and only that one can end what it issued: let no step run meanwhile"


class Rotation(NamedTuple):
    """A management user that gets a password which Vault alone knows."""

    state: DatabaseState
    connection: Difference
    why: str
    # An administrator sets a password first. Else Vault changes the one that it has: nothing is lost if that fails.
    forced: bool
    opens: bool  # whether the connection is for no role until Vault alone knows the password
    asked: bool


def rotations(survey: Survey, *, asked: bool) -> tuple[Rotation, ...]:
    """Whose password is made anew: where Vault has no connection, where the database has no user, where it is `asked`.

    Never for another reason: another Vault may log in as the same user.
    """
    made = []
    for state, connection in survey.connections:
        fields = {field.name: field for field in connection.fields}
        absent, renamed = connection.action == "create", "username" in fields
        # So an earlier run leaves it that ended before Vault had replaced the password.
        shut = OPEN_FOR in fields and not fields[OPEN_FOR].found
        why = (
            "Vault has no connection with it yet" if absent
            else _RENAMED if renamed
            else "the database does not have it" if not state.has_manager
            else "an earlier run did not get that far" if shut
            else "you asked for it" if asked
            else ""
        )  # fmt: skip
        if why:
            forced = absent or renamed or not state.has_manager
            made.append(Rotation(state, connection, why, forced, absent or shut, asked))
    return tuple(made)


def require(rotation: Rotation) -> None:
    """Raises `UsageError` where nobody can set the password, and where that would lock somebody else out."""
    plan, path = rotation.state.plan, rotation.connection.setting.path
    at = place(plan.url.host, plan.url.port)
    if rotation.forced and rotation.state.administrator is None:
        raise UsageError(
            f"Vault's connection {path} needs a password of {plan.manager} at {at}, and there is no administrator of "
            "the database to set one",
            cause="Vault replaces the password at once by one that it alone knows, but somebody has to set the first. "
            "Nothing was changed.",
            fix="Give the administrator's URL in an environment variable: --database-admin VARIABLE\n"
            "Or let the database's administrator run what `stepcreds setup --format sql` prints, write the connection "
            "as `stepcreds setup --format shell` shows it, and come back for the rest.",
            docs="setup-administrator",
        )
    if rotation.forced and rotation.state.manager_in_use and not rotation.asked:
        raise UsageError(
            f"Somebody logs in to {at} as {plan.manager}, and it is not Vault's connection {path}",
            cause="Another Vault, or another connection, has this user. A new password would lock it out. Nothing was "
            "changed.",
            fix="Give this connection a user of its own: --manager NAME\n"
            "Or, if nothing else is to log in as this one: --rotate-manager",
            docs="setup-administrator",
        )
