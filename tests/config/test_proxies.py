"""Which proxy: by Vault's own variables, and by the usual ones as `requests` reads them, which is the oracle."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.utils import get_environ_proxies, select_proxy

from stepcreds.config.address import parse_address
from stepcreds.config.proxies import ProxyError, proxies

PROXY = "http://proxy.example.com:3128"
CANARY = "canary-91aa"


def proxy_of(address: str, environment: Mapping[str, str]) -> str | None:
    parsed = parse_address(address)
    return proxies([parsed], environment).get(parsed.text)


def oracle(address: str, environment: Mapping[str, str]) -> str | None:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # noqa: TID251 - what requests reads
            if name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        found = select_proxy(address, get_environ_proxies(address))
    return str(found) if found else None


HOSTS = [
    "vault.example.com",
    "example.com",
    "xexample.com",
    "a.vault.example.com",
    "10.1.2.3",
    "10.1.3.3",
    "VAULT.example.com",
]
PORTS = ["", ":8200", ":443"]
LISTED = [
    "example.com",
    ".example.com",
    "vault.example.com",
    "Vault.Example.com",
    "le.com",
    "com",
    "vault.example.com:8200",
    "example.com:8200",
    "vault.example.com:9",
    "10.1.2.3",
    "10.1.2.0/24",
    "10.0.0.0/8",
    "10.1.2.3/32",
    "10.1.2",
    "10.1.2.0/33",
    "/8",
    "::1",
    "fe80::/10",
    "",
    " ",
    "x",
]
VARIABLES = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"]
ENVIRONMENTS = st.builds(
    lambda values, lists: {**values, **{name: ",".join(items) for name, items in lists.items()}},
    st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from([PROXY, "http://other.example.net:1", ""]), max_size=4),
    st.dictionaries(
        st.sampled_from(["no_proxy", "NO_PROXY"]), st.lists(st.sampled_from(LISTED), max_size=3), max_size=1
    ),
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(HOSTS), st.sampled_from(PORTS), ENVIRONMENTS)
def test_as_requests_reads_them(host: str, port: str, environment: dict[str, str]) -> None:
    address = f"https://{host}{port}"
    assert proxy_of(address, environment) == oracle(address, environment)


def test_a_star_excepts_everything() -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}
    assert oracle("https://vault.example.com", environment) is None
    assert proxy_of("https://vault.example.com", environment) is None


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        # What requests does not know, and curl or Go does.
        ("https://vault.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "x *"}, None),
        ("https://vault.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*.example.com"}, None),
        ("https://vault.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "x example.com"}, None),
        ("https://vault.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "vault.example.com:443"}, None),
        ("https://10.1.2.3:8200", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.1.2.3:8200"}, None),
        ("https://10.1.2.3:8200", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.1.2.3:8201"}, PROXY),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": PROXY, "NO_PROXY": "2001:db8::/32"}, None),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": PROXY, "NO_PROXY": "2001:db8:0::1"}, None),
        ("https://[2001:db8::1]:8200", {"HTTPS_PROXY": PROXY, "NO_PROXY": "[2001:db8::1]:8200"}, None),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": PROXY, "NO_PROXY": "2001:db9::/32"}, PROXY),
        # Loopback, as in Go.
        ("https://127.0.0.1:8200", {"HTTPS_PROXY": PROXY}, None),
        ("https://localhost:8200", {"https_proxy": PROXY}, None),
        ("https://[::1]:8200", {"ALL_PROXY": PROXY}, None),
        ("http://127.0.0.1:8200", {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY, "VAULT_PROXY_ADDR": PROXY}, None),
        # Vault's own.
        ("https://vault.example.com", {"VAULT_PROXY_ADDR": PROXY, "VAULT_HTTP_PROXY": "http://other:1"}, PROXY),
        ("https://vault.example.com", {"VAULT_HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("https://vault.example.com", {"BAO_PROXY_ADDR": PROXY, "NO_PROXY": "*"}, PROXY),
        ("https://127.0.0.1:8200", {"BAO_HTTP_PROXY": PROXY}, PROXY),
        ("https://vault.example.com", {"VAULT_PROXY_ADDR": "", "HTTPS_PROXY": PROXY}, PROXY),
        # How a proxy may be written.
        ("https://vault.example.com", {"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ("https://vault.example.com", {"HTTPS_PROXY": f"{PROXY}/"}, PROXY),
        ("https://vault.example.com", {"HTTPS_PROXY": "https://u:p@proxy:1"}, "https://u:p@proxy:1"),
        ("https://vault.example.com", {}, None),
    ],
)
def test_beyond_requests(address: str, environment: dict[str, str], expected: str | None) -> None:
    assert proxy_of(address, environment) == expected


@pytest.mark.parametrize("value", [f"socks5://u:{CANARY}@proxy:1080", f"http://u:{CANARY}@", f"http://a b:{CANARY}"])
def test_a_proxy_that_cannot_be_used(value: str) -> None:
    with pytest.raises(ProxyError) as caught:
        proxy_of("https://vault.example.com", {"HTTPS_PROXY": value})
    error = caught.value
    assert str(error) == "it is not the address of an HTTP proxy"
    assert error.variable == "HTTPS_PROXY"
    assert error.fix == "For example: http://proxy.example.com:3128 (SOCKS is not spoken)"
    assert CANARY not in repr(error)
