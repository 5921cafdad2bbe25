"""One session with MySQL or MariaDB through PyMySQL, under a deadline and libpq's `sslmode`; it knows no statements.

PyMySQL is handed a connection that is open already, because its own time-outs begin anew with every read.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from stepcreds.config.model import DatabaseURL
from stepcreds.databases import tls
from stepcreds.databases.mysql_connection import GIVE_AWAY, AsksForPasswordError, GivesAway, careful
from stepcreds.databases.stream import Deadline, TLSError, UnreachableError, connect_tcp, place
from stepcreds.errors import DatabaseError, UnsupportedError
from stepcreds.printable import one_line
from stepcreds.secret import Secret

LEAVING = 1.0  # seconds: a proxy in front may keep the connection
_CHUNK = 65_536  # bytes
_TLS_FAILED = 2026  # CR_SSL_CONNECTION_ERROR
_FROM_THE_CLIENT = range(2000, 3000)  # numbers of errors that no server sends
_WAYS = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}


class RefusedError(DatabaseError):
    """The server said no, with the error `number`."""

    def __init__(self, where: str, number: int, text: str) -> None:
        self.number = number
        self.text = one_line(text) or "an error without a text"
        super().__init__(f"{where} said: {self.text}", sqlstate=str(number), docs="database")

    @property
    def in_words(self) -> str:
        return f"{self.text} ({self.number})"

    @property
    def refuses_login(self) -> bool:
        """This user cannot log in with this password: access denied, or the account is locked (MariaDB's, MySQL's)."""
        return self.number in (1045, 4151, 3118)


class Session:
    """A session of the server; `open_session` makes it. Everything raises `RefusedError` or `UnreachableError`."""

    def __init__(self, connection: Any, guard: _Guard, where: str) -> None:
        self._connection = connection
        self._guard = guard
        self._where = where

    @property
    def version(self) -> str:
        return str(self._connection.server_version)

    @property
    def thread_id(self) -> int:
        return int(self._connection.thread_id())

    @property
    def socket(self) -> object:
        """The driver's own; an `ssl.SSLSocket` under TLS."""
        return self._connection._sock

    def query(self, statement: str, *values: str | int) -> list[tuple[object, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return [tuple(row) for row in cursor.fetchall()]
        except Exception as error:  # noqa: BLE001 - what a server sends can make the driver raise anything
            raise _understood(error, self._where, self._guard.deadline) from None

    def query_all(self, statements: Sequence[str]) -> list[list[tuple[object, ...]]]:
        """The rows of each statement, all sent in one message: one round trip. After the first that fails, none is run.

        Only for a session that was opened with `several`.
        """
        answers = []
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("; ".join(statements))
                answers.append([tuple(row) for row in cursor.fetchall()])
                while cursor.nextset():
                    answers.append([tuple(row) for row in cursor.fetchall()])
        except Exception as error:  # noqa: BLE001 - what a server sends can make the driver raise anything
            raise _understood(error, self._where, self._guard.deadline) from None
        if len(answers) != len(statements):
            raise UnreachableError(
                f"{self._where} answered {len(answers)} of {len(statements)} questions", docs="database"
            )
        return answers

    def prolong(self, deadline: Deadline) -> None:
        """From now on the session is under `deadline`, in place of the one that it was opened under."""
        self._guard.prolong(deadline)

    def close(self) -> None:
        _close(self._connection)
        self._guard.dismiss()

    def leave(self) -> None:
        """Say goodbye, and return when the server has hung up: its place under MAX_USER_CONNECTIONS is free then.

        MariaDB gives the place up before it closes the connection.
        """
        _close(self._connection)
        self._guard.see_off()
        self._guard.dismiss()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.leave()
        else:
            self.close()


def require_driver() -> None:
    """Raises `UnsupportedError` unless PyMySQL is installed."""
    # It would import `cryptography`, which takes longer than all the rest, for key exchanges that `_open` forbids.
    absent = "cryptography" not in sys.modules
    if absent:  # https://docs.python.org/3/reference/import.html#the-module-cache
        sys.modules["cryptography"] = None  # type: ignore[assignment]
    try:
        import pymysql  # noqa: F401 - only whether it is there
    except ImportError:
        raise UnsupportedError(
            "PyMySQL is not installed, and without it no credential of MySQL or MariaDB can be locked or proven dead",
            fix="pip install 'stepcreds[mysql]'",
            docs="database-driver",
        ) from None
    finally:
        if absent:
            del sys.modules["cryptography"]


def open_session(
    url: DatabaseURL, username: str, password: Secret, deadline: Deadline, *, several: bool = False
) -> Session:
    """A session of `username`, without a database: its rights in one say nothing of the login.

    `several`: the server is to take several statements in one message, for `query_all`.
    `prefer` and `allow` go on to their second way when the first is refused or TLS fails. Raises `RefusedError`,
    `UnreachableError`, `DatabaseError` for TLS settings that cannot be used, `UnsupportedError` without PyMySQL.
    """
    require_driver()
    failures: list[RefusedError | TLSError] = []
    for under_tls in _WAYS.get(tls.check_mode(url), (True,)):
        context = tls.context_for(url) if under_tls else None
        try:
            return _open(url, username, password, deadline, context, several)
        except (RefusedError, TLSError) as error:
            failures.append(error)
    open_ended = [error for error in failures if isinstance(error, RefusedError) and not error.refuses_login]
    # Where one way has no TLS, the other has said all there is to say.
    said = [error for error in failures if isinstance(error, RefusedError)]
    raise (*open_ended, *said, *failures)[0] from None


class _Guard:
    """Ends a connection when its deadline comes, whatever is being waited for."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        # A duplicate: TLS takes the socket's descriptor over, and this one still reaches the connection.
        self._sock = sock.dup()
        self._start(deadline)

    def prolong(self, deadline: Deadline) -> None:
        self._timer.cancel()
        self._timer.join()
        self._start(deadline)

    def _start(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._timer = threading.Timer(deadline.left(), self._end)
        self._timer.daemon = True
        self._timer.start()

    def see_off(self) -> None:
        """Wait until the server has closed the connection, which ours keeps open that far."""
        with suppress(OSError):
            self._sock.settimeout(LEAVING)
            while self._sock.recv(_CHUNK):
                pass

    def dismiss(self) -> None:
        self._timer.cancel()
        self._timer.join()
        self._sock.close()

    def _end(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


def _open(
    url: DatabaseURL,
    username: str,
    password: Secret,
    deadline: Deadline,
    context: ssl.SSLContext | None,
    several: bool,
) -> Session:
    from pymysql.connections import Connection
    from pymysql.constants import CLIENT

    where = place(url.host, url.port)
    sock = connect_tcp(url.host, url.port, deadline)
    guard = _Guard(sock, deadline)
    is_checked = context is not None and context.verify_mode is ssl.CERT_REQUIRED
    connection = careful(Connection, where, checked=is_checked)(
        host=url.host,
        port=url.port,
        user=username,
        password=password.reveal().encode(errors="surrogatepass"),  # of a text PyMySQL takes Latin-1
        charset="utf8mb4",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS if several else 0,
        defer_connect=True,
        ssl=context,
        ssl_disabled=context is None,
        auth_plugin_map=dict.fromkeys(GIVE_AWAY, GivesAway),
    )
    try:
        connection.connect(sock)
    except Exception as error:  # noqa: BLE001 - what a server sends can make the driver raise anything
        sock.close()
        _close(connection)
        guard.dismiss()
        raise _understood(error, where, deadline) from None
    return Session(connection, guard, where)


def _close(connection: Any) -> None:
    with suppress(Exception):  # saying goodbye to a server that is not there is no failure
        connection.close()


def _understood(error: Exception, where: str, deadline: Deadline) -> RefusedError | UnreachableError:
    if deadline.left() <= 0:
        return UnreachableError(f"{where} did not answer within {deadline.seconds:g} s", docs="database")
    if isinstance(error, UnreachableError):
        return error
    if isinstance(error, AsksForPasswordError):
        return UnreachableError(
            f"{where} asks for an authentication that gives the password away",
            fix=str(error),
            docs="database",
        )
    number, text = (*error.args, "", "")[:2]
    original = getattr(error, "original_exception", error)
    if isinstance(original, ssl.SSLError) or number == _TLS_FAILED:
        reason = getattr(original, "verify_message", "") or getattr(original, "reason", "") or str(text)
        return TLSError(f"no TLS with {where}: {one_line(str(reason))}", docs="database-tls")
    if isinstance(number, int) and number not in _FROM_THE_CLIENT:
        return RefusedError(where, number, str(text))
    return UnreachableError(f"{where} closed the connection, or is no MySQL server", docs="database")
