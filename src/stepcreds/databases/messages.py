"""The messages of PostgreSQL's protocol 3.0 as bytes: framing, bounds, the server's errors; it holds no conversation.

Source: PostgreSQL's documentation, chapter "Frontend/Backend Protocol", "Message Formats" and "Error and Notice
Message Fields". What a server sends is not trusted: each length is checked before anything of it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from stepcreds.databases.stream import Stream, UnreachableError
from stepcreds.errors import DatabaseError
from stepcreds.printable import one_line

PROTOCOL = 196_608  # 3.0
SSL_REQUEST = struct.pack("!II", 8, 80_877_103)
TERMINATE = b"X\0\0\0\4"

# No message before the end of authentication is longer; libpq's own bound for errors in that phase.
MAX_GREETING = 30_000  # bytes
MAX_MESSAGE = 4 * 1024 * 1024  # bytes

Row = tuple[str | None, ...]


class ServerError(DatabaseError):
    """The server said no. `routine` is the function of the server that did: unlike the text it is never translated."""

    def __init__(self, where: str, fields: dict[str, str], *, hidden: Iterable[str] = ()) -> None:
        text = fields.get("M", "")
        for secret in hidden:
            text = text.replace(secret, "***") if secret else text
        self.severity = fields.get("V") or fields.get("S", "")
        self.routine = fields.get("R", "")
        self.text = one_line(text) or "an error without a text"
        self.hint = one_line(fields.get("H", ""), 600)  # what the server, or a function that we wrote, says to do
        sqlstate = fields.get("C", "")
        super().__init__(f"{where} said: {self.text}", sqlstate=one_line(sqlstate, 5), docs="database")

    @property
    def in_words(self) -> str:
        return f"{self.text} ({self.sqlstate})"

    @property
    def refuses_login(self) -> bool:
        """This user cannot log in with this password, whichever way it comes.

        28P01 says so for a wrong password, a user that is gone, and one whose password has expired. 28000 says it
        only where the server looked the user up: gone, or not permitted to log in. Everywhere else 28000 means
        that pg_hba.conf lets nobody in this way, and leaves open whether the credential works.
        """
        return self.sqlstate == "28P01" or (self.sqlstate == "28000" and self.routine == "InitializeSessionUserId")

    @property
    def closes_way(self) -> bool:
        """pg_hba.conf lets nobody in this way: from this address, with or without TLS, to this database."""
        return self.sqlstate == "28000" and self.routine == "ClientAuthentication"

    @property
    def fatal(self) -> bool:
        """The server closes the connection with it."""
        return self.severity in ("FATAL", "PANIC")


def protocol_error(where: str, what: str) -> UnreachableError:
    return UnreachableError(
        f"{where} does not speak PostgreSQL's protocol: {what}",
        cause="something else listens there, or it speaks TLS from the first byte on",
        fix="check host and port of the profile's database",
        docs="database",
    )


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(parameters: dict[str, str]) -> bytes:
    """The first message, which has no type. A NUL in a value would begin another parameter: it raises `ValueError`."""
    if any("\0" in text for pair in parameters.items() for text in pair):
        raise ValueError("a user name or database name cannot hold a NUL character")
    pairs = b"".join(text.encode() + b"\0" for pair in parameters.items() for text in pair)
    body = struct.pack("!I", PROTOCOL) + pairs + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def receive(stream: Stream, limit: int) -> tuple[bytes, bytes]:
    """The next message: type and body, of `limit` bytes at most. Raises `UnreachableError`."""
    kind, length = struct.unpack("!cI", stream.read(5))
    if not 4 <= length <= limit + 4:
        raise protocol_error(stream.where, f"a message of type {kind!r} announces {length} bytes")
    return kind, stream.read(length - 4)


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their one-letter code."""
    fields = (part.decode(errors="replace") for part in body.split(b"\0"))
    return {field[0]: field[1:] for field in fields if field}


def data_row(where: str, body: bytes) -> Row:
    """The values of a DataRow in text format; bytes that are not UTF-8 stand in them as surrogate escapes."""
    try:
        (count,) = struct.unpack_from("!H", body)
        offset, values = 2, list[str | None]()
        for _ in range(count):
            (length,) = struct.unpack_from("!i", body, offset)
            offset += 4
            if length == -1:
                values.append(None)
                continue
            if length < 0 or offset + length > len(body):
                raise protocol_error(where, "a row's value is longer than the row")
            values.append(body[offset : offset + length].decode(errors="surrogateescape"))
            offset += length
    except struct.error:
        raise protocol_error(where, "a row is cut short") from None
    if offset != len(body):
        raise protocol_error(where, "a row is longer than its values")
    return tuple(values)
