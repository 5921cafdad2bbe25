"""A TCP relay before a real server that treats each connection as it is told: relays it, resets it, or lets it hang."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Literal

from relay import Relay

Treatment = Literal["relay", "reset", "hang"]


class FaultyRelay(Relay):
    """`treat` says what becomes of connection number n, counted from 1. A connection that hangs is never answered."""

    def __init__(self, port: int, treat: Callable[[int], Treatment]) -> None:
        self._treat = treat
        super().__init__(port)

    def _connected(self, near: socket.socket) -> None:
        treatment = self._treat(self.connections)
        if treatment == "relay":
            super()._connected(near)
        elif treatment == "reset":
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
