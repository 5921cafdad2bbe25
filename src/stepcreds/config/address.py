"""The address of a Vault or OpenBao server, read strictly; which address is used is decided elsewhere."""

from __future__ import annotations

import re
from typing import NamedTuple

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)\Z", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})))(?::([0-9]{1,5}))?\Z")
_PATH = re.compile(r"[A-Za-z0-9._~/-]*\Z")
_LOOPBACK = re.compile(r"(localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|::1)\Z", re.IGNORECASE)


class AddressError(ValueError):
    """What is wrong with an address, and `fix`: how to mend it. Neither repeats the address."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class Address(NamedTuple):
    """Where a server is."""

    text: str  # https://host:port/path, without a trailing slash
    scheme: str  # "https" or "http"
    host: str  # in lower case, an IPv6 address without brackets
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by its spelling: localhost (RFC 6761), 127.0.0.0/8 (RFC 1122), ::1."""
        return bool(_LOOPBACK.match(self.host))


def parse_address(text: str) -> Address:
    """`text` as an `Address`. Raises `AddressError`.

    `http` is refused but for loopback: the identity of the job, the token and the credential would all travel in clear.
    """
    if "@" in text:
        raise AddressError("the address holds a user or a password", "Remove everything up to the '@'.")
    match = _ADDRESS.match(text)
    if match is None or match[1].lower() not in ("https", "http"):
        raise AddressError("it is not an https:// address", "For example: https://vault.example.com:8200")
    scheme, authority, path, rest = match[1].lower(), match[2], match[3], match[4]
    host = _AUTHORITY.match(authority)
    if host is None or rest or not _PATH.match(path) or not 0 < int(host[3] or 443) < 65536:
        what = "the address is not of the form https://host:port"
        raise AddressError(what, "For example: https://vault.example.com:8200")
    port = int(host[3] or (443 if scheme == "https" else 80))
    address = Address(f"{scheme}://{authority}{path}".rstrip("/"), scheme, (host[1] or host[2]).lower(), port)
    if scheme == "http" and not address.is_loopback:
        what = "http would send the job's identity and the credential in clear"
        raise AddressError(what, "Give the server TLS and write https://; http is for loopback (127.0.0.1) only.")
    return address


def host_of(audience: str) -> str:
    """The host that an audience names, in lower case: that of an address, or the audience itself; "" if none."""
    match = re.match(r"(?:https?://)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]+)?(?:/.*)?\Z", audience)
    return (match[1] or match[2]).lower() if match else ""
