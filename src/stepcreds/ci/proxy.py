"""Which proxy a URL is reached through, by the variables that every tool knows; it connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL, None for a direct connection.

    `<scheme>_proxy` in lower case, then in upper case, then `all_proxy`; `no_proxy` is a list of host names (with
    everything under them), addresses, networks in CIDR form, each with an optional port, or `*`. Loopback is always
    direct, as in Go's net/http.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    names = (f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    proxy = next((environment[name] for name in names if environment.get(name)), None)
    if proxy is None or host in {"localhost", "::1"} or host.startswith("127."):
        return None
    port = str(parts.port or (443 if parts.scheme == "https" else 80))
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return None if any(_matches(entry.strip(), host, port) for entry in excluded.split(",")) else proxy


def _matches(entry: str, host: str, port: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, host)
    name, colon, wanted = entry.lower().rpartition(":")
    # One colon parts a port off; several are an IPv6 address.
    if colon and ":" not in name and wanted.isdigit():
        if wanted != port:
            return False
    else:
        name = entry.lower().strip("[]")
    name = name.removeprefix("*").lstrip(".")
    return host == name or host.endswith(f".{name}")


def _in_network(entry: str, host: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
