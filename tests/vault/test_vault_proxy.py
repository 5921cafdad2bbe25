"""Proxies: used where the settings name one and nowhere else, and named when they are in the way."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from servers import MOUNT, prepared_fake, settings

from certificates_for_vault import Authority, server_context
from fake_vault import FakeVault, Role
from relay import ConnectProxy
from stepcreds.clock import SystemClock
from stepcreds.errors import VaultError
from stepcreds.vault.client import Vault

PASSWORD = "canary-of-the-proxy"


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with prepared_fake() as made:
        yield made


@pytest.fixture
def secured(tmp_path: Path) -> tuple[Authority, FakeVault]:
    authority = Authority(tmp_path)
    fake = FakeVault(server_context(authority.pair("server")))
    fake.mount = MOUNT
    fake.roles = {"full": Role()}
    return authority, fake


def test_calls_go_through_the_proxy_in_one_tunnel(secured: tuple[Authority, FakeVault]) -> None:
    authority, fake = secured
    with fake, ConnectProxy() as proxy:
        proxies = {fake.address: f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}"}
        vault = Vault(settings(fake.address, ca_cert=authority.ca, proxies=proxies), SystemClock())
        vault.login("full", fake.jwt())
        vault.revoke_self()
        vault.close()
        assert proxy.tunnels == [fake.address.removeprefix("https://")]
        assert proxy.authorizations == ["Proxy-Authorization: Basic dXNlcjpjYW5hcnktb2YtdGhlLXByb3h5"]
        assert fake.paths() == ["POST auth/contract/login", "POST auth/token/revoke-self"]


class TLSProxy(ConnectProxy):
    """A proxy that is itself reached by https."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def _join(self, near: socket.socket, port: int) -> None:
        # One thread for both ways: a TLS connection is not for two.
        self._spawn(self._relay, near, socket.create_connection(("127.0.0.1", port)))

    def _connected(self, near: socket.socket) -> None:
        super()._connected(self._context.wrap_socket(near, server_side=True))

    def _relay(self, near: ssl.SSLSocket, far: socket.socket) -> None:
        with near, far, suppress(OSError):
            while True:
                ready, _, _ = select.select([near, far], [], [], 0 if near.pending() else None)
                for source, sink in ((near, far), (far, near)):
                    if source in ready or (source is near and near.pending()):
                        content = source.recv(65536)
                        if not content:
                            return
                        sink.sendall(content)


def test_a_proxy_may_speak_tls_itself(
    secured: tuple[Authority, FakeVault], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a certificate of the system's CAs: Vault's own are not for proxies."""
    authority, fake = secured
    (tmp_path / "proxies").mkdir()
    of_proxies = Authority(tmp_path / "proxies")
    monkeypatch.setenv("SSL_CERT_FILE", str(of_proxies.ca))
    with fake, TLSProxy(server_context(of_proxies.pair("proxy"))) as proxy:
        proxies = {fake.address: f"https://user:{PASSWORD}@127.0.0.1:{proxy.port}"}
        vault = Vault(settings(fake.address, ca_cert=authority.ca, proxies=proxies), SystemClock())
        vault.login("full", fake.jwt())
        vault.revoke_self()
        vault.close()
        assert proxy.tunnels == [fake.address.removeprefix("https://")]
        assert fake.paths() == ["POST auth/contract/login", "POST auth/token/revoke-self"]


def test_a_proxy_whose_certificate_is_not_accepted(secured: tuple[Authority, FakeVault], tmp_path: Path) -> None:
    authority, fake = secured
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").pair("proxy")
    with fake, TLSProxy(server_context(other)) as proxy:
        proxies = {fake.address: f"https://127.0.0.1:{proxy.port}"}
        vault = Vault(
            settings(fake.address, ca_cert=authority.ca, proxies=proxies),
            SystemClock(),
            patience=20,
            pause=lambda attempt: 60.0,
        )
        with pytest.raises(VaultError) as caught:
            vault.login("full", fake.jwt())
        vault.close()
        assert (proxy.tunnels, fake.connections) == ([], 0)
    found = f"No answer from Vault at {fake.address}: no TLS with the proxy itself: "
    assert caught.value.what.startswith(found)
    assert caught.value.what.endswith(f" through the proxy https://127.0.0.1:{proxy.port}")


def test_a_proxy_of_another_address_is_not_used(fake: FakeVault) -> None:
    with ConnectProxy() as proxy:
        proxies = {"http://127.0.0.1:1": f"http://127.0.0.1:{proxy.port}"}
        vault = Vault(settings(fake.address, proxies=proxies), SystemClock())
        vault.login("full", fake.jwt())
        vault.close()
        assert proxy.connections == 0


def test_the_environments_proxy_is_not_used(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    vault = Vault(settings(fake.address), SystemClock(), patience=20, pause=lambda attempt: 60.0)
    vault.login("full", fake.jwt())
    vault.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            "407 Proxy Authentication Required",
            "tunnel connection failed: 407 Proxy Authentication Required through the proxy http://127.0.0.1:PORT",
        ),
        ("403 Forbidden", "tunnel connection failed: 403 Forbidden through the proxy http://127.0.0.1:PORT"),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_password(
    secured: tuple[Authority, FakeVault], answer: str, reason: str
) -> None:
    authority, fake = secured
    with fake, ConnectProxy(answer) as proxy:
        proxies = {fake.address: f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}"}
        vault = Vault(
            settings(fake.address, ca_cert=authority.ca, proxies=proxies),
            SystemClock(),
            patience=20,
            pause=lambda attempt: 60.0,
        )
        with pytest.raises(VaultError) as caught:
            vault.login("full", fake.jwt())
        vault.close()
        expected = reason.replace("PORT", str(proxy.port))
        assert caught.value.what == f"No answer from Vault at {fake.address}: {expected}"
        assert fake.connections == 0


@pytest.mark.parametrize(
    ("proxy", "what"),
    [
        (
            f"http://user:{PASSWORD}@127.0.0.1:1",
            "No answer from Vault at https://127.0.0.1:2: connection refused through the proxy http://127.0.0.1:1",
        ),
        (
            f"socks5://user:{PASSWORD}@127.0.0.1:1",
            "Vault cannot be asked at https://127.0.0.1:2 through the proxy socks5://127.0.0.1:1",
        ),
    ],
)
def test_a_proxy_that_is_not_there_or_not_spoken(proxy: str, what: str) -> None:
    there = "https://127.0.0.1:2"
    vault = Vault(
        settings(there, skip_verify=True, proxies={there: proxy}),
        SystemClock(),
        patience=20,
        pause=lambda attempt: 60.0,
    )
    with pytest.raises(VaultError) as caught:
        vault.revoke_self()
    vault.close()
    assert caught.value.what == what
