"""The proxy to a server that is not Vault: which variables name it, and which servers are reached without."""

from __future__ import annotations

import pytest

from stepcreds.config.address import Address
from stepcreds.config.proxies import ProxyError, usual_proxy

PROXY = "http://proxy.test:3128"


def at(host: str, port: int = 443, scheme: str = "https") -> Address:
    return Address(f"{scheme}://{host}:{port}", scheme, host, port)


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        (at("ci.test"), {}, None),
        (at("ci.test"), {"https_proxy": PROXY}, PROXY),
        (at("ci.test"), {"HTTPS_PROXY": "proxy.test:3128"}, PROXY),
        (at("ci.test"), {"ALL_PROXY": PROXY}, PROXY),
        (at("ci.test"), {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        (at("ci.test"), {"HTTP_PROXY": PROXY}, None),
        (at("ci.test", 80, "http"), {"http_proxy": PROXY, "https_proxy": PROXY}, None),
        (at("127.0.0.1"), {"https_proxy": PROXY}, None),
        (at("ci.test"), {"https_proxy": PROXY, "NO_PROXY": "other.test,.test"}, None),
        (at("ci.test"), {"https_proxy": PROXY, "NO_PROXY": "ci.test:8443"}, PROXY),
        # Vault's own variables are Vault's alone.
        (at("ci.test"), {"VAULT_PROXY_ADDR": PROXY, "VAULT_HTTP_PROXY": PROXY}, None),
    ],
)
def test_which_proxy(address: Address, environment: dict[str, str], expected: str | None) -> None:
    assert usual_proxy(address, environment) == expected


def test_a_proxy_that_cannot_be_used_names_its_variable() -> None:
    with pytest.raises(ProxyError) as error:
        usual_proxy(at("ci.test"), {"all_proxy": "socks5://proxy.test"})
    assert (error.value.variable, str(error.value)) == ("all_proxy", "it is not the address of an HTTP proxy")
