"""A CI's token endpoint on loopback that answers from a script and keeps what it was asked; and a clock to drive."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


class DrivenClock:
    """A clock that moves only when somebody sleeps; `slept` are the pauses, in seconds."""

    def __init__(self, now: float = NOW) -> None:
        self.slept: list[float] = []
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        self._monotonic += seconds


@dataclass(frozen=True)
class Asked:
    method: str
    target: str  # path and query
    headers: Mapping[str, str]  # names in lower case


@dataclass(frozen=True)
class Reply:
    """`reset`: the connection is broken off instead of any answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False


def token_reply(token: str, name: str = "value") -> Reply:
    return Reply(200, json.dumps({"count": 1, name: token}).encode())


class Endpoint:
    """`with Endpoint(reply, reply…)`: each request gets the next reply, and the last one for ever."""

    def __init__(
        self,
        *replies: Reply,
        make: Callable[[Asked], Reply] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._replies = list(replies)
        self._make = make
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        if tls:
            # The handshake is left to the thread of the request: a failed one must not stop the server.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self._make is not None:
            return self._make(asked)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def handle(self) -> None:
                try:
                    super().handle()
                except ssl.SSLError:
                    """A client that does not accept the certificate."""

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", "0")))
                reply = endpoint.reply(Asked(self.command, self.path, headers))
                if reply.reset:
                    # SO_LINGER of zero: closing sends RST, as a load balancer does that gives up on its server.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.rfile.close()
                    self.connection.close()
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = _answer  # noqa: N815 - http.server's name
            do_POST = _answer  # noqa: N815 - http.server's name
            do_CONNECT = _answer  # noqa: N815 - http.server's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Nothing."""

            def finish(self) -> None:
                if not self.rfile.closed:
                    super().finish()

        return Handler
