"""A Vault or OpenBao as an operator's token sees it: reads objects, writes them, and asks what the token may do.

Over the connection that a step uses, not hvac's: it follows no redirect, takes no certificate from the environment,
goes on to the next address where one is a standby, and explains refusals. Nothing here knows what is to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.vault import refusals
from stepcreds.vault.answer import Answer
from stepcreds.vault.calls import Calls
from stepcreds.vault.transport import Transport

PATIENCE = 20.0  # seconds for one call and its retries; a plugin that logs in to a database may take its time
CAPABILITIES = "sys/capabilities-self"
_HEADERS = "sys/config/auditing/request-headers/"
_MOUNTS = {"sys/mounts/": "", "sys/auth/": "auth/"}  # where a mount is made, and what the paths in it begin with
_PAUSE = 0.1  # seconds, until the next try in a mount that is new


class ForbiddenError(VaultError):
    """The token's policies do not allow it."""


class Live:
    """One Vault, with an operator's token. Every call raises `VaultError`, and `ForbiddenError` for a policy's no."""

    def __init__(self, settings: VaultSettings, token: Secret, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._transport = Transport(settings, clock)
        self._calls = Calls(settings.addresses, self._transport, clock)
        self._patience = settings.timeout or PATIENCE
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._mounted: list[str] = []  # by this object: what the paths in them begin with

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: str) -> Mapping[str, Any] | None:
        """The data at `path`; None where there is nothing."""
        answer = self._call("GET", path)
        # https://github.com/openbao/openbao/blob/main/vault/logical_system.go: a header that is not kept is a 400.
        if answer.status == 404 or _has_no_route(answer) or (answer.status == 400 and path.startswith(_HEADERS)):
            return None
        return self._data(answer, "GET", path)

    def mounts(self, listing: str) -> Mapping[str, Any]:
        """What `sys/auth` or `sys/mounts` lists: path without its slash -> what is mounted there. Asked once."""
        if listing not in self._seen:
            found = self._data(self._call("GET", listing), "GET", listing)
            self._seen[listing] = {path.rstrip("/"): mount for path, mount in found.items() if path.endswith("/")}
        return self._seen[listing]

    def names(self, path: str) -> tuple[str, ...]:
        """The names below `path`, sorted; none where there is nothing."""
        answer = self._call("LIST", path)
        if answer.status == 404 or _has_no_route(answer):
            return ()
        keys = self._data(answer, "LIST", path).get("keys")
        return tuple(sorted(key for key in keys if isinstance(key, str))) if isinstance(keys, list) else ()

    def write(self, path: str, body: Mapping[str, object], hidden: Iterable[Secret] = ()) -> None:
        """Write `body` to `path`. An error shows none of `hidden`, whatever Vault repeats of it."""
        answer = self._call("POST", path, body)
        if answer.status not in (200, 204):
            raise _refused(answer._replace(errors=tuple(_without(text, hidden) for text in answer.errors)), path)
        self._seen.clear()
        for folder, prefix in _MOUNTS.items():
            if path.startswith(folder) and not path.endswith("/tune"):
                self._mounted.append(f"{prefix}{path.removeprefix(folder)}/")

    def capabilities(self, paths: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """What the token may do at each of `paths`: "create", "read", "sudo"…; limits of parameters are not told.

        https://developer.hashicorp.com/vault/api-docs/system/capabilities-self
        """
        asked = sorted(set(paths))
        answer = self._call("POST", CAPABILITIES, {"paths": asked})
        data = self._data(answer, "POST", CAPABILITIES)
        found = {path: data.get(path) for path in asked}
        return {
            path: frozenset(map(str, told)) if isinstance(told, list) else frozenset() for path, told in found.items()
        }

    def _call(self, method: str, path: str, payload: Mapping[str, object] | None = None) -> Answer:
        """An answer that knows of all that was written before: a standby goes by its own copy of the storage.

        It has no route to a mount that was made a moment ago (seen with OpenBao 2.7.2). Where no server says how far
        the storage was, that is waited for.
        """
        until = self._clock.monotonic() + self._patience
        while True:
            answer = self._calls.call(
                method, path, payload, token=self._token, until=until, read_timeout=self._patience, consistent=True
            )
            is_new = any(map(path.startswith, self._mounted))
            if not (is_new and _has_no_route(answer)) or self._clock.monotonic() + _PAUSE >= until:
                return answer
            self._clock.sleep(_PAUSE)

    def _data(self, answer: Answer, method: str, path: str) -> Mapping[str, Any]:
        if answer.status != 200:
            raise _refused(answer, path, method)
        data = answer.body.get("data") if answer.body is not None else None
        if not isinstance(data, dict):
            raise refusals.not_understood(answer, method, path, "the data")
        return data


def _has_no_route(answer: Answer) -> bool:
    """Whether nothing is mounted there, as far as who answered knows. HashiCorp Vault says it with 400."""
    return answer.status in (400, 404) and any("no handler for route" in text for text in answer.errors)


def _refused(answer: Answer, path: str, method: str = "POST") -> VaultError:
    error = refusals.refused(answer, method, path)
    if answer.status != 403 or refusals.token_unknown(answer):
        if answer.status == 403:
            error.cause = "Vault does not know the token that you gave (any longer): it has expired or was revoked."
            error.fix = "Log in again: vault login (or bao login)"
        return error
    return ForbiddenError(
        error.what,
        status=403,
        errors=error.errors,
        cause="The policies of your token do not allow it.",
        fix="The policy that is enough:\n  stepcreds setup apply --print-policy",
        docs="setup-capabilities",
    )


def _without(text: str, hidden: Iterable[Secret]) -> str:
    for secret in filter(None, hidden):
        for form in (secret.reveal(), quote(secret.reveal(), safe="")):
            text = text.replace(form, "***")
    return one_line(text, 600)
