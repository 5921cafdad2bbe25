"""A TCP connection to a host by its name, under one deadline for all its addresses; it sends nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

_SHORTEST = 0.001  # seconds; 0 would mean something else to a socket


def dial(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """A connection to the first address of `host` that takes one; each gets its share of the seconds that are `left`.

    Looking the name up has the resolver's own time-outs. Raises `UnicodeError` and `socket.gaierror` for the name, and
    the last address's `OSError`, a `TimeoutError` where no time is left.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = TimeoutError("no connection in time")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        if (seconds := left()) <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(_SHORTEST, seconds / (len(addresses) - tried)))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
