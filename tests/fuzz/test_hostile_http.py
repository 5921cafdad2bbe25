"""HTTP servers that never come to an end: Vault's client and the CI's give up at their deadlines, whatever trickles in."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from database_servers import liar
from hostile_vault import client

from stepcreds.ci.http import PatientHTTP
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.doctor.servers import servers
from stepcreds.errors import VaultError

pytestmark = pytest.mark.timeout(60)  # seconds; without a bound each of these takes for ever

PATIENCE = 0.8  # seconds
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def trickle(start: bytes, piece: bytes, pause: float = 0.02) -> Callable[[socket.socket], None]:
    """A server that answers with `start`, and then with one `piece` after the other."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return script


ENDLESS = {
    "a status line byte by byte": trickle(b"HTTP/1.1 ", b"2"),
    "a header byte by byte": trickle(OK + b"X-A: ", b"a"),
    "100 Continue": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a flood of 100 Continue": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.0),
    "the size of a chunk": trickle(CHUNKED, b"0"),
    "the extension of a chunk": trickle(CHUNKED + b"5;", b"a"),
    "trailers": trickle(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "a flood of trailers": trickle(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 1000, 0.0),
    "chunks of a byte": trickle(CHUNKED, b"1\r\n \r\n"),
    "a body byte by byte": trickle(OK + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a body without a length": trickle(OK + b"\r\n", b" "),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_of_vault_that_does_not_end_is_none(name: str) -> None:
    with liar(ENDLESS[name]) as url, client(f"http://127.0.0.1:{url.port}", PATIENCE) as vault:
        with pytest.raises(VaultError) as caught:
            vault.status()
        what = f"No answer from Vault at http://127.0.0.1:{url.port}: "
        said = caught.value.what.partition(" (tried ")[0]
        assert said in (f"{what}no answer in time", f"{what}an answer that does not end")


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_of_the_ci_that_does_not_end_is_none(name: str) -> None:
    with liar(ENDLESS[name]) as url:
        answer = PatientHTTP({}, SystemClock(), deadline=PATIENCE).ask("GET", f"http://127.0.0.1:{url.port}/", {})
    assert (answer.status, answer.body) == (0, b"")
    assert answer.reason in ("no answer in time", "an answer that does not end", "no connection, or one that broke off")


def test_a_proxy_that_does_not_end_its_answer_is_none() -> None:
    with liar(trickle(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")) as url:
        there = "https://vault.invalid"
        proxy = f"http://127.0.0.1:{url.port}"
        with client(there, PATIENCE, proxies={there: proxy}) as vault, pytest.raises(VaultError):
            vault.status()
        answer = PatientHTTP({"HTTPS_PROXY": proxy}, SystemClock(), deadline=PATIENCE).ask("GET", there, {})
    assert answer.status == 0


class Hurried(SystemClock):
    """For whom ten seconds are one: doctor's patience is not to be waited out eleven times."""

    def monotonic(self) -> float:
        return super().monotonic() * 10


@pytest.mark.parametrize("name", ENDLESS)
def test_doctor_does_not_wait_for_a_clock_that_does_not_come(name: str) -> None:
    asked: list[int] = []
    status = b'{"sealed": false, "initialized": true, "version": "2.7.2"}'

    def script(connection: socket.socket) -> None:
        asked.append(len(asked))
        if len(asked) > 1:
            ENDLESS[name](connection)
        else:
            connection.recv(65536)
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(status) + status)

    with liar(script) as url:
        address = f"http://127.0.0.1:{url.port}"
        settings = VaultSettings((address,), None, None, None, None, False, "jwt", "https://vault.example")
        found, link = servers(settings, Hurried())
    assert [seen.ahead for seen in found] == [None]
    assert (link.status, link.found) == ("ok", f"{address}: version 2.7.2, without TLS")
    assert asked == [0, 1]
