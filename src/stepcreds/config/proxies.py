"""Which proxy a request to an address goes through, by the variables of the environment; it opens no connection.

`urllib.request` knows these variables too, and costs more to import than the whole configuration to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from stepcreds.config.address import Address

# The first two are Vault's own (Vault documentation, "Environment variables" of the CLI), and set NO_PROXY aside.
_OWN = ("VAULT_PROXY_ADDR", "BAO_PROXY_ADDR", "VAULT_HTTP_PROXY", "BAO_HTTP_PROXY")
_USUAL = ("https_proxy", "HTTPS_PROXY"), ("all_proxy", "ALL_PROXY")


class ProxyError(ValueError):
    """`variable` names a proxy that cannot be used. The message does not repeat it: it may hold a password."""

    def __init__(self, variable: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.variable = variable
        self.fix = fix


def proxies(addresses: Iterable[Address], environment: Mapping[str, str]) -> dict[str, str]:
    """Address -> URL of the proxy, for those that are reached through one. Raises `ProxyError`.

    VAULT_PROXY_ADDR and VAULT_HTTP_PROXY (and BAO_…) go before everything else, and no NO_PROXY is asked then, as in
    Vault's own client. Else HTTPS_PROXY or ALL_PROXY, in lower case first, unless NO_PROXY names the host. A variable
    that is set to nothing in lower case switches the one in upper case off.

    An http address is on loopback (see `address.py`), and what goes there in clear must not go to a proxy: HTTP_PROXY
    is never read. Loopback is reached through Vault's own variables only, as Go's HTTP client has it.
    """
    found: dict[str, str] = {}
    for address in addresses:
        if address.scheme != "https":
            continue
        variable = next((name for name in _OWN if environment.get(name)), "")
        if not variable and not address.is_loopback and not _excepted(address, environment):
            variable = _usual(environment)
        if variable:
            found[address.text] = _proxy(variable, environment[variable])
    return found


def usual_proxy(address: Address, environment: Mapping[str, str]) -> str | None:
    """The proxy to a server that is not Vault, by HTTPS_PROXY, ALL_PROXY and NO_PROXY. Raises `ProxyError`."""
    if address.scheme != "https" or address.is_loopback or _excepted(address, environment):
        return None
    variable = _usual(environment)
    return _proxy(variable, environment[variable]) if variable else None


def _usual(environment: Mapping[str, str]) -> str:
    for names in _USUAL:
        name = next((name for name in names if name in environment), "")
        if name and environment[name]:
            return name
    return ""


def _proxy(variable: str, value: str) -> str:
    value = value.strip()
    if "://" not in value:
        value = f"http://{value}"
    if not re.match(r"https?://(?:[^\s/?#@]*@)?[A-Za-z0-9._\[\]:-]+/?\Z", value, re.IGNORECASE):
        what = "it is not the address of an HTTP proxy"
        raise ProxyError(variable, what, "For example: http://proxy.example.com:3128 (SOCKS is not spoken)")
    return value.rstrip("/")


def _excepted(address: Address, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the host: itself or a domain above it, with the port or without; a network; `*`."""
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return any(item == "*" or (item and _names(item, address)) for item in re.split(r"[\s,]+", listed.lower()))


def _names(item: str, address: Address) -> bool:
    is_address = ":" in address.host or re.match(r"[0-9.]+\Z", address.host)
    if is_address:
        return _contains(item, address)
    domain, _, port = item.removeprefix("*").lstrip(".").partition(":")
    if port and port != str(address.port):
        return False
    return bool(domain) and f".{address.host}".endswith(f".{domain}")


def _contains(item: str, address: Address) -> bool:
    import ipaddress

    bracketed = re.match(r"(?:\[([^\]]+)\]|([0-9.]+))(?::([0-9]+))?\Z", item)
    if bracketed and bracketed[3] and bracketed[3] != str(address.port):
        return False
    network = (bracketed[1] or bracketed[2]) if bracketed else item
    try:
        return ipaddress.ip_address(address.host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
