"""Credentials on real servers that are measured, and a relay that shows and changes what goes to and fro."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

from postgresql_majors import PASSWORD, Lab

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.measurement import Finding
from stepcreds.scope.interface import Examination
from stepcreds.scope.postgresql import PostgreSQL
from stepcreds.secret import Secret

TIMEOUT = 30.0  # seconds: far more than anything here takes


def examine(
    url: DatabaseURL, name: str, *named: str, password: Secret = PASSWORD, timeout: float = TIMEOUT
) -> Examination:
    return PostgreSQL(SystemClock()).examine(url, name, password, named=frozenset(named), timeout=timeout)


def found(lab: Lab, name: str, *named: str) -> dict[str, Finding]:
    """What the login role can do, by what `allow` would call it."""
    findings = examine(lab.url(), name, *named).findings
    by_name = {finding.name: finding for finding in findings}
    assert len(by_name) == len(findings), "two findings of one name"
    return by_name


class Relay:
    """Stands between a client and a server, and passes on what both say."""

    def __init__(self, url: DatabaseURL, change: Callable[[bytes], bytes], *, whole: bool) -> None:
        self._server = (url.host, url.port)
        self._change = change
        self._whole = whole  # nothing of the answers is passed on before the last statement has come
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._asked = threading.Event()
        self._over = False
        self.statements = b""
        self.url = url._replace(host="127.0.0.1", port=self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._over = True
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.url.port))):
            pass
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with closing(client):
            if self._over:
                return
            with closing(socket.create_connection(self._server)) as server:
                asking = threading.Thread(target=self._ask, args=(client, server))
                asking.start()
                with suppress(OSError):
                    self._answer(client, server)
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                asking.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                self.statements += data
                if b"COMMIT\0" in self.statements:
                    self._asked.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        login = b""
        while (data := server.recv(65_536)) != b"":
            if b"Z\0\0\0\5I" not in login:
                login += data  # up to the first ReadyForQuery
            elif self._whole and not self._asked.wait(TIMEOUT):
                return
            client.sendall(self._change(data))


@contextmanager
def relay(url: DatabaseURL, *, whole: bool = False, **changes: tuple[bytes, bytes]) -> Iterator[Relay]:
    """`changes`: what of the server's answers is replaced by what, of the same length; or by nothing, and then over."""
    made = Relay(url, lambda data: _changed(data, changes), whole=whole)
    try:
        yield made
    finally:
        made.close()


def _changed(data: bytes, changes: Mapping[str, tuple[bytes, bytes]]) -> bytes:
    for old, new in changes.values():
        if old in data and not new:
            raise OSError("cut off")
        data = data.replace(old, new)
    return data
