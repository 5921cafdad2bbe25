"""Why an HTTP request got no answer, in words that quote nothing that was sent; pure."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Literal

from stepcreds.printable import one_line

NO_TUNNEL = "tunnel connection failed: "


class RequestError(Exception):
    """There is no answer. `reason` says why in words that quote nothing that was sent.

    `sent`: the server may have received the request, and done what it asks for.
    """

    # "unsendable": it does not fit into a request; "too long", "endless": there was an answer, and it was not read on.
    Kind = Literal["unsendable", "proxy", "tls", "late", "broken", "too long", "endless"]

    def __init__(self, kind: Kind, reason: str, *, sent: bool, tls: ssl.SSLError | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.sent = sent
        self.tls = tls


def unsendable() -> RequestError:
    return RequestError("unsendable", "a request that cannot be sent", sent=False)


def unreached(error: Exception, kind: RequestError.Kind) -> RequestError:
    """Nothing was sent: no connection to the server, or to the proxy, or no way through that."""
    if isinstance(error, ssl.SSLError) and kind == "proxy":
        said = str(getattr(error, "verify_message", "") or error.reason or "no reason given")
        return RequestError(kind, f"no TLS with the proxy itself: {one_line(said)}", sent=False)
    if isinstance(error, ssl.SSLError):
        return _tls(error, sent=False)
    if isinstance(error, TimeoutError):
        return RequestError("late", "no connection in time", sent=False)
    if isinstance(error, ValueError):
        return unsendable()
    return RequestError(kind, _in_words(error), sent=False)


def answerless(error: Exception) -> RequestError:
    """It was sent, and then something went wrong."""
    if isinstance(error, ssl.SSLError):
        return _tls(error, sent=True)
    if isinstance(error, TimeoutError):
        return RequestError("late", "no answer in time", sent=True)
    return RequestError("broken", _in_words(error), sent=True)


def _tls(error: ssl.SSLError, *, sent: bool) -> RequestError:
    reason = f"the TLS connection broke: {one_line(str(error.reason or 'no reason given'))}"
    return RequestError("tls", reason, sent=sent, tls=error)


def _in_words(error: Exception) -> str:  # noqa: PLR0911 - a list of cases
    """In the words of the system or the proxy."""
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved ({one_line(str(error.strerror))})"
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, IncompleteRead):
        return "the connection was closed in the middle of the answer"
    if isinstance(error, HTTPException):
        return "the answer is not HTTP"
    if str(error).startswith(NO_TUNNEL):
        return one_line(str(error))
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror[0].lower() + error.strerror[1:])
    return "the connection broke"
