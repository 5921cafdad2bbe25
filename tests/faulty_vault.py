"""A reverse proxy on loopback before a real OpenBao: it fails where a rule says so, and remembers what went through.

    with FaultyVault(stack.address) as vault:
        rule = vault.fail("issue", Fault("reset", after=True))     # the next one; times=None: every one from now on
        …                                                          # stepcreds, with vault.address as its server
        rule.arrived.wait(60)                                      # for a rule that hangs

It may stand before the issuer of a stack as well. Stages are named by `stage_of`. `after` says that OpenBao carries the request out and the answer is what gets lost.
Everything goes through in clear here: `canaries` are the tokens and passwords that no output may hold. With `door` it speaks TLS, whose
certificate may be another for each connection.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal[
    "answer", "reset", "cut", "hang", "refuse", "pass",
    "dribble", "head", "continue", "trailers", "short", "long", "chunk", "gzip", "alien",
]  # fmt: skip
# What answers a new connection: TLS with a certificate; a reset or silence in place of a handshake; HTTP in clear.
Door = ssl.SSLContext | Literal["reset", "hang", "plain"]
PROBE = "stepcreds-probe"
JSON, HTML = "application/json", "text/html; charset=utf-8"
NOTHING_SAID = b'{"errors":["injected"]}'
_CHUNKED = b"HTTP/1.1 200 Injected\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
# What comes first, and what comes then for as long as somebody listens.
_ENDLESS = {
    "dribble": (b"HTTP/1.1 200 Injected\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "head": (b"HTTP/1.1 200 Injected\r\nX-Endless: ", b"x"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailers": (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Endless: x\r\n"),
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    `answer`: another status, headers and body; `reset`: RST in place of an answer; `cut`: half an answer, then RST;
    `hang`: nothing until the client gives up; `refuse`: RST, and from then on nobody listens; `pass`: nothing goes
    wrong, which is good to wait for. An answer that does not end: `dribble` in its body, `head` in a line of its
    head, `continue` before that, `trailers` after the body. Half of the body, with a Content-Length that says so
    (`short`); all of it, and a Content-Length that promises more (`long`); the first of two chunks (`chunk`). `gzip`:
    compressed, though nobody asked for it; `alien`: another protocol.

    `after`: OpenBao carries it out. `delay`: seconds before the answer. `then` is called before it, and `last` closes
    the connection after it.
    """

    kind: Kind = "answer"
    status: int = 200
    body: bytes = NOTHING_SAID
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    delay: float = 0.0
    then: Callable[[], object] | None = None
    last: bool = False


class Rule:
    """A fault at a stage. `arrived` is set when the first request has met it, at the monotonic second `first_met`; `met`
    counts them."""

    def __init__(self, stage: str, fault: Fault, times: int | None) -> None:
        self.stage = stage
        self.fault = fault
        self.left = times
        self.met = 0
        self.first_met = 0.0
        self.arrived = threading.Event()


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # path and query
    headers: Mapping[str, str]  # names in lower case
    raw: bytes  # the body

    @property
    def path(self) -> str:
        """Without /v1/ and query."""
        return self.target.partition("?")[0].removeprefix("/v1/")

    @property
    def body(self) -> dict[str, Any]:
        value = json.loads(self.raw) if self.raw else {}
        return value if isinstance(value, dict) else {}


def stage_of(request: Request) -> str:  # noqa: PLR0911 - a list of cases
    """login, probe, issue, sign, renew, revoke, queue, lookup, renew-token, revoke-self, revoke-accessor; token, at a
    CI."""
    path, body = request.path, request.body
    if path == "/token":
        return "token"
    if path.startswith("auth/") and path.endswith("/login"):
        return "login"
    if "/sign/" in path:
        return "sign"
    if path == "sys/leases/revoke":
        if str(body.get("lease_id")).endswith(PROBE):
            return "probe"
        return "revoke" if body.get("sync") is True else "queue"
    if path.startswith("auth/token/"):
        return {"renew-self": "renew-token"}.get(name := path.removeprefix("auth/token/"), name)
    return path.removeprefix("sys/leases/") if path.startswith("sys/leases/") else "issue"


