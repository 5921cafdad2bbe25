"""Makes an HTTP answer come within a deadline, its head and its trailers too; it asks for nothing and knows no server.

`http.client` gives each read of the socket the whole time-out anew, and reads for as long as a server sends
"100 Continue", lines of a head, or trailers after a body: a byte now and then would keep its caller for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    import socket
    import ssl

    from urllib3 import PoolManager


class PacedAdapter(HTTPAdapter):
    """One connection for `requests`, read while there are seconds `left`, that trusts for https what `context` does.

    `requests` would add certifi's CAs to any context.
    """

    def __init__(self, left: Callable[[], float], context: ssl.SSLContext | None = None) -> None:
        self._left = left
        self._tls: dict[str, Any] = {} if context is None else {"ssl_context": context}
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **{**kwargs, **self._tls})
        pace(self.poolmanager, self._left)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **self._tls, **kwargs)
        if not known:
            pace(manager, self._left)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        pass


def pace(manager: PoolManager, left: Callable[[], float]) -> None:
    """Let what `manager` connects to from now on be read while `left` gives seconds, and then raise `TimeoutError`."""

    class Answer(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = BufferedReader(_Reading(self.fp.detach(), sock, left))

    pools: dict[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": _answering(pool.ConnectionCls, Answer)})
        for scheme, pool in pools.items()
    }


def _answering(connection: Any, answer: type) -> type:
    return type(connection.__name__, (connection,), {"response_class": answer})


class _Reading(RawIOBase):
    """What a socket gives, `raw`, while there is time left."""

    def __init__(self, raw: Any, sock: socket.socket, left: Callable[[], float]) -> None:
        self._raw = raw
        self._sock = sock
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._left()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        timeout = self._sock.gettimeout()
        if timeout is None or left < timeout:
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
