"""How the server of a `DatabaseURL` has to prove who it is: `sslmode` in libpq's meaning, as an `ssl.SSLContext`.

PostgreSQL's documentation, "SSL Support" (34.19), is the source for the modes. Two of libpq's habits are left out
because they weaken a profile in silence: certificates in `~/.postgresql`, and going on without verification when
the file of `sslrootcert` is missing.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import lru_cache

from stepcreds.config.model import DatabaseURL
from stepcreds.errors import DatabaseError
from stepcreds.printable import one_line

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def context_for(url: DatabaseURL) -> ssl.SSLContext:
    """The context for `url`, made once in a process: loading the system's CAs takes some 30 ms.

    A file that is replaced while the step runs is not read again. Raises `DatabaseError`.
    """
    mode = check_mode(url)
    root = str(url.sslrootcert) if url.sslrootcert is not None else ""
    if mode == "verify-ca" and not root:
        raise DatabaseError(
            "sslmode=verify-ca needs sslrootcert",
            cause="any host with a certificate of any public CA would pass",
            fix="name the CA's certificate: sslrootcert=<file>; or use sslmode=verify-full with the system's CAs",
            docs="database-tls",
        )
    # "If a root CA file exists, the behaviour of sslmode=require will be the same as that of verify-ca."
    verify = bool(root) or mode == "verify-full"
    certificate = url.options.get("sslcert", "")
    return _context(verify, mode == "verify-full", root, certificate, url.options.get("sslkey", "") or certificate)


def check_mode(url: DatabaseURL) -> str:
    """`url.sslmode`. Raises `DatabaseError` if that is none of `MODES`: an unknown word must not mean "no TLS"."""
    if url.sslmode not in MODES:
        raise DatabaseError(
            f"sslmode={one_line(url.sslmode)} is not a mode", fix=f"use one of {', '.join(MODES)}", docs="database-tls"
        )
    return url.sslmode


@lru_cache
def _context(verify: bool, hostname: bool, root: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # libpq's default too
    context.check_hostname = hostname
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if root:
        _load("sslrootcert", root, "stepcreds.yml", lambda: context.load_verify_locations(cafile=root))
    elif verify:
        context.load_default_certs()
    if certificate:
        # An empty password: OpenSSL would otherwise stop and ask the terminal for one.
        _load(
            "sslcert",
            certificate,
            "the folder that the step runs in",  # libpq's meaning, for the command has to find it as well
            lambda: context.load_cert_chain(certificate, key, password=""),
        )
    return context


def _load(name: str, path: str, start: str, load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no usable PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise DatabaseError(
            f"{name}={one_line(path)} cannot be used: {reason}",
            fix=f"{name} is a file in PEM form that this step can read; relative paths start at {start}",
            docs="database-tls",
        ) from None
