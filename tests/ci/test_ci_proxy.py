"""Which proxy a URL is reached through: the variables' names, their order, and what no_proxy leaves out."""

from __future__ import annotations

import pytest

from stepcreds.ci.proxy import proxy_for

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://ci.test/", {}, None),
        ("https://ci.test/", {"https_proxy": PROXY}, PROXY),
        ("https://ci.test/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://ci.test/", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test"}, PROXY),
        ("https://ci.test/", {"HTTP_PROXY": PROXY}, None),
        ("http://ci.test/", {"http_proxy": PROXY}, PROXY),
        ("https://ci.test/", {"ALL_PROXY": PROXY}, PROXY),
        ("https://ci.test/", {"https_proxy": "", "all_proxy": PROXY}, PROXY),
        ("http://127.0.0.1:8080/", {"http_proxy": PROXY}, None),
        ("http://[::1]/", {"http_proxy": PROXY}, None),
        ("http://localhost/", {"http_proxy": PROXY}, None),
    ],
)
def test_which_variable_counts(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, environment) == expected


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://ci.test/", "*", True),
        ("https://ci.test/", "ci.test", True),
        ("https://ci.test./", "CI.test", True),
        ("https://a.ci.test/", "ci.test", True),
        ("https://a.ci.test/", ".ci.test", True),
        ("https://a.ci.test/", "*.ci.test", True),
        ("https://xci.test/", "ci.test", False),
        ("https://ci.test/", "other.test, ci.test ,", True),
        ("https://ci.test/", "ci.test:443", True),
        ("https://ci.test/", "ci.test:8443", False),
        ("https://ci.test:8443/", "ci.test:8443", True),
        ("https://10.1.2.3/", "10.0.0.0/8", True),
        ("https://11.1.2.3/", "10.0.0.0/8", False),
        ("https://ci.test/", "10.0.0.0/8", False),
        ("https://10.1.2.3/", "10.0.0.0/nonsense", False),
        ("https://10.1.2.3/", "10.1.2.3", True),
        ("https://[fd00::1]/", "fd00::1", True),
        ("https://[fd00::1]/", "[fd00::1]", True),
        ("https://[fd00::1]/", "fd00::/8", True),
        ("https://ci.test/", "", False),
        ("https://ci.test/", ",", False),
    ],
)
def test_what_no_proxy_leaves_out(url: str, no_proxy: str, direct: bool) -> None:
    assert proxy_for(url, {"https_proxy": PROXY, "NO_PROXY": no_proxy}) == (None if direct else PROXY)


def test_no_proxy_in_lower_case_goes_first() -> None:
    environment = {"https_proxy": PROXY, "no_proxy": "other.test", "NO_PROXY": "ci.test"}
    assert proxy_for("https://ci.test/", environment) == PROXY
