"""A server that lies, babbles or says nothing: no hang beyond the deadline, no unbounded memory, no false proof."""

from __future__ import annotations

import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from database_servers import CANARY, deadline, liar
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases import messages
from stepcreds.databases.messages import message
from stepcreds.databases.postgresql import PostgreSQL as Engine
from stepcreds.databases.stream import Stream, UnreachableError
from stepcreds.databases.wire import connect
from stepcreds.errors import DatabaseError
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

PASSWORD = Secret(f"{CANARY}-hostile")
OK = message(b"R", struct.pack("!I", 0))
READY = message(b"Z", b"I")
SASL = message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")
NOT_POSTGRESQL = "HOST does not speak PostgreSQL's protocol: {}"


def refusal(sqlstate: str, text: str = "no", routine: str = "x") -> bytes:
    return message(b"E", f"SFATAL\0VFATAL\0C{sqlstate}\0M{text}\0R{routine}\0\0".encode())


def answers(*parts: bytes) -> Callable[[socket.socket], None]:
    """A server that sends `parts` in answer to the first message, and then waits for the client to go."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)
        while connection.recv(65536):
            pass

    return script


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def endless(chunk: bytes, start: bytes = b"") -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(chunk)

    return script


def failure(url: DatabaseURL, seconds: float = 10.0, **changes: Any) -> str:
    with pytest.raises(DatabaseError) as caught:
        connect(_with(url, **changes), "user", PASSWORD, deadline(seconds))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    return caught.value.what.replace(f"127.0.0.1:{url.port}", "HOST")


def _with(url: DatabaseURL, **changes: Any) -> DatabaseURL:
    return url._replace(**changes)


@pytest.mark.parametrize(
    ("script", "what"),
    [
        (silent, "HOST did not answer within 0.4 s"),
        (endless(message(b"N", b"\0" * 1000)), "HOST did not answer within 0.4 s"),
        (endless(message(b"S", b"a\0b\0"), OK), "HOST did not answer within 0.4 s"),
        (answers(b"R\0\0"), "HOST did not answer within 0.4 s"),
        (answers(message(b"R", b"\0\0\0\0")[:-1]), "HOST did not answer within 0.4 s"),
    ],
)
def test_nobody_is_waited_for_beyond_the_deadline(script: Callable[[socket.socket], None], what: str) -> None:
    with liar(script) as url:
        assert failure(url, 0.4) == what


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "a message of type b'H' announces 1414811695 bytes"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "a message of type b'S' announces 1397239090 bytes"),
        ([b"Esorry, too many clients already\0"], "a message of type b'E' announces 1936683634 bytes"),
        ([b"R" + struct.pack("!I", 0)], "a message of type b'R' announces 0 bytes"),
        ([b"R" + struct.pack("!I", 3)], "a message of type b'R' announces 3 bytes"),
        ([b"R" + struct.pack("!I", 30_005)], "a message of type b'R' announces 30005 bytes"),
        ([b"N" + struct.pack("!I", 0xFFFFFFFF)], "a message of type b'N' announces 4294967295 bytes"),
        ([message(b"R", b"\0\0\0")], "a message of type b'R' came instead of an authentication request"),
        ([READY], "a message of type b'Z' came instead of an authentication request"),
        ([message(b"v", b"\0" * 8)], "a message of type b'v' came instead of an authentication request"),
        ([OK, message(b"D", b"\0\0")], "a message of type b'D' came before the session was ready"),
        ([SASL, OK], "authentication request 0 came where 11 belongs"),
        ([SASL, SASL], "authentication request 10 came where 11 belongs"),
        (
            [message(b"R", struct.pack("!I", 5) + b"salt"), message(b"R", struct.pack("!I", 5) + b"salt")],
            "authentication request 5 came after the answer to the first",
        ),
    ],
)
def test_what_is_not_the_protocol_is_called_so(parts: list[bytes], what: str) -> None:
    with liar(answers(*parts)) as url:
        assert failure(url) == NOT_POSTGRESQL.format(what)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([message(b"R", struct.pack("!I", 7))], "HOST asks for authentication method 7"),
        ([message(b"R", struct.pack("!I", 5) + b"sal")], "HOST asks for authentication method 5"),
        ([message(b"R", struct.pack("!I", 3))], "HOST asks for the password in clear on a connection without TLS"),
        (
            [message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256-PLUS\0\0")],
            "HOST asks for SASL without SCRAM-SHA-256",
        ),
        (
            [SASL, message(b"R", struct.pack("!I", 11) + b"r=someone-elses,s=AAAA,i=4096")],
            "HOST failed at SCRAM: the server's nonce does not continue ours",
        ),
    ],
)
def test_an_authentication_that_is_not_safe_is_not_gone_through_with(parts: list[bytes], what: str) -> None:
    with liar(answers(*parts)) as url:
        assert failure(url) == what


def scram_impostor(last: bytes) -> Callable[[socket.socket], None]:
    """A server that knows no verifier, and goes through SCRAM all the same."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(SASL)
        nonce = connection.recv(65536).rpartition(b"r=")[2]
        connection.sendall(message(b"R", struct.pack("!I", 11) + b"r=" + nonce + b"more,s=AAAA,i=4096"))
        connection.recv(65536)
        connection.sendall(last)
        silent(connection)

    return script


