"""An HTTP answer that comes in time and stays within bounds, however its server sends it; `http.client` parses it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any


class BoundedAnswer(HTTPResponse):
    def __init__(
        self, allow: Callable[[], float], count: Callable[[int], None], sock: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = BufferedReader(_Reading(self.fp.detach(), sock, allow, count))


class _Reading(RawIOBase):
    """What a socket gives, `raw`, while `allow` gives seconds for it and `count` takes it.

    `http.client` gives each read the whole time-out anew, and reads for as long as a server sends "100 Continue", lines
    of a head, chunks of a negative size, or trailers after a body: a byte now and then would keep its caller for ever,
    and a flood would take all the memory.
    """

    def __init__(self, raw: Any, sock: socket.socket, allow: Callable[[], float], count: Callable[[int], None]) -> None:
        self._raw = raw
        self._sock = sock
        self._allow = allow
        self._count = count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._allow())
        read: int | None = self._raw.readinto(buffer)
        self._count(read or 0)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()
