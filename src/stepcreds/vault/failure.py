"""Why a request got no answer, in words that name the address and the proxy and nothing that was sent; pure.

What `requests` and `urllib3` raise holds the request, and with it the token: only sentences leave this module.
"""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from stepcreds.config.model import VaultSettings
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.vault.answer import NoAnswerError
from stepcreds.vault.tls import explain_tls


def no_answer(error: Exception, address: str, settings: VaultSettings) -> NoAnswerError:
    """What `error`, which asking `address` raised, comes down to: a sentence, and whether Vault may have acted."""
    causes = _causes(error)
    proxy = settings.proxies.get(address)
    via = f" through the proxy {without_password(proxy)}" if proxy else ""
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        final = explain_tls(tls, address, settings)
        reason = f"the TLS connection broke: {one_line(str(tls.reason or 'no reason given'))}{via}"
        return NoAnswerError(address, reason, sent=final is None, final=final)
    if isinstance(error, ValueError):
        final = VaultError(
            f"Vault cannot be asked at {address}{via}",
            cause="The address, the proxy, the namespace or the token does not fit into a request.",
            fix="Look at vault.address and vault.namespace in stepcreds.yml, and at the proxy variables.",
            docs="vault-unreachable",
        )
        return NoAnswerError(address, "not a request", sent=False, final=final)
    unsent = isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.ConnectTimeout)) or any(
        isinstance(cause, NewConnectionError) for cause in causes
    )
    return NoAnswerError(address, _reason(causes, "connection" if unsent else "answer") + via, sent=not unsent)


def _causes(error: BaseException) -> list[BaseException]:
    """`error`, and every exception that `requests` and `urllib3` wrapped in it, the outermost first."""
    found = [error]
    for cause in found:  # grows while it is walked
        wrapped = [*cause.args, getattr(cause, "reason", None), cause.__cause__]
        found += [inner for inner in wrapped if isinstance(inner, BaseException) and inner not in found]
    return found


def _reason(causes: list[BaseException], awaited: str) -> str:  # noqa: PLR0911 - a list of cases
    """What went wrong, in the words of the system or the proxy: never those of `requests`, which show objects."""
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"the name cannot be resolved ({one_line(str(cause.strerror))})"
        if isinstance(cause, (TimeoutError, requests.exceptions.Timeout)):
            return f"no {awaited} in time"
        if isinstance(cause, RemoteDisconnected):
            return "the connection was closed without an answer"
        if isinstance(cause, IncompleteRead):
            return "the connection was closed in the middle of the answer"
        if isinstance(cause, HTTPException):
            return "the answer is not HTTP"
        if type(cause) is OSError and str(cause).startswith("Tunnel connection failed"):
            return one_line(str(cause)[0].lower() + str(cause)[1:])
        if isinstance(cause, OSError) and cause.strerror:
            return one_line(cause.strerror[0].lower() + cause.strerror[1:])
    return "the connection broke"


def without_password(proxy: str) -> str:
    """The proxy's URL as it may be shown."""
    parts = urlsplit(proxy)
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
