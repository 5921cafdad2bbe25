"""What a PostgreSQL session says to lock its own user out: a new password, and the end of every other session."""

from __future__ import annotations

from stepcreds.databases.messages import ServerError
from stepcreds.databases.scram import verifier
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import Connection
from stepcreds.secret import Secret

# A login under way when the password changed shows up as a session a moment later: two quiet looks, not one.
_QUIET_LOOKS, _LOOK_PAUSE = 2, 0.005
# Another session holds the user's row (an ALTER ROLE of its own not yet committed), or changed it at the same time;
# a statement_timeout that the step set for its role came before we had it off.
_PASSING = ("55P03", "XX000", "57014")

# The step may have set anything for its own role (ALTER ROLE CURRENT_USER SET …), to make this fail or do nothing.
ORDERLY = (
    "SET ROLE NONE",  # not RESET ROLE, which goes back to a role set by ALTER ROLE … SET role
    "SET search_path = pg_catalog, pg_temp",
    "SET statement_timeout = 0",  # every wait here has the client's deadline
    "SET lock_timeout = '250ms'",
    # Those that not every version has.
    "SELECT set_config(name, '0', false) FROM unnest('{idle_session_timeout,transaction_timeout}'::text[]) AS name"
    " WHERE current_setting(name, true) IS NOT NULL",
)
_END_OTHER_SESSIONS = (
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = session_user AND pid <> pg_backend_pid()"
)
# Where a COMMIT is answered before it is on disk, a crash of the server undoes it. `local`: no standby is waited for.
_SURVIVING_A_CRASH = (
    "SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'"
)
STATEMENTS = (*ORDERLY, _END_OTHER_SESSIONS, _SURVIVING_A_CRASH)  # all that it asks, but for the password
# SESSION_USER: were SET ROLE NONE to fail, CURRENT_USER would be the owner of the schema.
_CHANGE_PASSWORD = "ALTER ROLE SESSION_USER PASSWORD '{}'"  # noqa: S105 - a statement


def change_of_password(new_password: Secret) -> str:
    """The statement that sets `new_password`, which itself is not in it. It takes some milliseconds to compute."""
    return _CHANGE_PASSWORD.format(verifier(new_password))


def shut_out(session: Connection, change: str, deadline: Deadline, ended: set[str | None]) -> str:
    """Run `change` ("": it was made before) and end every other session; what of it failed, "" if nothing did."""
    failure = ""
    if change:
        failure = _change_password(session, change, deadline, ended)
    elif errors := [answer for answer in session.query_all(ORDERLY) if isinstance(answer, ServerError)]:
        failure = errors[0].in_words
    quiet = 0
    while quiet < _QUIET_LOOKS:
        try:
            others = {pid for pid, *_ in session.query(_END_OTHER_SESSIONS)}
        except ServerError as error:
            if error.fatal:
                raise
            return _both(failure, f"other sessions were not ended: {error.in_words}")
        ended |= others
        quiet = 0 if others else quiet + 1
        if quiet < _QUIET_LOOKS and not deadline.pause(_LOOK_PAUSE):
            return _both(failure, f"{len(others)} other session(s) did not end in time")
    return failure


def _change_password(session: Connection, change: str, deadline: Deadline, ended: set[str | None]) -> str:
    statements = (
        *ORDERLY,
        _END_OTHER_SESSIONS,  # one that holds the user's row would keep the change waiting
        "SET default_transaction_read_only = off",  # holds for transactions that begin after it
        _SURVIVING_A_CRASH,
        change,
    )
    while True:
        *orderly, looked, _, _, changed = session.query_all(statements)
        if not isinstance(looked, ServerError):
            ended |= {pid for pid, *_ in looked}
        errors = [answer for answer in (changed, *orderly) if isinstance(answer, ServerError)]
        if not errors:
            return ""
        if errors[0].sqlstate not in _PASSING or not deadline.pause(_LOOK_PAUSE):
            return f"the password was not changed: {errors[0].in_words}"


def _both(first: str, second: str) -> str:
    return f"{first}; {second}" if first else second
