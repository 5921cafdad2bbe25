"""TLS to Vault: whose certificates are accepted, and that a failed handshake says what to change."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import CREDS, MOUNT, Fake, prepared_fake, settings

from certificates_for_vault import Authority, server_context
from fake_vault import FakeVault, Fault, Role
from stepcreds.clock import SystemClock
from stepcreds.errors import VaultError
from stepcreds.vault.client import Vault

Start = Callable[[ssl.SSLContext], FakeVault]


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with prepared_fake() as made:
        yield made


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[FakeVault] = []

    def begin(context: ssl.SSLContext) -> FakeVault:
        fake = FakeVault(context)
        fake.mount = MOUNT
        fake.roles = {"full": Role((CREDS,))}
        fake.engine_roles = {CREDS}
        started.append(fake)
        return fake

    yield begin
    for fake in started:
        fake.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def log_in(fake: FakeVault, **tls: Any) -> None:
    vault = Vault(settings(fake.address, **tls), SystemClock(), patience=5, pause=lambda attempt: 0.0)
    try:
        vault.login("full", fake.jwt())
        vault.issue(CREDS)
        other = vault.fresh()
        other.revoke_self()
        other.close()
    finally:
        vault.close()


def refused(fake: FakeVault, **tls: Any) -> VaultError:
    with pytest.raises(VaultError) as caught:
        log_in(fake, **tls)
    assert fake.requests == []
    assert caught.value.docs == "vault-tls"
    return caught.value


def look(fake: FakeVault) -> str:
    return f" To see the certificate:\n  openssl s_client -connect {fake.address[8:]} -showcerts </dev/null"


def test_a_ca_of_our_own(start: Start, authority: Authority) -> None:
    fake = start(server_context(authority.pair("server")))
    log_in(fake, ca_cert=authority.ca)
    assert len(fake.requests) == 3
    assert fake.connections == 2


def test_a_folder_of_cas_is_read_whatever_the_names_of_its_files(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "README").write_text("not a certificate")
    shutil.copy(Authority(tmp_path, "another").ca, folder)
    shutil.copy(authority.ca, folder / "vault-ca.crt")
    log_in(start(server_context(authority.pair("server"))), ca_cert=folder)


def test_the_systems_cas_are_those_of_ssl_cert_file(start: Start, authority: Authority) -> None:
    # OpenSSL reads the variable itself, so it must be there before the process starts.
    fake = start(server_context(authority.pair("server")))
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from servers import settings; from stepcreds.clock import SystemClock; from stepcreds.secret import Secret\n"
        "from stepcreds.vault.client import Vault\n"
        "vault = Vault(settings(sys.argv[1]), SystemClock())\n"
        "print(vault.login('full', Secret(sys.argv[2])).ttl); vault.close()\n"
    )
    here = Path(__file__).parent
    arguments = [sys.executable, "-c", program, fake.address, fake.jwt().reveal(), str(here), str(here.parent)]
    environment = {"SSL_CERT_FILE": str(authority.ca), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("120.0\n", "")


def test_a_ca_that_the_system_does_not_know(start: Start, authority: Authority) -> None:
    fake = start(server_context(authority.pair("server")))
    error = refused(fake)
    assert error.what == (
        f"The TLS certificate of Vault at {fake.address} is not accepted: unable to get local issuer certificate"
    )
    assert error.cause == "The CA that signed Vault's certificate is not among the system's CAs."
    assert error.fix == ("Set vault.ca_cert in stepcreds.yml (or VAULT_CACERT) to the CA that signed it." + look(fake))
    assert fake.connections == 1  # a certificate does not get better by trying again


def test_another_ca_than_the_one_configured(start: Start, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another")
    fake = start(server_context(authority.pair("server")))
    error = refused(fake, ca_cert=other.ca)
    assert error.cause == f"The CA that signed Vault's certificate is not in {other.ca}."
    assert error.fix == (
        "Point vault.ca_cert in stepcreds.yml (or VAULT_CACERT) at the CA that signed it." + look(fake)
    )


def test_an_expired_certificate(start: Start, authority: Authority) -> None:
    fake = start(server_context(authority.pair("server", days=-1)))
    error = refused(fake, ca_cert=authority.ca)
    assert error.what == f"The TLS certificate of Vault at {fake.address} is not accepted: certificate has expired"
    assert error.cause == "A certificate in Vault's chain is outside its dates, or this machine's clock is wrong."
    assert error.fix == "Renew the certificate on the server, or set this machine's clock." + look(fake)


@pytest.mark.parametrize("host", ["10.0.0.1", "vault.example"])
def test_a_certificate_for_another_name(start: Start, authority: Authority, host: str) -> None:
    fake = start(server_context(authority.pair("server", host=host)))
    error = refused(fake, ca_cert=authority.ca)
    assert error.what == (
        f"The TLS certificate of Vault at {fake.address} is not accepted: IP address mismatch, certificate is not "
        "valid for '127.0.0.1'"
    )
    assert error.cause == (f"The certificate was made for another name than the one in the address {fake.address}.")


def test_skip_verify_accepts_anything(start: Start, authority: Authority) -> None:
    log_in(start(server_context(authority.pair("server", host="10.0.0.1", days=-1))), skip_verify=True)


def test_mutual_tls(start: Start, authority: Authority) -> None:
    fake = start(server_context(authority.pair("server"), clients=authority.ca))
    client = authority.pair("client")
    log_in(fake, ca_cert=authority.ca, client_cert=client.certificate, client_key=client.key)
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("version", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, "handshake failure"),
        (ssl.TLSVersion.TLSv1_3, "certificate required"),
    ],
)
def test_mutual_tls_without_a_certificate(
    start: Start, authority: Authority, version: ssl.TLSVersion, alert: str
) -> None:
    context = server_context(authority.pair("server"), clients=authority.ca)
    context.minimum_version = context.maximum_version = version
    fake = start(context)
    error = refused(fake, ca_cert=authority.ca)
    # In TLS 1.3 the refusal crosses our request: now and then the connection breaks before the alert is read.
    what = re.sub(r" \(tried \d+ times in 0 s\)", "", error.what)
    assert what == f"Vault at {fake.address} refused the TLS handshake: {alert}"
    assert error.cause == "It asks its clients for a certificate, and none is configured."
    assert error.fix == (
        "Set vault.client_cert and vault.client_key in stepcreds.yml (or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY) to a "
        "certificate that this Vault accepts."
    )


def test_mutual_tls_with_a_certificate_of_another_ca(start: Start, authority: Authority, tmp_path: Path) -> None:
    fake = start(server_context(authority.pair("server"), clients=authority.ca))
    client = Authority(tmp_path, "another").pair("client")
    error = refused(fake, ca_cert=authority.ca, client_cert=client.certificate, client_key=client.key)
    assert error.cause == f"It asks its clients for a certificate, and does not accept {client.certificate}."


def test_https_to_a_server_without_tls(fake: FakeVault) -> None:
    there = fake.address.partition("://")[2]
    fake.address = f"https://{there}"
    error = refused(fake)
    assert error.what == f"Vault at https://{there} does not speak TLS"
    assert error.cause == "The address says https, and what answers there is not TLS: plain HTTP, or another service."
    assert error.fix == f"Correct the port, or use http://{there} if this Vault really has no TLS."


def test_http_to_a_server_with_tls(fake: FakeVault) -> None:
    # In the words of Go's net/http, which is what Vault answers with; nginx's differ and are known as well.
    body = b"Client sent an HTTP request to an HTTPS server.\n"
    fake.fail(f"auth/{MOUNT}/login", Fault(status=400, body=body, headers={"Content-Type": "text/plain"}))
    with pytest.raises(VaultError) as caught:
        log_in(fake)
    error = caught.value
    assert error.what == (
        f"Vault at {fake.address} answered 400 to POST auth/contract/login: an HTTP request was sent to an HTTPS server"
    )
    assert error.cause == "The address says http, and the server expects TLS."
    assert error.fix == (f"Use https://{fake.address[7:]} in vault.address of stepcreds.yml (or VAULT_ADDR).")
    assert error.docs == "vault-tls"


def test_a_ca_file_that_is_not_there_or_holds_no_certificate(tmp_path: Path) -> None:
    with_fake = Fake()
    there = f"https{with_fake.fake.address[4:]}"
    with_fake.fake.address = there
    missing, empty, folder = tmp_path / "none.pem", tmp_path / "empty.pem", tmp_path / "folder"
    empty.write_text("nothing")
    folder.mkdir()
    fix = "Correct vault.ca_cert in stepcreds.yml, or VAULT_CACERT."
    error = refused(with_fake.fake, ca_cert=missing)
    assert error.what == f"The CA certificate for Vault cannot be read: {missing}: No such file or directory"
    assert error.fix == fix
    for path in (empty, folder):
        error = refused(with_fake.fake, ca_cert=path)
        assert error.what == f"There is no certificate in {path}"
        assert error.cause == "A CA certificate is a text file (PEM) with the line -----BEGIN CERTIFICATE-----."
        assert error.fix == fix
    with_fake.close()


def test_a_client_certificate_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    with_fake = Fake()
    with_fake.fake.address = f"https{with_fake.fake.address[4:]}"
    one, two, locked = authority.pair("one"), authority.pair("two"), authority.pair("locked", password=b"canary")
    missing = tmp_path / "none.pem"
    for certificate, key, reason in (
        (one.certificate, two.key, "the key belongs to another certificate"),
        (locked.certificate, locked.key, "not PEM, or the key is encrypted"),
        (missing, one.key, "No such file or directory"),
    ):
        error = refused(with_fake.fake, client_cert=certificate, client_key=key)
        assert error.what == f"The client certificate for Vault cannot be used: {certificate} with {key}: {reason}"
        assert error.fix == (
            "Correct vault.client_cert and vault.client_key in stepcreds.yml, or VAULT_CLIENT_CERT and "
            "VAULT_CLIENT_KEY; the key must not be encrypted."
        )
    with_fake.close()
