"""A server that answers whatever it is told to in Vault's place, and a client of it as a step has one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault


@contextmanager
def client(address: str, patience: float = 20.0, **other: Any) -> Iterator[Vault]:
    """A client that waits `patience` seconds for each call, and has a token."""
    settings = VaultSettings((address,), None, None, None, None, False, "jwt", "https://vault.example")
    vault = Vault(settings._replace(**other), SystemClock(), patience=patience, pause=lambda attempt: 0.01)
    vault.use(Secret("c4n4ry-token"))
    try:
        yield vault
    finally:
        vault.close()
