"""Servers, proxies and people on the way who break one HTTP connection: what is known of the request, and what it costs."""

from __future__ import annotations

import os
import socket
import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from database_servers import liar
from servers import settings

from certificates_for_vault import Authority, server_context
from stepcreds.clock import SystemClock
from stepcreds.connection import Connection, Response
from stepcreds.request_error import RequestError
from stepcreds.vault.failure import no_answer

LIMIT = 1 << 20  # bytes
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def connection(authority: Authority) -> Iterator[Connection]:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with closing(Connection(SystemClock(), lambda: context)) as made:
        yield made


def ask(connection: Connection, url: str, seconds: float = 10.0, **headers: str) -> Response:
    until = SystemClock().monotonic() + seconds
    return connection.ask("GET", url, headers, None, connect_timeout=seconds, until=until, limit=LIMIT)


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """A server that answers each request of a connection with the next of these, and hangs up."""

    def script(near: socket.socket) -> None:
        for answer in answers:
            near.recv(65536)
            near.sendall(answer)

    return script


def secured(authority: Authority, script: Callable[[ssl.SSLSocket], None]) -> Callable[[socket.socket], None]:
    context = server_context(authority.pair("server"))

    def begin(near: socket.socket) -> None:
        with context.wrap_socket(near, server_side=True) as tls:
            script(tls)

    return begin


@pytest.mark.parametrize("status", [101, 102, 103])
def test_an_answer_before_the_answer_is_none(connection: Connection, status: int) -> None:
    """Taken for it, each later answer would be that to the request before."""
    script = answering(b"HTTP/1.1 %d Early\r\n\r\n" % status, OK + b"\r\n{}")
    with liar(script) as url:
        with pytest.raises(RequestError) as caught:
            ask(connection, f"http://127.0.0.1:{url.port}/")
        assert (caught.value.kind, caught.value.sent, connection.peer) == ("broken", True, None)


def test_a_body_of_a_negative_chunk_takes_no_more_memory_than_another(connection: Connection) -> None:
    def script(near: socket.socket) -> None:
        near.recv(65536)
        near.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        while True:
            near.sendall(b" " * LIMIT)

    with liar(script) as url:
        tracemalloc.start()
        try:
            with pytest.raises(RequestError, match="an answer that does not end"):
                ask(connection, f"http://127.0.0.1:{url.port}/")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20 * LIMIT


def test_what_nobody_asked_for_is_not_the_next_answer(connection: Connection, authority: Authority) -> None:
    """Two answers in one TLS record: the second has been decrypted, and the socket looks as if nothing had come."""
    asked = []

    def script(tls: ssl.SSLSocket) -> None:
        asked.append(tls.recv(65536))
        tls.sendall(OK + b"\r\n{}" + b"\r\n" * 9000 + OK + b"\r\n[]")
        asked.append(tls.recv(65536))

    with liar(secured(authority, script)) as url:
        for _ in range(2):
            assert ask(connection, f"https://127.0.0.1:{url.port}/").body == b"{}"
        connection.close()
    assert [bool(each) for each in asked] in ([True, False, True], [True, False, True, False])


def test_text_in_clear_after_the_request_says_nothing_of_the_request(
    connection: Connection, authority: Authority
) -> None:
    """Anybody on the way can do that without a key: what was asked for may have been done, and is worth another try."""

    def script(tls: ssl.SSLSocket) -> None:
        tls.recv(65536)
        os.write(tls.fileno(), b"HTTP/1.1 504 Gateway Timeout\r\n\r\n")
        tls.close()

    with liar(secured(authority, script)) as url:
        address = f"https://127.0.0.1:{url.port}"
        with pytest.raises(RequestError) as caught:
            ask(connection, address)
    assert (caught.value.kind, caught.value.sent) == ("tls", True)
    told = no_answer(caught.value, address, settings(address))
    assert (told.sent, told.final) == (True, None)


def test_a_certificate_that_is_not_accepted_was_sent_nothing(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with liar(secured(Authority(tmp_path / "other"), lambda tls: None)) as url:
        address = f"https://127.0.0.1:{url.port}"
        with pytest.raises(RequestError) as caught:
            ask(connection, address)
    told = no_answer(caught.value, address, settings(address))
    assert (told.sent, told.final is not None) == (False, True)


def test_white_space_around_a_header_is_not_its_value(connection: Connection) -> None:
    with liar(answering(OK + b"X-Vault-Index: \t v1:abc \t\r\n\r\n{}")) as url:
        assert ask(connection, f"http://127.0.0.1:{url.port}/").header("x-vault-index") == "v1:abc"


@pytest.mark.parametrize("url", ["http://[::1/", "http:///", "ftp://127.0.0.1/", "http://127.0.0.1:x/", "http://h/ /"])
def test_an_address_that_is_none(connection: Connection, url: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(connection, url)
    assert (caught.value.kind, caught.value.sent, caught.value.__context__) == ("unsendable", False, None)


def test_a_query_is_sent_and_a_fragment_is_not(connection: Connection) -> None:
    seen = []

    def script(near: socket.socket) -> None:
        seen.append(near.recv(65536).split(b"\r\n")[0])
        near.sendall(OK + b"\r\n{}")

    with liar(script) as url:
        ask(connection, f"http://127.0.0.1:{url.port}?a=b#c")
    assert seen == [b"GET /?a=b HTTP/1.1"]


def test_a_name_whose_addresses_hang_is_given_up_in_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address gets its share: eight that drop everything take no longer than one."""
    tried = []

    class Hanging(socket.socket):
        def connect(self, address: object) -> None:
            tried.append(self.gettimeout() or 0.0)
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 80)) for number in range(8)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    monkeypatch.setattr(socket, "socket", Hanging)
    with pytest.raises(RequestError, match="no connection in time") as caught:
        ask(connection, "http://vault.invalid/", 8.0)
    assert (caught.value.sent, len(tried)) == (False, 8)
    assert tried[0] <= 1.0
