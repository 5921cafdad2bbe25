"""One HTTP request to one address of Vault, on one kept-alive connection; it repeats nothing and interprets nothing."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stepcreds import __version__, foreign_json
from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.connection import Connection, Response
from stepcreds.request_error import RequestError
from stepcreds.secret import Secret
from stepcreds.vault.answer import Answer
from stepcreds.vault.failure import no_answer
from stepcreds.vault.refusals import HTTPS_EXPECTED
from stepcreds.vault.tls import client_context

BODY_LIMIT = 4 * 1024 * 1024  # bytes; Vault's own limit for a request is 32 MiB, and a credential takes one KiB
CONNECT_TIMEOUT = 5.0  # seconds
INDEX = "X-Vault-Index"
STEP = "X-Stepcreds-Step"  # audited where an operator has it so: `sys/config/auditing/request-headers`
INDEX_LIMIT = 1000  # characters
SHORTEST = 0.5  # seconds that a request gets when there is no time left: revoking late is better than not at all


class Transport:
    """The connection to Vault. For one thread, and one process, at a time."""

    def __init__(
        self, settings: VaultSettings, clock: Clock, context: ssl.SSLContext | None = None, *, step_uid: str = ""
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.connection = Connection(clock, self._tls)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"stepcreds/{__version__}",
            "X-Vault-Request": "true",
        }
        if settings.namespace:
            self._headers["X-Vault-Namespace"] = settings.namespace
        if step_uid:
            self._headers[STEP] = step_uid
        self.context = context  # made when first needed (the system's CAs take 30 ms), and worth handing on
        # Up to where Vault's storage was written when it last told; opaque, "" where it never did.
        self.index = ""

    def close(self) -> None:
        self.connection.close()

    def exchange(
        self,
        address: str,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None,
        token: Secret | None,
        *,
        read_timeout: float,
        until: float,
        consistent: bool = False,
    ) -> Answer:
        """Ask `address` once, for `read_timeout` seconds and until the monotonic second `until` at most.

        With `consistent`, the answer is of a server that has all that the answers before it came from: a standby reads
        its own copy of the storage, which may be behind, and says "invalid lease" of a lease that it has not heard of,
        or knows one that is revoked. https://openbao.org/docs/concepts/consistency/

        Raises `NoAnswerError`, and `VaultError` for settings that cannot work.
        """
        headers = {INDEX: self.index} if consistent and self.index else {}
        if token is not None:
            headers["X-Vault-Token"] = token.reveal()

        def ask() -> Answer:
            return self._ask(address, method, path, payload, token, headers, read_timeout=read_timeout, until=until)

        answer = ask()
        if answer.status == 429 and INDEX in headers and not answer.errors:
            # OpenBao's for a standby that is behind, which can have the leader answer. Not asked for at once: HashiCorp
            # Vault (412 in its place, which is tried again) refuses the header unless it is configured for it.
            headers["X-Vault-Inconsistent"] = "forward-active-node"
            answer = ask()
        return answer

    def _ask(
        self,
        address: str,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None,
        token: Secret | None,
        headers: Mapping[str, str],
        *,
        read_timeout: float,
        until: float,
    ) -> Answer:
        now = self._clock.monotonic()
        # A server that sends byte by byte leaves as much time for another try as one that hangs.
        left = max(SHORTEST, min(read_timeout, until - now))
        trouble: RequestError | None = None
        try:
            response = self.connection.ask(
                method,
                f"{address}/v1/{quote(path)}",
                {**self._headers, **headers},
                None if payload is None else json.dumps(payload).encode(),
                connect_timeout=CONNECT_TIMEOUT,
                until=now + left,
                limit=BODY_LIMIT,
                proxy=self._settings.proxies.get(address, ""),
            )
        except RequestError as error:
            trouble = error
        if trouble is not None:
            raise no_answer(trouble, address, self._settings)
        # An error says nothing of the storage. And an index that OpenBao cannot read, as two headers in one, is to it
        # one that it has seen (internal/http/index.go).
        index = response.header(INDEX) if 200 <= response.status < 300 else ""
        if 0 < len(index) <= INDEX_LIMIT and _is_one_word(index):
            self.index = index
        return _answer(address, response, payload, token)

    def _tls(self) -> ssl.SSLContext:
        if self.context is None:
            self.context = client_context(self._settings)
        return self.context


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and "," not in text


def _answer(address: str, response: Response, payload: Mapping[str, Any] | None, token: Secret | None) -> Answer:
    value = foreign_json.read(response.body)
    body = value if isinstance(value, dict) else None
    errors = body.get("errors") if body is not None else None
    texts = [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
    if body is None and b"http request" in (start := response.body[:1000].lower()) and b"https" in start:
        texts = [HTTPS_EXPECTED]  # Go and nginx say it in text
    # A server that repeats in an error what it was sent must not get it into a log that way.
    sent = [token.reveal()] if token is not None else []
    sent += [str(payload["jwt"])] if payload is not None and "jwt" in payload else []
    for secret in filter(None, sent):
        texts = [text.replace(secret, "***") for text in texts]
    return Answer(
        address=address,
        status=response.status,
        body=body,
        errors=tuple(texts),
        content_type=response.header("Content-Type"),
        location=response.header("Location"),
        retry_after=response.header("Retry-After"),
    )
