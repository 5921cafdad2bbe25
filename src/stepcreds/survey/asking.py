"""Questions to Vault about a token, over the connection that `setup` has; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.secret import Secret
from stepcreds.setup.live.operator import Live

PATIENCE = 5.0  # seconds for one call: the credential that is looked at lives meanwhile


class Job(NamedTuple):
    """The token, and the job that it was given to."""

    token: Secret
    accessor: str
    policies: tuple[str, ...]
    claims: Mapping[str, object]
    own: bool = True  # False: the operator's child (--as-operator), which says nothing of what the job's would be
    repository_id: str = ""


class Asking(Live):
    """What `setup` may ask, and what is asked of tokens. Profiles share roles and policies: each is read once."""

    def __init__(self, settings: VaultSettings, token: Secret, clock: Clock) -> None:
        super().__init__(settings, token, clock)
        self._patience = min(self._patience, PATIENCE)
        self._read: dict[str, Mapping[str, Any] | None] = {}
        self._listed: dict[str, tuple[str, ...]] = {}

    def __enter__(self) -> Asking:
        return self

    def read(self, path: str) -> Mapping[str, Any] | None:
        if path not in self._read:
            self._read[path] = super().read(path)
        return self._read[path]

    def names(self, path: str) -> tuple[str, ...]:
        if path not in self._listed:
            self._listed[path] = super().names(path)
        return self._listed[path]

    def ask(self, path: str, **payload: object) -> Mapping[str, Any]:
        """The data of what `path` answers to a question that has to be sent. Raises `VaultError`."""
        return self._data(self._call("POST", path, payload), "POST", path)

    def may(self, accessor: str, paths: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """What the token of this accessor may do at each of `paths`. Raises `VaultError`.

        https://developer.hashicorp.com/vault/api-docs/system/capabilities-accessor
        """
        told = self.ask("sys/capabilities-accessor", accessor=accessor, paths=sorted(set(paths)))
        return {path: frozenset(map(str, each)) for path, each in told.items() if isinstance(each, list)}
