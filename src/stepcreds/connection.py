"""One HTTP/1.1 connection (RFC 9112) that is kept alive, and asked one thing at a time under a deadline.

`http.client` speaks; what it leaves open is done here: a deadline for the whole answer, a limit for its body, tunnels
through proxies, and a word for each way to fail. It repeats nothing, follows no redirect, decodes nothing, and reads no
variable of the environment, no netrc and no cookie. A library that does all that and more costs a step a third of its
start.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    IncompleteRead,
    InvalidURL,
)
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from stepcreds.bounded_answer import BoundedAnswer
from stepcreds.clock import Clock
from stepcreds.dial import dial
from stepcreds.request_error import NO_TUNNEL, RequestError, answerless, unreached, unsendable

_CHUNK = 65_536  # bytes
_SHORTEST = 0.001  # seconds; 0 would mean something else to a socket
_FRAME = 1 << 20  # bytes that an answer may have besides its body: head, sizes of chunks, trailers
_PORTS = {"http": 80, "https": 443}


class Response(NamedTuple):
    """What a server answered."""

    status: int
    headers: Any  # an http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str:
        """All values of the header, as one text; "" where there is none."""
        return ", ".join(value.strip() for value in self.headers.get_all(name, []))


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    proxy: str


class Connection:
    """A connection to one server at a time, made when it is needed. For one thread at a time.

    `context` gives the TLS context for https: it is asked for when a connection needs it.
    """

    def __init__(self, clock: Clock, context: Callable[[], ssl.SSLContext]) -> None:
        self._clock = clock
        self._context = context
        self._target: _Target | None = None
        self._open: _HTTPConnection | None = None
        self._until = 0.0  # monotonic second
        self._idle = math.inf  # seconds
        self._bytes_left = 0  # of all that may come for one answer

    @property
    def peer(self) -> object:
        """The socket of the connection that is open, an `ssl.SSLSocket` for https; None where there is none."""
        return self._open.sock if self._open is not None else None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect_timeout: float,
        until: float,
        limit: int,
        idle: float = math.inf,
        proxy: str = "",
    ) -> Response:
        """The answer to one request, whole, by the monotonic second `until`; a body of `limit` bytes at most.

        `idle` is for how many seconds nothing at all may come. `url` is in ASCII, and quoted. `proxy` is the URL of an
        HTTP proxy that an https request is to be tunnelled through, with user and password where it wants them (RFC
        9110, section 9.3.6). Raises `RequestError`, and whatever `context` raises.
        """
        self._until, self._idle = until, idle
        self._bytes_left = limit + _FRAME
        asked = _asked(url, headers, proxy)
        if asked is None:
            raise unsendable()
        target, path = asked
        try:
            connection = self._open
            if connection is None or target != self._target or _has_ended(connection.sock):
                self.close()
                connection = self._open = self._connected(target, self._clock.monotonic() + connect_timeout)
                self._target = target
            return self._exchange(connection, method, path, headers, body, limit)
        except BaseException:
            self.close()
            raise

    def _exchange(
        self,
        connection: _HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int,
    ) -> Response:
        connection.sock.settimeout(max(_SHORTEST, self._left()))
        trouble: RequestError | None = None
        # What is raised may hold the request: it is looked at, and dropped.
        try:
            connection.request(method, path, body, headers)
        except BrokenPipeError:
            pass  # a server that has answered already, and hung up, has an answer that is worth reading
        except (OSError, HTTPException, ValueError) as error:
            # What does not fit is found before a byte of it is sent; an SSLError is both.
            fits = isinstance(error, OSError) or not isinstance(error, (ValueError, InvalidURL))
            trouble = answerless(error) if fits else unsendable()
        if trouble is None:
            try:
                response = connection.getresponse()
            except (OSError, HTTPException, ValueError) as error:
                trouble = answerless(error)
            else:
                return self._read(response, limit)
        raise trouble

    def _read(self, response: HTTPResponse, limit: int) -> Response:
        body = bytearray()
        trouble: RequestError | None = None
        try:
            with response:
                if response.status < 200:  # `http.client` passes over 100 alone, and what follows is the answer
                    raise RequestError("broken", "the answer is one that another follows", sent=True)
                while chunk := response.read(_CHUNK):
                    body += chunk
                    if len(body) > limit:
                        what = f"{limit // 1024 // 1024} MiB" if limit >= 1024 * 1024 else f"{limit // 1024} KiB"
                        raise RequestError("too long", f"an answer of more than {what}", sent=True)
                if response.length:
                    raise IncompleteRead(b"", response.length)
                if response.will_close:
                    self.close()
        except TimeoutError:
            trouble = RequestError("endless", "an answer that does not end", sent=True)
        except (OSError, HTTPException, ValueError) as error:
            trouble = answerless(error)
        if trouble is not None:
            raise trouble
        return Response(response.status, response.headers, bytes(body))

    def _connected(self, target: _Target, until: float) -> _HTTPConnection:
        """Connected by the monotonic second `until`, and shaken hands in as long again."""
        context = self._context() if target.scheme == "https" else None
        trouble: RequestError | None = None
        sock: Any = None
        try:
            sock = self._tunnel(target, until) if target.proxy else self._dialled(target.host, target.port, until)
        except (OSError, HTTPException, ValueError) as error:
            trouble = unreached(error, "proxy" if target.proxy else "broken")
        if trouble is not None:
            raise trouble
        try:
            if context is not None:
                sock.settimeout(max(_SHORTEST, min(self._left(), sock.gettimeout() or math.inf)))
                sock = _secured(sock, context, target.host)
            connection = _HTTPConnection(target.host, target.port, sock, self._answers)
        except (OSError, HTTPException, ValueError) as error:
            sock.close()
            trouble = unreached(error, "broken")
        except BaseException:
            sock.close()
            raise
        if trouble is not None:
            raise trouble
        connection.default_port = _PORTS[target.scheme]  # which is left out of the header Host
        return connection

    def _dialled(self, host: str, port: int, until: float) -> socket.socket:
        return dial(host, port, lambda: min(until - self._clock.monotonic(), self._left()))

    def _tunnel(self, target: _Target, until: float) -> Any:
        """A socket that leads to the server through its proxy. Raises `OSError`, `HTTPException`, `ValueError`."""
        proxy = urlsplit(target.proxy)
        if proxy.scheme not in _PORTS:
            raise ValueError("no HTTP proxy")
        name = proxy.hostname or ""
        sock: Any = self._dialled(name, proxy.port or _PORTS[proxy.scheme], until)
        try:
            if proxy.scheme == "https":
                # Not the server's: its CAs, its client's certificate and its leniency are not the proxy's.
                sock = context_of_the_system().wrap_socket(sock, server_hostname=name.rstrip("."))
            place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
            lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
            if proxy.username is not None:
                pair = unquote_to_bytes(proxy.username) + b":" + unquote_to_bytes(proxy.password or "")
                lines.append(f"Proxy-Authorization: Basic {b64encode(pair).decode()}")
            sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            with self._answers(sock, method="CONNECT") as answer:
                answer.begin()
                _require_tunnel(answer)
        except BaseException:
            sock.close()
            raise
        return sock

    def _left(self) -> float:
        """Seconds to wait for what comes next."""
        return min(self._idle, self._until - self._clock.monotonic())

    def _allow(self) -> float:
        """Seconds for the next read. Raises `TimeoutError` where there are none."""
        if (left := self._left()) <= 0:
            raise TimeoutError("the answer did not end in time")
        return left

    def _count(self, read: int) -> None:
        self._bytes_left -= read
        if self._bytes_left < 0:
            raise RequestError("endless", "an answer that does not end", sent=True)

    def _answers(self, sock: Any, *args: Any, **kwargs: Any) -> HTTPResponse:
        return BoundedAnswer(self._allow, self._count, sock, *args, **kwargs)


class _HTTPConnection(HTTPConnection):
    """One whose socket somebody else makes, and whose answers come in time."""

    auto_open = 0

    def __init__(self, host: str, port: int, sock: Any, answers: Callable[..., HTTPResponse]) -> None:
        super().__init__(host, port)
        self.sock = sock
        self.response_class = answers  # type: ignore[assignment]


def context_of_the_system() -> ssl.SSLContext:
    """A TLS context that trusts the system's CAs, where the administrator of a self-hosted server puts a private one.

    Not that of `create_default_context`, which from Python 3.13 on refuses private CAs that other clients on the
    machine accept.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


def _require_tunnel(answer: HTTPResponse) -> None:
    if not 200 <= answer.status < 300:
        raise OSError(f"{NO_TUNNEL}{answer.status} {answer.reason.strip()}")


def _asked(url: str, headers: Mapping[str, str], proxy: str) -> tuple[_Target, str] | None:
    """Where `url` leads, and what is asked for there; None for what no request can say."""
    try:
        parts = urlsplit(url)
        target = _Target(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0), proxy)
    except ValueError:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    texts = (path, *headers.values())
    if not (target.host and target.port) or " " in path:
        return None
    if not all(text.isascii() and text.isprintable() for text in texts):
        return None
    # A server would read such a header otherwise.
    return None if any(text != text.strip() for text in headers.values()) else (target, path)


def _secured(sock: Any, context: ssl.SSLContext, host: str) -> Any:
    if isinstance(sock, ssl.SSLSocket):  # a proxy that speaks TLS itself, which is seldom
        from urllib3.util.ssltransport import SSLTransport

        return SSLTransport(sock, context, host.rstrip("."))
    return context.wrap_socket(sock, server_hostname=host.rstrip("."))


def _has_ended(sock: Any) -> bool:
    """Whether the server has closed the idle connection, or said something that nobody asked for."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