class FaultyVault:
    """See the module. `stages` are those that came, in order; `issued` all that OpenBao gave, answered or not."""

    def __init__(self, target: str, door: Door | None = None) -> None:
        self.door = door  # of the connections that come from now on; None: no TLS
        self.then: Door | None = None  # what they are shown after the next one
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self.stages: list[str] = []
        self.issued: dict[str, str] = {}  # lease id -> user
        self.canaries: set[str] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._reserved: socket.socket | None = None
        self.port = int(self._listener.getsockname()[1])
        self.address = f"{'http' if door is None else 'https'}://127.0.0.1:{self.port}"
        self._spawn(self._accept)

    def fail(self, stage: str, fault: Fault, times: int | None = 1) -> Rule:
        """Let `fault` happen to the next `times` requests of `stage`; None: to all of them."""
        rule = Rule(stage, fault, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def refuse(self) -> None:
        """From now on nobody listens at the address, which stays ours."""
        self._stop_listening()
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self.port))

    def close(self) -> None:
        self._closed.set()
        self._stop_listening()
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()
        if self._reserved is not None:
            self._reserved.close()

    def __enter__(self) -> FaultyVault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stop_listening(self) -> None:
        with suppress(OSError):  # shutdown, not close alone: only that wakes the thread that waits in accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _spawn(self, target: Any, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                self._spawn(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        upstream = HTTPConnection(*self._target, timeout=90)
        try:
            near = self._shown_in(near)
            with near.makefile("rb") as stream, suppress(OSError):
                while (request := _read(stream)) is not None and self._handle(near, upstream, request):
                    pass
        except OSError:
            pass  # the client does not like what the door shows
        finally:
            upstream.close()
            near.close()

    def _shown_in(self, near: socket.socket) -> socket.socket:
        """The connection as requests can be read from it. Raises `OSError` where none will come."""
        door = self.door
        if door is None:
            return near
        self.door, self.then = self.then or door, None
        if isinstance(door, ssl.SSLContext):
            near.settimeout(90)
            near = door.wrap_socket(near, server_side=True)
            near.settimeout(None)
            with self._lock:
                self._sockets.append(near)
            return near
        if door == "hang":
            near.recv(1_000_000)
            near.recv(1)  # returns when the client has given up
        elif door == "plain":
            near.sendall(_answer(400, HTML, b"Client sent a TLS request to an HTTP server."))
        elif door == "reset":
            near.recv(1)
        _reset(near)
        raise OSError("nobody is let in")

    def _handle(self, near: socket.socket, upstream: HTTPConnection, request: Request) -> bool:
        """Answer or fail; whether the connection is still good."""
        stage = stage_of(request)
        rule = self._rule(stage, request)
        fault = rule.fault if rule is not None else Fault("pass")
        status, content_type, body = 0, JSON, b""
        if fault.after or fault.kind == "pass":
            status, content_type, body = self._forward(upstream, request, stage)
        if rule is not None:
            rule.arrived.set()
        if fault.then is not None:
            fault.then()
        self._closed.wait(fault.delay)
        if fault.kind == "pass":
            near.sendall(_answer(status, content_type, body, {"Connection": "close"} if fault.last else {}))
            return not fault.last
        if fault.kind == "answer":
            near.sendall(_answer(fault.status, fault.content_type, fault.body, fault.headers))
            return True
        if fault.kind in _ENDLESS:
            start, more = _ENDLESS[fault.kind]
            near.sendall(start)
            with suppress(OSError):
                while not self._closed.wait(0.02):
                    near.sendall(more)
        elif fault.kind == "refuse":
            self.refuse()
        elif fault.kind == "hang":
            with suppress(OSError):
                near.recv(1)  # returns when the client has given up
        elif fault.kind != "reset":
            raw, goes_on = _mangled(fault.kind, body or NOTHING_SAID)
            near.sendall(raw)
            if goes_on:
                return True
            if fault.kind != "cut":
                return False  # closed in order: the client sees the end of the stream
        _reset(near)
        return False

    def _rule(self, stage: str, request: Request) -> Rule | None:
        with self._lock:
            self.stages.append(stage)
            self.canaries |= {request.headers.get("x-vault-token", ""), str(request.body.get("jwt", ""))} - {""}
            for rule in self._rules:
                if rule.stage == stage and rule.left != 0:
                    rule.left = None if rule.left is None else rule.left - 1
                    rule.met += 1
                    rule.first_met = rule.first_met or time.monotonic()
                    return rule
        return None

    def _forward(self, upstream: HTTPConnection, request: Request, stage: str) -> tuple[int, str, bytes]:
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        upstream.request(request.method, request.target, body=request.raw or None, headers=headers)
        with upstream.getresponse() as response:
            status, content_type, body = response.status, response.getheader("Content-Type", JSON), response.read()
        if body and status == 200:
            self._remember(json.loads(body), stage)
        return status, content_type, body

    def _remember(self, answer: dict[str, Any], stage: str) -> None:
        with self._lock:
            if token := (answer.get("auth") or {}).get("client_token"):
                self.canaries.add(str(token))
            if stage == "token":
                self.canaries.add(str(answer["value"]))
            if stage == "issue" and "username" in (answer.get("data") or {}):  # not what `scope` asks for besides
                self.issued[str(answer["lease_id"])] = str(answer["data"]["username"])
                self.canaries.add(str(answer["data"]["password"]))


class Trap:
    """A server that nobody may speak to: where a redirect points. `visits` counts the connections."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def visits(self) -> int:
        """Connections so far; none of them is ever answered."""
        self._listener.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                count += 1
        return count

    def __enter__(self) -> Trap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    raw = stream.read(int(headers.get("content-length", "0")))
    return Request(line[0], line[1], headers, raw)


def _head(status: int, content_type: str, length: int, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Injected", f"Content-Type: {content_type}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _mangled(kind: Kind, body: bytes) -> tuple[bytes, bool]:
    """`body` as an answer that is wrong in this way, and whether the connection is to be kept."""
    half = len(body) // 2
    if kind == "short":
        return _head(200, JSON, half) + body, True
    if kind == "long":
        return _head(200, JSON, 2 * len(body)) + body, False
    if kind == "chunk":
        return _CHUNKED + f"{half:x}\r\n".encode() + body[:half] + b"\r\n", False
    if kind == "gzip":
        packed = gzip.compress(body)
        return _head(200, JSON, len(packed), {"Content-Encoding": "gzip"}) + packed, True
    if kind == "alien":
        return b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", False
    assert kind == "cut", kind
    return _head(200, JSON, len(body)) + body[:half], False


def _answer(status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    if status == 204:
        named = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        return f"HTTP/1.1 204 No Content\r\n{named}\r\n".encode()
    return _head(status, content_type, len(body), headers) + body


def _reset(near: socket.socket) -> None:
    """Close so that the client sees the connection broken, not ended."""
    with suppress(OSError):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
