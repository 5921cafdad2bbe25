"""MySQL and MariaDB: lock out the issued user and see a login refused. A user there cannot be a witness for another.

Run against MariaDB 10.11. MySQL 8 is written from its manual ("ALTER USER Statement", "KILL Statement") and counts
as experimental.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases import interface, tls
from stepcreds.databases.interface import Sighting
from stepcreds.databases.mysql_session import RefusedError, Session, open_session, require_driver
from stepcreds.databases.stream import Deadline, UnreachableError
from stepcreds.errors import DatabaseError, UnsupportedError
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

# Too many connections: of the user (they pass when the step's own are closed), of the server, which is full of others.
_OF_THE_USER = (1203, 1226)
_PASSING = (1040, *_OF_THE_USER)
_PAUSE = 0.05  # seconds between two attempts to connect
_QUIET_LOOKS, _LOOK_PAUSE = 2, 0.005
_NO_SUCH_THREAD = 1094


class MySQL:
    """The `Engine` of MySQL and MariaDB."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def prepare(self, url: DatabaseURL) -> None:
        require_driver()
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
        last: Callable[[interface.Session], None] | None = None,
    ) -> Lock:
        """See `Engine.lock`. Every user may change its own password and end its own sessions."""
        deadline = Deadline(self._clock, timeout)
        earlier = False
        try:
            try:
                session = _own_session(url, username, password, deadline)
            except RefusedError as error:
                if not error.refuses_login:
                    raise
                try:
                    session, earlier = open_session(url, username, new_password, deadline), True
                except DatabaseError:
                    raise error from None
        except (DatabaseError, UnsupportedError) as error:
            return self._no_session(error)
        ended: set[object] = set()
        failures = []
        with session:
            try:
                # Before the change too, which waits for who holds the users (a backup: FLUSH TABLES WITH READ LOCK):
                # the plugin's own revocation ends no session. An expired password lets in the change alone.
                with suppress(RefusedError):
                    _end_others(session, username, ended)
                failures.append("" if earlier else _change_password(session, new_password))
                failures.append(_end_sessions(session, username, deadline, ended))
            except DatabaseError as error:
                failures.append(error.what)
        failure = "; ".join(text for text in failures if text)
        detail = "the password had been changed by an earlier attempt at this lock" if earlier else ""
        return Lock("failed" if failure else "locked", self._clock.now(), failure or detail, len(ended))

    def try_login(self, url: DatabaseURL, username: str, password: Secret, *, timeout: float) -> LoginProof:
        """See `Engine.try_login`. A server asks for TLS (`REQUIRE SSL`) with the same words as for another password."""
        try:
            open_session(url, username, password, Deadline(self._clock, timeout)).close()
        except RefusedError as error:
            return LoginProof("refused" if error.refuses_login else "unknown", error.in_words)
        except (DatabaseError, UnsupportedError) as error:
            return LoginProof("unknown", error.what)
        return LoginProof("accepted", "the login was accepted")

    def absent(self, url: DatabaseURL, username: str, password: Secret, *, dead_user: str, timeout: float) -> Sighting:
        """See `Engine.absent`: always `unknown`. Other users and their sessions show to administrators only."""
        return Sighting("unknown", "a user of MySQL or MariaDB cannot see whether another one exists")

    def _no_session(self, error: DatabaseError | UnsupportedError) -> Lock:
        now = self._clock.now()
        if not isinstance(error, RefusedError):
            return Lock("unreachable" if isinstance(error, DatabaseError) else "failed", now, error.what)
        detail = error.in_words
        if error.number in _OF_THE_USER:
            detail += "; no connection was left for the lock: sessions of the step still run at the server"
        return Lock("refused" if error.refuses_login else "failed", now, detail)


def _own_session(url: DatabaseURL, username: str, password: Secret, deadline: Deadline) -> Session:
    said: RefusedError | None = None
    while True:
        try:
            return open_session(url, username, password, deadline)
        except RefusedError as error:  # noqa: PERF203 - trying again is what the loop is for
            if error.number not in _PASSING or not deadline.pause(_PAUSE):
                raise
            said = error
        except UnreachableError:
            if said is None or deadline.left() > 0:
                raise
            raise said from None  # the deadline came in the middle of one more attempt


def _change_password(session: Session, new_password: Secret) -> str:
    """ "" if it was changed, else why not: the sessions are to be ended all the same."""
    changes = _changes(session, new_password)
    failure = ""
    for statement, value in changes:
        try:
            session.query(statement, value)
        except RefusedError as error:  # noqa: PERF203 - the next statement is for a server that refuses this one
            failure = f"the password was not changed: {error.in_words}"
        else:
            return ""
    return failure


def _changes(session: Session, new_password: Secret) -> tuple[tuple[str, str], ...]:
    if "MariaDB" not in session.version:
        return (("ALTER USER CURRENT_USER() IDENTIFIED BY %s", new_password.reveal()),)
    # The hash of mysql_native_password, so that the server does not see the password. A server that checks the
    # strength of passwords refuses hashes (strict_password_validation), and gets to see this one.
    inner = hashlib.sha1(new_password.reveal().encode()).digest()  # noqa: S324 - the method's own
    hashed = "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324 - likewise
    return (("SET PASSWORD = %s", hashed), ("SET PASSWORD = PASSWORD(%s)", new_password.reveal()))


def _end_sessions(session: Session, username: str, deadline: Deadline, ended: set[object]) -> str:
    """End every other session of the user; what of it failed, "" if nothing did."""
    quiet = 0
    while quiet < _QUIET_LOOKS:
        others, failure = _end_others(session, username, ended)
        if failure:
            return failure
        quiet = 0 if others else quiet + 1
        if quiet < _QUIET_LOOKS and not deadline.pause(_LOOK_PAUSE):
            return f"{others} other session(s) did not end in time"
    return ""


def _end_others(session: Session, username: str, ended: set[object]) -> tuple[int, str]:
    """How many other sessions of the user there were at this moment, and what failed of ending them."""
    # With the PROCESS privilege the list holds everybody's.
    others = {row[0] for row in session.query("SHOW PROCESSLIST") if row[1] == username} - {session.thread_id}
    for thread in others:
        try:
            session.query("KILL %s", int(str(thread)))
        except RefusedError as error:  # noqa: PERF203 - one that is gone meanwhile stops nothing
            if error.number != _NO_SUCH_THREAD:
                return len(others), f"other sessions were not ended: {error.in_words}"
    ended |= others
    return len(others), ""
