"""One HTTP request to one address of Vault, on one kept-alive connection; it repeats nothing and interprets nothing.

`requests` is used with everything switched off that it does by itself: redirects (it would hand the Vault token to
whatever host a redirect names), the environment's proxies and CA bundles, netrc, and retries.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from stepcreds import __version__, foreign_json
from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.pace import PacedAdapter
from stepcreds.secret import Secret
from stepcreds.vault.answer import Answer, NoAnswerError
from stepcreds.vault.failure import no_answer
from stepcreds.vault.refusals import HTTPS_EXPECTED
from stepcreds.vault.tls import client_context

BODY_LIMIT = 4 * 1024 * 1024  # bytes; Vault's own limit for a request is 32 MiB, and a credential takes one KiB
CONNECT_TIMEOUT = 5.0  # seconds
INDEX = "X-Vault-Index"
INDEX_LIMIT = 1000  # characters
SHORTEST = 0.5  # seconds that a request gets when there is no time left: revoking late is better than not at all


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        # With allow_redirects=False `requests` still reads the whole body of a redirect and parses where it goes.
        return None


class Transport:
    """The connection to Vault. For one thread, and one process, at a time."""

    def __init__(self, settings: VaultSettings, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._session: requests.Session | None = None
        self._read_until = 0.0  # monotonic second
        self.context = context  # made when first needed (the system's CAs take 30 ms), and worth handing on
        # Up to where Vault's storage was written when it last told; opaque, "" where it never did.
        self.index = ""

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

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
        session = self.session(address)
        proxy = self._settings.proxies.get(address)
        now = self._clock.monotonic()
        # A server that sends byte by byte leaves as much time for another try as one that hangs.
        left = max(SHORTEST, min(read_timeout, until - now))
        self._read_until = until = now + left
        trouble: Exception | None = None
        try:
            response = session.request(
                method,
                f"{address}/v1/{quote(path)}",
                data=None if payload is None else json.dumps(payload).encode(),
                headers=headers,
                timeout=(min(CONNECT_TIMEOUT, left), left),
                proxies={urlsplit(address).scheme: proxy} if proxy else {},
                verify=not self._settings.skip_verify,
                allow_redirects=False,
                stream=True,
            )
            with response:
                raw = self._read(response, address, until)
        # What `requests` raises holds the request, and that holds the token: it is looked at here, and dropped.
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            trouble = error
        if trouble is not None:
            raise no_answer(trouble, address, self._settings)
        # An error says nothing of the storage. Two headers are one text to `requests`, and an index that OpenBao cannot
        # read is to it one that it has seen (internal/http/index.go).
        indexes = response.raw.headers.getlist(INDEX) if 200 <= response.status_code < 300 else []
        if len(indexes) == 1 and 0 < len(indexes[0]) <= INDEX_LIMIT and _is_one_word(indexes[0]):
            self.index = indexes[0]
        return _answer(address, response, raw, payload, token)

    def session(self, address: str) -> requests.Session:
        """The session that asks `address`, made when first needed. Raises `VaultError` for TLS settings that cannot
        work. Its user names timeout, proxy and `verify` with each request.
        """
        if self._session is None:
            if self._settings.skip_verify:
                # Whoever sets VAULT_SKIP_VERIFY knows; a Python warning in the log of a step tells nobody more.
                urllib3.disable_warnings(InsecureRequestWarning)
            self._session = _Session()
            self._session.trust_env = False
            self._session.headers.clear()
            self._session.headers.update(
                {
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "Content-Type": "application/json",
                    "User-Agent": f"stepcreds/{__version__}",
                    "X-Vault-Request": "true",
                }
            )
            if self._settings.namespace:
                self._session.headers["X-Vault-Namespace"] = self._settings.namespace
            self._session.mount("http://", PacedAdapter(self._left))
        if address.startswith("https://") and not isinstance(self._session.adapters["https://"], PacedAdapter):
            if self.context is None:
                self.context = client_context(self._settings)
            self._session.mount("https://", PacedAdapter(self._left, self.context))
        return self._session

    def _left(self) -> float:
        return self._read_until - self._clock.monotonic()

    def _read(self, response: requests.Response, address: str, until: float) -> bytes:
        raw = bytearray()
        while chunk := response.raw.read1(65536, decode_content=False):
            raw += chunk
            if len(raw) > BODY_LIMIT:
                raise NoAnswerError(address, f"an answer of more than {BODY_LIMIT // 1024 // 1024} MiB", sent=True)
            if self._clock.monotonic() > until:
                raise NoAnswerError(address, "an answer that does not end", sent=True)
        return bytes(raw)


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and "," not in text


def _answer(
    address: str, response: requests.Response, raw: bytes, payload: Mapping[str, Any] | None, token: Secret | None
) -> Answer:
    value = foreign_json.read(raw)
    body = value if isinstance(value, dict) else None
    errors = body.get("errors") if body is not None else None
    texts = [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
    if body is None and b"http request" in (start := raw[:1000].lower()) and b"https" in start:
        texts = [HTTPS_EXPECTED]  # Go and nginx say it in text
    # A server that repeats in an error what it was sent must not get it into a log that way.
    sent = [token.reveal()] if token is not None else []
    sent += [str(payload["jwt"])] if payload is not None and "jwt" in payload else []
    for secret in filter(None, sent):
        texts = [text.replace(secret, "***") for text in texts]
    return Answer(
        address=address,
        status=response.status_code,
        body=body,
        errors=tuple(texts),
        content_type=response.headers.get("Content-Type", ""),
        location=response.headers.get("Location", ""),
        retry_after=response.headers.get("Retry-After", ""),
    )
