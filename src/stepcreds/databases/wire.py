"""A PostgreSQL client of the size a step needs: connect, simple queries, text values; no driver and no SQL of its own.

Protocol 3.0 as PostgreSQL's documentation gives it ("Message Flow"). Written for the start-up time of a step: the
drivers in pure Python take longer to import than everything here takes to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from stepcreds.config.model import DatabaseURL
from stepcreds.databases import messages, tls
from stepcreds.databases.authentication import authenticate
from stepcreds.databases.messages import Row, ServerError, protocol_error
from stepcreds.databases.stream import Deadline, Stream, TLSError, UnreachableError
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret

LEAVING = 1.0  # seconds: a pooler in front may keep the connection
MAX_RESULT = 16 * 1024 * 1024  # bytes of rows in one answer
_ROW_OVERHEAD = 64  # bytes, so that endless empty rows come to an end too
_WAYS = {
    "disable": ("plain",),
    "allow": ("plain", "tls"),
    "prefer": ("either", "plain"),
    "require": ("tls",),
    "verify-ca": ("tls",),
    "verify-full": ("tls",),
}


class Connection:
    """A session at the server's database; `connect` makes it, and its deadline bounds every call."""

    def __init__(self, stream: Stream, server_version: str = "") -> None:
        self._stream = stream
        self.server_version = server_version  # as the server reported it at the start: "16.14 (Debian …)"

    @property
    def socket(self) -> object:
        """See `Stream.socket`."""
        return self._stream.socket

    def query(self, sql: str) -> list[Row]:
        """The rows of one statement, each value as text or None.

        Raises `ServerError`, after which the session goes on unless the error is `fatal`, and `UnreachableError`,
        after which it is of no use.
        """
        (answer,) = self.query_all([sql])
        if isinstance(answer, ServerError):
            raise answer
        return answer

    def query_all(self, statements: Sequence[str]) -> list[list[Row] | ServerError]:
        """The answer to each statement: a message and a transaction of its own, all sent before the first is read.

        The server finds the next one waiting, so no time-out of an idle session comes between them. One that fails
        does not stop those after it. Raises a fatal `ServerError`, and `UnreachableError`.
        """
        queries = [messages.message(b"Q", sql.encode(errors="surrogateescape") + b"\0") for sql in statements]
        self._stream.send(b"".join(queries))
        return [self._answer() for _ in statements]

    def _answer(self) -> list[Row] | ServerError:
        rows: list[Row] = []
        size = 0
        error: ServerError | None = None
        where = self._stream.where
        while True:
            kind, body = messages.receive(self._stream, messages.MAX_MESSAGE)
            if kind == b"D":
                size += len(body) + _ROW_OVERHEAD
                if size > MAX_RESULT:
                    raise protocol_error(where, f"an answer is larger than {MAX_RESULT} bytes")
                rows.append(messages.data_row(where, body))
            elif kind == b"E":
                error = ServerError(where, messages.error_fields(body))
                if error.fatal:
                    raise error
            elif kind == b"Z":
                return rows if error is None else error
            elif kind not in b"TCINSA":  # description, completion, empty query, notices: nothing to keep
                raise protocol_error(where, f"a message of type {kind!r} does not belong in an answer")

    def leave(self) -> None:
        """Say goodbye, and return when the session is over: its place under CONNECTION LIMIT is free for the next.

        The server's process keeps the connection until it ends (`socket_close` in pqcomm.c), which is after it has
        given up its place among the sessions.
        """
        with suppress(DatabaseError):
            self._stream.send(messages.TERMINATE)
            self._stream.read_to_end(LEAVING)
        self._stream.close()

    def close(self) -> None:
        """Say goodbye, if the server still listens, and close."""
        with suppress(DatabaseError):
            self._stream.send(messages.TERMINATE)
        self._stream.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.leave()
        else:
            self.close()


def connect(url: DatabaseURL, username: str, password: Secret, deadline: Deadline) -> Connection:
    """A session of `username` at `url`, over what `url.sslmode` allows.

    `prefer` and `allow` go on to their second way, as libpq does, when the server refuses the first or TLS fails.
    Raises `ServerError` for what the server said (of two refusals the one that says more of the credential),
    `UnreachableError` for no usable answer, `DatabaseError` for TLS settings that cannot be used.
    """
    failures: list[ServerError | TLSError] = []
    for way in _WAYS[tls.check_mode(url)]:
        stream = Stream.open(url.host, url.port, deadline)
        try:
            if way != "plain":
                _negotiate(stream, url, way)
            version = _start(stream, url, username, password)
        except (ServerError, TLSError) as error:
            stream.close()
            failures.append(error)
            if way == "either" and not stream.tls:
                break  # the plain connection was this one
        except BaseException:
            stream.close()
            raise
        else:
            return Connection(stream, version)
    raise _telling(failures) from None


def _telling(failures: list[ServerError | TLSError]) -> ServerError | TLSError:
    """The failure to report: one that leaves open whether the credential works, else one that says it does not."""
    said = [error for error in failures if isinstance(error, ServerError)]
    for error in failures:
        if error not in said or not (error.refuses_login or error.closes_way):
            return error
    return next((error for error in said if error.refuses_login), failures[-1])


def _negotiate(stream: Stream, url: DatabaseURL, way: str) -> None:
    """Ask for TLS, and put the stream under it if the server has it; with "tls" it must."""
    context = tls.context_for(url)
    stream.send(messages.SSL_REQUEST)
    answer = stream.read_unbuffered_byte()
    if answer == b"S":
        stream.start_tls(context, url.host)
    elif answer != b"N":
        # An `E` begins an error that nobody has authenticated: not worth showing (CVE-2024-10977).
        raise protocol_error(stream.where, f"it answered the request for TLS with {answer!r}")
    elif way == "tls":
        raise TLSError(
            f"{stream.where} offers no TLS, and sslmode={url.sslmode} asks for it",
            cause="TLS is off at the server, or something between takes it away",
            fix="turn it on at the server; sslmode=disable only where nobody can listen",
            docs="database-tls",
        )


def _start(stream: Stream, url: DatabaseURL, username: str, password: Secret) -> str:
    """Log in; the server's version, in its own words ("" where it does not say)."""
    try:
        greeting = messages.startup(
            {
                "user": username,
                "database": url.database or username,
                "client_encoding": "UTF8",
                "application_name": "stepcreds",
            }
        )
    except ValueError as error:
        raise UnreachableError(f"{stream.where} was not asked: {error}", docs="database") from None
    stream.send(greeting)
    authenticate(stream, username, password)
    version = ""
    while True:
        kind, body = messages.receive(stream, messages.MAX_GREETING)
        if kind == b"Z":
            return version
        if kind == b"S" and body.startswith(b"server_version\0"):
            version = body.split(b"\0")[1].decode(errors="replace")
        if kind == b"E":
            raise ServerError(stream.where, messages.error_fields(body), hidden=[password.reveal()])
        if kind not in b"SKN":  # settings, the key for cancelling, notices
            raise protocol_error(stream.where, f"a message of type {kind!r} came before the session was ready")
