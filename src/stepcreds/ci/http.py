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
    import requests

BODY_LIMIT = 256 * 1024  # bytes
DEADLINE = 30.0  # seconds for all tries together
_TIMEOUT = 10.0  # seconds to connect, and between two pieces of an answer
_LONGEST_PAUSE = 5.0  # seconds
BAD_CERTIFICATE = "its TLS certificate is not accepted"


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


class RequestsHTTP:
    """`HTTP` with `requests`, over the proxies that `environment` names and trusting the system's CAs.

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
        until = self._clock.monotonic() + self._deadline
        tries = 0
        with _session(url.startswith("https:"), lambda: until - self._clock.monotonic()) as session:
            session.headers.update(headers)
            while True:
                tries += 1
                answer, again, wait = self._once(session, method, url, body, tries=tries, until=until)
                pause = max(wait, min(_LONGEST_PAUSE, 0.5 * 2 ** (tries - 1)) * self._half_to_whole())
                if not again or self._clock.monotonic() + pause >= until:
                    return answer
                self._clock.sleep(pause)

    def _once(
        self, session: requests.Session, method: str, url: str, sent: bytes | None, *, tries: int, until: float
    ) -> tuple[Answer, bool, float]:
        """The answer, whether another try may help, and how many seconds the endpoint asks to wait before it."""
        from urllib3.exceptions import HTTPError

        proxy = None
        left = max(0.1, until - self._clock.monotonic())
        try:
            proxy = usual_proxy(_address(url), self._environment)
            with session.request(
                method,
                url,
                data=sent,
                proxies={"https": proxy} if proxy else {},
                timeout=min(_TIMEOUT, left),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = b""
                # What there is, not what was asked for: an answer that trickles in must not outlast the deadline.
                while chunk := response.raw.read1(8192, decode_content=False):
                    body += chunk
                    if len(body) > BODY_LIMIT:
                        return Answer(0, f"an answer of more than {BODY_LIMIT // 1024} KiB", b"", tries), False, 0.0
                    if self._clock.monotonic() > until:
                        return Answer(0, "an answer that does not end", b"", tries), False, 0.0
                again = response.status_code == 429 or response.status_code >= 500
                return Answer(response.status_code, "", body, tries), again, _wait(response.headers)
        # `requests` raises OSErrors; a ValueError is a URL or a header that cannot be sent. Each may quote a token or
        # the proxy's password, so only its kind is kept.
        except (OSError, HTTPError, ValueError) as error:
            reason, again = _kind(error, bool(proxy))
            return Answer(0, reason, b"", tries), again, 0.0

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


def _kind(error: Exception, proxied: bool) -> tuple[str, bool]:
    """An exception of a request in words, and whether another try may help."""
    from requests import exceptions as kinds
    from urllib3.exceptions import ProtocolError
    from urllib3.exceptions import TimeoutError as TooLate

    if isinstance(error, ProxyError):
        return f"{error.variable} cannot be used: {error}", False
    via = " through the proxy" if proxied else ""
    if isinstance(error, kinds.SSLError):
        return f"{BAD_CERTIFICATE}{via}", False
    if isinstance(error, kinds.ProxyError):
        return "the proxy does not let the request through", True
    if isinstance(error, (kinds.Timeout, TooLate)):
        return f"no answer in time{via}", True
    if isinstance(error, (kinds.ConnectionError, kinds.ChunkedEncodingError, ProtocolError)):
        return f"no connection, or one that broke off{via}", True
    return f"a request that cannot be sent{via}", False


def _wait(headers: Mapping[str, str]) -> float:
    """`Retry-After` in seconds (RFC 9110, section 10.2.3); 0 where it is missing or a date."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0


def _session(secure: bool, left: Callable[[], float]) -> requests.Session:
    """A session that does nothing by itself, reads while there are seconds `left`, and trusts the system's CAs.

    That is where the administrator of a self-hosted CI puts a private one. The context is not that of
    `create_default_context`, which from Python 3.13 on refuses private CAs that other clients on the machine accept.
    """
    import requests

    from stepcreds.pace import PacedAdapter

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """None: with allow_redirects=False `requests` still reads the whole body of a redirect."""

    session = Session()
    # No netrc, no proxies and CA bundles of the process's own environment: the one handed in counts.
    session.trust_env = False
    session.headers.update({"User-Agent": f"stepcreds/{__version__}", "Accept-Encoding": "identity"})
    session.mount("http://", PacedAdapter(left))
    if secure:  # only then is it worth the time to read the CAs
        session.mount("https://", PacedAdapter(left, _context()))
    return session


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context