def test_a_server_that_skips_its_own_proof_is_found_out() -> None:
    with liar(scram_impostor(OK + READY)) as url:
        assert failure(url) == NOT_POSTGRESQL.format("authentication request 0 came where 12 belongs")


def test_a_server_that_does_not_know_the_verifier_is_found_out() -> None:
    forged = message(b"R", struct.pack("!I", 12) + b"v=" + b"A" * 43 + b"=") + OK + READY
    with liar(scram_impostor(forged)) as url:
        assert failure(url) == "HOST failed at SCRAM: the server could not show that it knows the password's verifier"


@pytest.mark.parametrize("mode", ["prefer", "require"])
@pytest.mark.parametrize("answer", [b"E", b"X", b"\0"])
def test_the_answer_about_tls_is_one_of_two_letters(mode: str, answer: bytes) -> None:
    with liar(answers(answer + b"SFATAL\0Mtext that nobody vouches for\0\0")) as url:
        assert failure(url, sslmode=mode) == NOT_POSTGRESQL.format(f"it answered the request for TLS with {answer!r}")


def test_what_is_stuffed_in_behind_the_answer_about_tls_is_not_read_as_secured() -> None:
    """CVE-2021-23222: a query's result or a refusal, in clear, buffered and taken for what came under TLS."""
    with liar(answers(b"S" + refusal("28P01"))) as url:
        assert failure(url, sslmode="require") == "no TLS with HOST: WRONG_VERSION_NUMBER"
        proof = Engine(SystemClock()).try_login(_with(url, sslmode="require"), "user", PASSWORD, timeout=10)
    assert proof == LoginProof("unknown", f"no TLS with 127.0.0.1:{url.port}: WRONG_VERSION_NUMBER")


def test_a_handshake_that_never_goes_on_ends_at_the_deadline() -> None:
    with liar(answers(b"S")) as url:
        assert failure(url, 0.4, sslmode="require") == "HOST did not answer within 0.4 s"


def test_a_server_that_closes_at_once() -> None:
    with liar(lambda connection: None) as url:
        assert failure(url) == "HOST closed the connection"


def test_text_from_the_server_cannot_steer_a_terminal_or_a_log_reader() -> None:
    with liar(answers(refusal("28P01", "\x1b[2Jall is\n::set-output name=x::well"))) as url:
        assert failure(url) == "HOST said: \\x1b[2Jall is ::set-output name=x::well"


def test_a_server_that_repeats_the_password_is_not_repeated() -> None:
    with liar(answers(refusal("28P01", f"wrong password {PASSWORD.reveal()}!"))) as url:
        assert failure(url) == "HOST said: wrong password ***!"
        proof = Engine(SystemClock()).try_login(url, "user", PASSWORD, timeout=10)
    assert proof == LoginProof("refused", "wrong password ***! (28P01)")


