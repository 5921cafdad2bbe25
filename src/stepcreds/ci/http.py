"""Sends a request to a CI, patiently but not for ever; it follows no redirect and interprets no answer."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from stepcreds import __version__
from stepcreds.clock import Clock
from stepcreds.config.address import Address
from stepcreds.config.proxies import ProxyError, usual_proxy

if TYPE_CHECKING:
    from stepcreds.connection import Connection
    from stepcreds.request_error import RequestError

BODY_LIMIT = 256 * 1024  # bytes
DEADLINE = 30.0  # seconds for all tries together
_TIMEOUT = 10.0  # seconds to connect, and between two pieces of an answer
_LONGEST_PAUSE = 5.0  # seconds
BAD_CERTIFICATE = "its TLS certificate is not accepted"
_UNSENDABLE = "a request that cannot be sent"
_OWN_HEADERS = {"User-Agent": f"stepcreds/{__version__}", "Accept-Encoding": "identity", "Accept": "*/*"}


class Answer(NamedTuple):
    """The last answer of an endpoint. `status` 0: it gave none, for `reason`."""

    status: int
    reason: str  # in words, of no answer; quotes neither the URL's query nor a header
    body: bytes  # may hold the token
    tries: int

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.reason!r}, ***)"

    def in_words(self) -> str:
        outcome = f"HTTP {self.status}" if self.status else self.reason
        return outcome if self.tries == 1 else f"{outcome} (the last of {self.tries} tries)"


class HTTP(Protocol):
    """What a CI may use of HTTP."""

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Sends one request, again where that may help (429, 5xx, no connection), and gives the last answer."""
        ...


class PatientHTTP:
    """`HTTP` over the proxies that `environment` names and trusting the system's CAs.

    `jitter` gives a number from 0 to 1; the pauses between tries are between half and the whole of their length.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        clock: Clock,
        *,
        deadline: float = DEADLINE,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._deadline = deadline
        self._jitter = jitter

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        from stepcreds.connection import Connection, context_of_the_system

        until = self._clock.monotonic() + self._deadline
        connection = Connection(self._clock, context_of_the_system)
        tries = 0
        try:
            while True:
                tries += 1
                answer, again, wait = self._once(connection, method, url, headers, body, tries=tries, until=until)
                pause = max(wait, min(_LONGEST_PAUSE, 0.5 * 2 ** (tries - 1)) * self._half_to_whole())
                if not again or self._clock.monotonic() + pause >= until:
                    return answer
                self._clock.sleep(pause)
        finally:
            connection.close()

    def _once(
        self,
        connection: Connection,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        tries: int,
        until: float,
    ) -> tuple[Answer, bool, float]:
        """The answer, whether another try may help, and how many seconds the endpoint asks to wait before it."""
        from stepcreds.request_error import RequestError

        try:
            proxy = usual_proxy(_address(url), self._environment) or ""
        except ProxyError as error:
            return Answer(0, f"{error.variable} cannot be used: {error}", b"", tries), False, 0.0
        except ValueError:
            return Answer(0, _UNSENDABLE, b"", tries), False, 0.0
        try:
            response = connection.ask(
                method,
                url,
                {**_OWN_HEADERS, **headers},
                body,
                connect_timeout=_TIMEOUT,
                until=until,
                idle=_TIMEOUT,
                limit=BODY_LIMIT,
                proxy=proxy,
            )
        except RequestError as error:
            reason, again = _said(error, bool(proxy))
            return Answer(0, reason, b"", tries), again, 0.0
        again = response.status == 429 or response.status >= 500
        return Answer(response.status, "", response.body, tries), again, _wait(response.header("Retry-After"))

    def _half_to_whole(self) -> float:
        if self._jitter is None:
            import random

            self._jitter = random.random
        return 0.5 + self._jitter() / 2


def _address(url: str) -> Address:
    """Where `url` leads. Raises `ValueError`."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(url, parts.scheme, parts.hostname or "", port)


def _said(error: RequestError, proxied: bool) -> tuple[str, bool]:
    """Why there is no answer, in words, and whether another try may help."""
    via = " through the proxy" if proxied else ""
    if error.kind == "tls" and isinstance(error.tls, ssl.SSLCertVerificationError):
        return f"{BAD_CERTIFICATE}{via}", False
    if error.kind == "proxy":
        return "the proxy does not let the request through", True
    if error.kind == "late":
        return f"no answer in time{via}", True
    if error.kind in ("broken", "tls"):
        return f"no connection, or one that broke off{via}", True
    if error.kind == "unsendable":
        return f"{_UNSENDABLE}{via}", False
    return error.reason, False


def _wait(value: str) -> float:
    """`Retry-After` in seconds (RFC 9110, section 10.2.3); 0 where it is missing or a date."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0
