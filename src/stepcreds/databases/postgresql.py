"""PostgreSQL: lock out the issued user, see a login refused, and look for what is left of a user as a witness."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases import tls
from stepcreds.databases.interface import Session, Sighting
from stepcreds.databases.messages import ServerError
from stepcreds.databases.postgresql_lock import ORDERLY, change_of_password, shut_out
from stepcreds.databases.stream import Deadline, UnreachableError
from stepcreds.databases.wire import Connection, connect
from stepcreds.errors import DatabaseError
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

# Too many connections; starting up, shutting down, recovering: these pass, so they are asked again.
_PASSING = ("53300", "57P03")
_PAUSE = 0.05  # seconds between two attempts to connect
_MAX_NAME = 63  # bytes; PostgreSQL cuts off the rest of a name (NAMEDATALEN)


class PostgreSQL:
    """The `Engine` of PostgreSQL 10 and newer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def prepare(self, url: DatabaseURL) -> None:
        if tls.check_mode(url) != "disable":
            tls.context_for(url)

    def lock(
        self,
        url: DatabaseURL,
        username: str,
        password: Secret,
        new_password: Secret,
        *,
        timeout: float,
        last: Callable[[Session], None] | None = None,
    ) -> Lock:
        """See `Engine.lock`. Needs no privilege beyond the login itself, and leaves the server no clear password."""
        deadline = Deadline(self._clock, timeout)
        ended: set[str | None] = set()
        # Computed before there is a session: the step may have given its role an idle_session_timeout of 1 ms.
        change = change_of_password(new_password)
        while True:
            try:
                session, earlier = self._own_session(url, username, password, new_password, deadline)
            except DatabaseError as error:
                return self._no_session(error, len(ended))
            with session:
                try:
                    failure = shut_out(session, "" if earlier else change, deadline, ended)
                except DatabaseError as error:
                    # Whoever else has this credential may end our session as we end theirs.
                    if deadline.pause(_PAUSE):
                        continue
                    failure = error.what
                locked = self._clock.now()
                if last is not None and not failure:
                    last(session)
            detail = "the password had been changed by an earlier attempt at this lock" if earlier else ""
            return Lock("failed" if failure else "locked", locked, failure or detail, len(ended))

    def try_login(self, url: DatabaseURL, username: str, password: Secret, *, timeout: float) -> LoginProof:
        """See `Engine.try_login`."""
        try:
            connect(url, username, password, Deadline(self._clock, timeout)).close()
        except ServerError as error:
            return LoginProof("refused" if error.refuses_login else "unknown", error.in_words)
        except DatabaseError as error:
            return LoginProof("unknown", error.what)
        return LoginProof("accepted", "the login was accepted")

    def absent(self, url: DatabaseURL, username: str, password: Secret, *, dead_user: str, timeout: float) -> Sighting:
        """See `Engine.absent`. Any user may read the names in `pg_roles` and `pg_stat_activity`.

        A session outlives its role; its user is then an id without a name. Such a session could be of any role that
        is gone, also of `dead_user`: nothing is proven while there is one.
        """
        if not 0 < len(dead_user.encode(errors="surrogateescape")) <= _MAX_NAME:
            return Sighting("unknown", "the dead user's name is not one that PostgreSQL could hold")
        try:
            with connect(url, username, password, Deadline(self._clock, timeout)) as session:
                for statement in ORDERLY:
                    session.query(statement)
                (roles, sessions, orphans), *_ = session.query(_witness_query(dead_user))
        except (DatabaseError, ValueError) as error:
            return Sighting("unknown", error.what if isinstance(error, DatabaseError) else "an answer of another form")
        if (roles, sessions, orphans) == ("0", "0", "0"):
            return Sighting("absent")
        if (roles, sessions) == ("0", "0"):
            return Sighting("unknown", f"the role is gone, but {orphans} session(s) of roles that are gone are open")
        return Sighting("present", f"{roles} role(s) and {sessions} session(s) of that name")

    def _own_session(
        self, url: DatabaseURL, username: str, password: Secret, new_password: Secret, deadline: Deadline
    ) -> tuple[Connection, bool]:
        """A session of the user, and whether it took the new password: an earlier lock was cut short after the change.

        The step's connections count against the role's CONNECTION LIMIT until the server sees them closed: hence
        the patience.
        """
        said: ServerError | None = None
        while True:
            try:
                return connect(url, username, password, deadline), False
            except ServerError as error:  # noqa: PERF203 - trying again is what the loop is for
                if error.refuses_login:
                    with suppress(DatabaseError):
                        return connect(url, username, new_password, deadline), True
                if error.sqlstate not in _PASSING or not deadline.pause(_PAUSE):
                    raise
                said = error
            except UnreachableError:
                if said is None or deadline.left() > 0:
                    raise
                raise said from None  # the deadline came in the middle of one more attempt

    def _no_session(self, error: DatabaseError, ended: int) -> Lock:
        now = self._clock.now()
        if not isinstance(error, ServerError):
            return Lock("unreachable", now, error.what, ended)
        detail = error.in_words
        # The limit of the role: the server, or the database, can be full of others.
        if error.sqlstate == "53300" and error.routine == "InitializeSessionUserId":
            detail += "; no connection was left for the lock: sessions of the step still run at the server"
        return Lock("refused" if error.refuses_login else "failed", now, detail, ended)


def _witness_query(dead_user: str) -> str:
    # As hex there is nothing to quote, whatever standard_conforming_strings and the name are.
    name = f"convert_from(decode('{dead_user.encode(errors='surrogateescape').hex()}', 'hex'), 'UTF8')"
    return (
        f"SELECT (SELECT count(*) FROM pg_roles WHERE rolname = {name}),"  # noqa: S608 - hex digits only
        f" (SELECT count(*) FROM pg_stat_activity WHERE usename = {name}),"
        " (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL AND usename IS NULL)"
    )