@pytest.mark.parametrize(
    ("sqlstate", "routine", "answer"),
    [
        ("28P01", "auth_failed", "refused"),
        ("28P01", "", "refused"),
        ("28000", "InitializeSessionUserId", "refused"),
        ("28000", "ClientAuthentication", "unknown"),
        ("28000", "auth_failed", "unknown"),
        ("28000", "", "unknown"),
        ("53300", "InitializeSessionUserId", "unknown"),
        ("57P03", "ProcessStartupPacket", "unknown"),
        ("3D000", "InitPostgres", "unknown"),
        ("42501", "CheckMyDatabase", "unknown"),
        ("", "", "unknown"),
        ("28p01", "", "unknown"),
    ],
)
def test_only_a_refusal_of_this_login_is_a_refusal(sqlstate: str, routine: str, answer: str) -> None:
    with liar(answers(refusal(sqlstate, "text", routine))) as url:
        proof = Engine(SystemClock()).try_login(url, "user", PASSWORD, timeout=10)
    assert proof == LoginProof(answer, f"text ({sqlstate})")  # type: ignore[arg-type]


def test_a_lock_and_a_witness_outlast_every_lie() -> None:
    engine = Engine(SystemClock())
    with liar(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        lock = engine.lock(url, "user", PASSWORD, Secret("new"), timeout=10)
        seen = engine.absent(url, "user", PASSWORD, dead_user="dead", timeout=10)
    what = (
        f"127.0.0.1:{url.port} does not speak PostgreSQL's protocol: a message of type b'H' announces 1414811695 bytes"
    )
    assert lock == Lock("unreachable", lock.time, what)
    assert seen == ("unknown", what)


@pytest.mark.parametrize(
    "reply",
    [
        message(b"D", struct.pack("!Hi", 1, 1) + b"x") + READY,
        message(b"D", b"\0\0") + READY,
        message(b"D", struct.pack("!H", 3) + struct.pack("!i", -1) * 3) + READY,
        READY,
    ],
)
def test_a_witness_is_not_talked_into_seeing_nobody(reply: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + READY)
        while connection.recv(65536):
            connection.sendall(reply)

    with liar(script) as url:
        seen = Engine(SystemClock()).absent(url, "user", PASSWORD, dead_user="dead", timeout=10)
    assert seen.answer != "absent"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "a row is cut short"),
        (b"\0", "a row is cut short"),
        (struct.pack("!H", 1), "a row is cut short"),
        (struct.pack("!Hi", 1, 5) + b"four", "a row's value is longer than the row"),
        (struct.pack("!Hi", 1, -2), "a row's value is longer than the row"),
        (struct.pack("!Hi", 1, 1) + b"xy", "a row is longer than its values"),
        (struct.pack("!H", 65535), "a row is cut short"),
    ],
)
def test_a_row_is_read_within_its_bounds(body: bytes, what: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        messages.data_row("HOST", body)
    assert caught.value.what == NOT_POSTGRESQL.format(what)


def test_a_flood_of_empty_rows_comes_to_an_end() -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK + READY)
        connection.recv(65536)
        while True:
            connection.sendall(message(b"D", b"\0\0") * 1000)

    with (
        liar(script) as url,
        connect(url, "user", PASSWORD, deadline()) as session,
        pytest.raises(UnreachableError) as caught,
    ):
        session.query("SELECT")
    assert caught.value.what == (
        f"127.0.0.1:{url.port} does not speak PostgreSQL's protocol: an answer is larger than 16777216 bytes"
    )


@given(garbage=st.binary(max_size=200))
@settings(deadline=None, max_examples=60)
def test_no_bytes_make_anything_but_the_projects_own_errors(garbage: bytes) -> None:
    """Whatever follows an accepted login, or comes in place of one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(garbage)
        theirs.shutdown(socket.SHUT_WR)
        stream = Stream(ours, "HOST", deadline())
        with suppress(DatabaseError):
            while True:
                kind, body = messages.receive(stream, messages.MAX_GREETING)
                messages.error_fields(body)
                if kind == b"D":
                    messages.data_row("HOST", body)
