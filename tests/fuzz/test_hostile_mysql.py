"""A MySQL server that lies, floods or sends garbage: PyMySQL is kept within the bounds that our own client has."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from database_servers import CANARY, deadline, liar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.mysql import MySQL
from stepcreds.databases.mysql_session import open_session
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret

pytestmark = pytest.mark.timeout(60)

PASSWORD = Secret(f"{CANARY}-hostile")
# Protocol 10, a version, a thread, the capabilities of a server without TLS, and what a password is mixed with.
GREETING = b"\x0a5.5.5-10.11.6\0" + struct.pack("<I", 7) + b"a" * 8 + b"\0\xff\xf7\x2d\x02\0\xff\x81\x15" + b"\0" * 10
GREETING += b"b" * 12 + b"\0mysql_native_password\0"
OK = b"\0\0\0\x02\0\0\0"
COLUMN = b"\x03def\0\0\0\x01a\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0"
END = b"\xfe\0\0\x02\0"


def packet(body: bytes, number: int) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number % 256]) + body


def server(*answers: bytes, flood: Callable[[int], bytes] | None = None) -> Callable[[socket.socket], None]:
    """Greets, takes every login, says ok to the first statement (`SET AUTOCOMMIT`), and sends `answers` to the next."""

    def script(connection: socket.socket) -> None:
        connection.sendall(packet(GREETING, 0))
        connection.recv(65536)
        connection.sendall(packet(OK, 2))
        for reply in answers:
            connection.recv(65536)
            connection.sendall(reply)
        number = 0
        while flood is not None:
            connection.sendall(flood(number))
            number += 1
        while connection.recv(65536):
            pass

    return script


def with_mysql(url: DatabaseURL) -> DatabaseURL:
    return url._replace(engine="mysql", scheme="mysql")


def failure(url: DatabaseURL) -> str:
    with (
        pytest.raises(DatabaseError) as caught,
        open_session(with_mysql(url), "user", PASSWORD, deadline(40)) as session,
    ):
        session.query("SELECT 1")
    return caught.value.what.replace(f"127.0.0.1:{url.port}", "HOST")


TABLE = packet(b"\x01", 1) + packet(COLUMN, 2) + packet(END, 3)
TOO_LARGE = "an answer of HOST is larger than 16777216 bytes"


@pytest.mark.parametrize(
    "flood",
    [
        lambda number: packet(b"\xfb", number + 4),
        lambda number: packet(b"\xfc\xff\xff" + b"a" * 65535, number + 4),
        lambda number: struct.pack("<I", 0xFFFFFF)[:3] + bytes([(number + 4) % 256]) + b"a" * 0xFFFFFF,
    ],
    ids=["empty rows", "large rows", "a row without an end"],
)
def test_endless_rows_come_to_an_end(flood: Callable[[int], bytes]) -> None:
    with liar(server(packet(OK, 1), TABLE, flood=flood)) as url:
        assert failure(url) == TOO_LARGE


def test_endless_columns_come_to_an_end() -> None:
    many = packet(b"\xfe" + b"\xff" * 8, 1)
    with liar(server(packet(OK, 1), many, flood=lambda number: packet(COLUMN, number + 2))) as url:
        assert failure(url) == TOO_LARGE


@pytest.mark.parametrize("password", ["пароль", "\udcff", "\x00"])
def test_any_password_can_be_tried(password: str) -> None:
    with liar(server(packet(OK, 1))) as url:
        proof = MySQL(SystemClock()).try_login(with_mysql(url), "user", Secret(password), timeout=20)
    assert proof.answer == "accepted"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    greeting=st.just(GREETING) | st.binary(max_size=120),
    login=st.just(OK) | st.binary(max_size=60),
    answers=st.lists(
        st.binary(max_size=60) | st.sampled_from([OK, b"\x01", COLUMN, END, b"\xfb/etc/passwd"]), max_size=6
    ),
    cut=st.integers(0, 3),
)
def test_no_bytes_make_anything_but_the_projects_own_errors(
    greeting: bytes, login: bytes, answers: list[bytes], cut: int
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(packet(greeting, 0))
        connection.settimeout(5)
        connection.recv(65536)
        connection.sendall(packet(login, 2) + packet(OK, 1))
        whole = b"".join(packet(body, number + 1) for number, body in enumerate(answers))
        connection.sendall(whole[: len(whole) - cut])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with (
        liar(script) as url,
        suppress(DatabaseError),
        open_session(with_mysql(url), "user", PASSWORD, deadline(20)) as session,
    ):
        session.query("SELECT 1")
