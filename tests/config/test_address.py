"""The address of a server: what is taken, and every refusal whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.config.address import Address, AddressError, host_of, parse_address

FORM = ("the address is not of the form https://host:port", "For example: https://vault.example.com:8200")
NOT_HTTPS = ("it is not an https:// address", "For example: https://vault.example.com:8200")
CLEAR = (
    "http would send the job's identity and the credential in clear",
    "Give the server TLS and write https://; http is for loopback (127.0.0.1) only.",
)
USER = ("the address holds a user or a password", "Remove everything up to the '@'.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://vault.example.com", ("https://vault.example.com", "vault.example.com", 443)),
        ("https://vault.example.com:8200/", ("https://vault.example.com:8200", "vault.example.com", 8200)),
        ("HTTPS://Vault.example.com//", ("https://Vault.example.com", "vault.example.com", 443)),
        ("https://gate.example.com/vault/", ("https://gate.example.com/vault", "gate.example.com", 443)),
        ("https://vault_1:8200", ("https://vault_1:8200", "vault_1", 8200)),
        ("https://[2001:DB8::1]:8200", ("https://[2001:DB8::1]:8200", "2001:db8::1", 8200)),
        ("http://127.0.0.1:8200", ("http://127.0.0.1:8200", "127.0.0.1", 8200)),
        ("http://localhost", ("http://localhost", "localhost", 80)),
        ("http://[::1]:1", ("http://[::1]:1", "::1", 1)),
    ],
)
def test_an_address(text: str, expected: tuple[str, str, int]) -> None:
    address = parse_address(text)
    assert (address.text, address.host, address.port) == expected
    assert address.scheme == text[: text.index(":")].lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NOT_HTTPS),
        ("vault.example.com", NOT_HTTPS),
        ("unix:///run/vault.sock", NOT_HTTPS),
        ("https://", FORM),
        ("https:///v1", FORM),
        ("https://a,b", FORM),
        ("https://a:x", FORM),
        ("https://a:0", FORM),
        ("https://a:99999", FORM),
        ("https://a?b", FORM),
        ("https://a#b", FORM),
        ("https://a\\b", FORM),
        ("https://a b", FORM),
        ("https://a/b\nc", FORM),
        ("https://app:hunter2@vault.example.com", USER),
        ("https://vault.example.com/@", USER),
        ("http://vault.example.com", CLEAR),
        ("http://127.0.0.1.example.com", CLEAR),
        ("http://localhost.example.com", CLEAR),
        ("http://0.0.0.0:8200", CLEAR),
    ],
)
def test_no_address(text: str, expected: tuple[str, str]) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert (str(caught.value), caught.value.fix) == expected


@pytest.mark.parametrize(
    ("audience", "host"),
    [
        ("https://vault.example.com", "vault.example.com"),
        ("https://Vault.example.com:8200/v1", "vault.example.com"),
        ("vault.example.com", "vault.example.com"),
        ("https://[::1]:8200", "::1"),
        ("https://vault.example.com@evil.example.net", ""),
        ("https://vault.example.com evil.example.net", ""),
        ("https://vault.example.com\\.evil.example.net", ""),
        ("api://AzureADTokenExchange", ""),
        ("", ""),
    ],
)
def test_the_host_that_an_audience_names(audience: str, host: str) -> None:
    assert host_of(audience) == host


@given(st.text(max_size=40) | st.builds("https://{}".format, st.text("ab.:[]/@%?#", max_size=20)))
def test_any_text_is_an_address_or_none(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(address.text) == address
    assert isinstance(address, Address)
    assert host_of(address.text) == address.host
    assert 0 < address.port < 65536
