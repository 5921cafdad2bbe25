"""The part of RabbitMQ's management API that OpenBao's engine for it asks: users and their permissions.

https://www.rabbitmq.com/docs/http-api-reference. It speaks HTTP on loopback; the engine that calls it is the real one.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Broker:
    """`with Broker() as api:` — `api.users` are those there are, `api.made` the names of all there ever were."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.made: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.broker = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    broker: Broker


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._answer(200, [{"name": name} for name in sorted(self.server.broker.users)])

    def do_PUT(self) -> None:  # noqa: N802 - http.server's name
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kind, _, rest = self.path.removeprefix("/api/").partition("/")
        if kind == "users":
            self.server.broker.users.add(rest)
            self.server.broker.made.append(rest)
        self._answer(201)

    def do_DELETE(self) -> None:  # noqa: N802 - http.server's name
        name = self.path.rpartition("/")[2]
        self._answer(204 if name in self.server.broker.users else 404)
        self.server.broker.users.discard(name)

    def _answer(self, status: int, body: object = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing: a request line may hold what is not for a terminal."""
