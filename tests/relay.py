"""Two things that stand between a client and a server on loopback, and count: a TCP relay, and an HTTP proxy."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

Self = TypeVar("Self", bound="Relay")  # typing.Self came with Python 3.11


class Relay:
    """`with Relay(port) as relay:` hands everything that comes to `relay.port` on to `port`, and back.

    `connections` counts what was accepted, `requests` holds the request lines that went through in clear.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[str] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def close(self) -> None:
        # shutdown, not close alone: only that wakes the thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._threads[0].join()
        for end in self._open:
            end.close()

    def refuse(self) -> None:
        """From now on nobody listens at the port, until `listen`."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()

    def listen(self) -> None:
        """Take connections again."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._threads[0] = threading.Thread(target=self._accept, daemon=True)
        self._threads[0].start()

    def hang_up(self) -> None:
        """Close every connection from this side, and wait until that has been done."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                self.connections += 1
                self._connected(near)

    def _connected(self, near: socket.socket) -> None:
        self._join(near, self._target)

    def _join(self, near: socket.socket, port: int) -> None:
        far = socket.create_connection(("127.0.0.1", port))
        self._open.append(far)
        self._spawn(self._pump, near, far, True)
        self._spawn(self._pump, far, near, False)

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                if outward:
                    found = re.findall(rb"(?:^|\r\n|\})((?:GET|POST|PUT) /\S+) HTTP/1\.1\r\n", content)
                    self.requests += [line.decode() for line in found]
                sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class ConnectProxy(Relay):
    """An HTTP proxy that knows CONNECT alone; `tunnels` are what it was asked for, `answer` what it says to it."""

    def __init__(self, answer: str = "200 Connection established") -> None:
        self._answer = answer
        self.tunnels: list[str] = []
        self.authorizations: list[str] = []
        super().__init__(0)

    def _connected(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(65536)
        lines = head.decode().split("\r\n")
        self.tunnels.append(lines[0].split(" ")[1])
        self.authorizations += [line for line in lines if line.lower().startswith("proxy-authorization:")]
        near.sendall(f"HTTP/1.1 {self._answer}\r\nContent-Length: 0\r\n\r\n".encode())
        if self._answer.startswith("200"):
            self._join(near, int(self.tunnels[-1].rpartition(":")[2]))
        else:
            near.shutdown(socket.SHUT_RDWR)
