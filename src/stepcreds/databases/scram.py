"""The client's half of SCRAM-SHA-256, and the verifier a server stores; pure: it sends nothing and reads nothing.

RFC 5802 (SCRAM), RFC 7677 (SCRAM-SHA-256), and PostgreSQL's documentation, "SASL Authentication", for where the
two part: PostgreSQL ignores the user name in the exchange, and takes a password raw that SASLprep refuses.
Channel binding is left out. The flag `n` says so: this client does not support it, so the server does not look
for a downgrade. Its only other effect would be a refusal (28000) that reads like a dead credential and is not one.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode

from stepcreds.secret import Secret

MECHANISM = "SCRAM-SHA-256"
_GS2_HEADER = "n,,"
_VERIFIER_ITERATIONS = 4096  # PostgreSQL's own default (scram_iterations)
# RFC 7677 asks for 4096 at least. A server may be set lower for speed, but not so low that whoever listens can try
# passwords as fast as plain SHA-256; and not so high that it keeps us computing when the deadline is over.
MIN_ITERATIONS = 1_000
MAX_ITERATIONS = 1_000_000
_MAX_SALT = 1024  # bytes


class ScramError(Exception):
    """The server's half of the exchange is not what it should be; the message is a sentence without any secret."""


class Exchange:
    """One authentication: `first()`, then `final()` of what the server answers, then `verify()` of its last word."""

    def __init__(self, password: Secret, nonce: str = "") -> None:
        self._password = password
        self._nonce = nonce or b64encode(os.urandom(18)).decode()  # 144 bits, without a comma
        self._server_signature = b""

    def first(self) -> bytes:
        """client-first-message"""
        return (_GS2_HEADER + self._first_bare()).encode()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message. Raises `ScramError`."""
        nonce, salt, iterations = self._read_server_first(server_first)
        salted = hashlib.pbkdf2_hmac("sha256", prepared(self._password), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        without_proof = f"c={b64encode(_GS2_HEADER.encode()).decode()},r={nonce}".encode()
        auth_message = b",".join((self._first_bare().encode(), server_first, without_proof))
        client_signature = _hmac(hashlib.sha256(client_key).digest(), auth_message)
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), auth_message)
        return without_proof + b",p=" + b64encode(proof)

    def verify(self, server_final: bytes) -> None:
        """Raises `ScramError` unless the server has shown that it, too, knows the password's verifier."""
        attributes = _attributes(server_final, "v")
        signature = _base64(attributes["v"])
        if not self._server_signature or not hmac.compare_digest(signature, self._server_signature):
            raise ScramError("the server could not show that it knows the password's verifier")

    def _first_bare(self) -> str:
        return f"n=,r={self._nonce}"

    def _read_server_first(self, message: bytes) -> tuple[str, bytes, int]:
        attributes = _attributes(message, "rsi")
        nonce, salt, iterations = attributes["r"], _base64(attributes["s"]), attributes["i"]
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server's nonce does not continue ours")
        if not 0 < len(salt) <= _MAX_SALT:
            raise ScramError(f"the server's salt has {len(salt)} bytes")
        if not iterations.isdecimal() or not iterations.isascii() or len(iterations) > len(str(MAX_ITERATIONS)):
            raise ScramError("the server's iteration count is not a number this client would follow")
        if not MIN_ITERATIONS <= int(iterations) <= MAX_ITERATIONS:
            raise ScramError(
                f"the server asks for {int(iterations)} iterations, and this client follows"
                f" {MIN_ITERATIONS} to {MAX_ITERATIONS}"
            )
        return nonce, salt, int(iterations)


def verifier(password: Secret, salt: bytes | None = None) -> str:
    """What PostgreSQL stores for `password` (`pg_authid.rolpassword`): `ALTER ROLE … PASSWORD '<this>'` sets it.

    The server then never sees the password itself. 16 bytes of random salt unless `salt` is given.
    """
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, _VERIFIER_ITERATIONS)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    parts = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"{MECHANISM}${_VERIFIER_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def prepared(password: Secret) -> bytes:
    """The password's bytes as PostgreSQL and libpq compute with them: SASLprep (RFC 4013), or raw where it refuses."""
    text = password.reveal()
    if text.isascii():
        return text.encode()
    from stepcreds.databases.saslprep import saslprep

    mapped = saslprep(text)
    return (text if mapped is None else mapped).encode(errors="surrogateescape")


def _attributes(message: bytes, names: str) -> dict[str, str]:
    """The values of a server's message that has to begin with the attributes `names`, in that order."""
    if not message.isascii():
        raise ScramError("the server's SCRAM message is not ASCII")
    parts = message.decode().split(",")
    # An extension (`m=`) would come first and must be understood; others may follow and may be ignored (RFC 5802, 5.1).
    found = {part[:1]: part[2:] for part in parts[: len(names)] if part[1:2] == "="}
    if parts[0].startswith("e="):
        raise ScramError("the server ended the SCRAM exchange with an error")
    if list(found) != list(names):
        raise ScramError("the server's SCRAM message is malformed")
    return found


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("the server's SCRAM message is malformed") from None


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
