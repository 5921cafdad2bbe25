"""Proves to a PostgreSQL server that we know a password, giving away no more of it than the method asks for.

Methods: none (`trust`), SCRAM-SHA-256, MD5, and the password in clear if the server's certificate was checked: without
that, whoever answers in the server's place would have it for the asking. MD5 stays, for servers that know no other: the
password of a credential that Vault issued is too long to be found from an answer to any salt.
"""

from __future__ import annotations

import hashlib
import struct

from stepcreds.databases import messages, scram
from stepcreds.databases.messages import ServerError, protocol_error
from stepcreds.databases.stream import Stream, UnreachableError
from stepcreds.secret import Secret

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12


def authenticate(stream: Stream, username: str, password: Secret) -> None:
    """Go through with what the server asks for, until it says AuthenticationOk.

    Raises `ServerError` when the server refuses, `UnreachableError` when it asks for what is not spoken here or
    cannot prove that it knows the password's verifier.
    """
    request, data = _request(stream, password)
    if request == _SASL:
        _scram(stream, password, data)
    elif request == _CLEARTEXT:
        if not stream.verified:
            under = "whose certificate is not checked" if stream.tls else "without TLS"
            raise _unspoken(stream, f"the password in clear on a connection {under}")
        _answer(stream, password.reveal().encode(errors="surrogateescape") + b"\0")
    elif request == _MD5 and len(data) == 4:
        _answer(stream, _md5(stream, username, password, data))
    elif request == _OK:
        return
    else:
        raise _unspoken(stream, f"authentication method {request}")
    request, _ = _request(stream, password)
    if request != _OK:
        raise protocol_error(stream.where, f"authentication request {request} came after the answer to the first")


def _scram(stream: Stream, password: Secret, mechanisms: bytes) -> None:
    if scram.MECHANISM.encode() not in mechanisms.split(b"\0"):
        raise _unspoken(stream, "SASL without SCRAM-SHA-256")
    exchange = scram.Exchange(password)
    first = exchange.first()
    _answer(stream, scram.MECHANISM.encode() + b"\0" + struct.pack("!I", len(first)) + first)
    try:
        _answer(stream, exchange.final(_sasl(stream, password, _SASL_CONTINUE)))
        exchange.verify(_sasl(stream, password, _SASL_FINAL))
    except scram.ScramError as error:
        raise UnreachableError(
            f"{stream.where} failed at SCRAM: {error}",
            cause="something else answers in the server's place",
            docs="database",
        ) from None


def _sasl(stream: Stream, password: Secret, expected: int) -> bytes:
    request, data = _request(stream, password)
    if request != expected:
        # AuthenticationOk without the server's signature would be a server that never had to know the verifier.
        raise protocol_error(stream.where, f"authentication request {request} came where {expected} belongs")
    return data


def _request(stream: Stream, password: Secret) -> tuple[int, bytes]:
    while True:
        kind, body = messages.receive(stream, messages.MAX_GREETING)
        if kind == b"E":
            raise ServerError(stream.where, messages.error_fields(body), hidden=[password.reveal()])
        if kind == b"R" and len(body) >= 4:
            return int.from_bytes(body[:4], "big"), body[4:]
        if kind != b"N":
            raise protocol_error(stream.where, f"a message of type {kind!r} came instead of an authentication request")


def _answer(stream: Stream, body: bytes) -> None:
    stream.send(messages.message(b"p", body))


def _md5(stream: Stream, username: str, password: Secret, salt: bytes) -> bytes:
    try:
        inner = hashlib.md5(password.reveal().encode(errors="surrogateescape") + username.encode()).hexdigest()  # noqa: S324 - the server's choice
        return b"md5" + hashlib.md5(inner.encode() + salt).hexdigest().encode() + b"\0"  # noqa: S324 - likewise
    except ValueError:  # a machine in FIPS mode has no MD5
        raise _unspoken(stream, "MD5, which this machine does not have") from None


def _unspoken(stream: Stream, what: str) -> UnreachableError:
    return UnreachableError(
        f"{stream.where} asks for {what}",
        fix="let the users that Vault issues log in with scram-sha-256 (pg_hba.conf)",
        docs="database",
    )
