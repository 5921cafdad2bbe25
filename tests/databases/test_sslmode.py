"""What each `sslmode` means: servers with TLS, without it, with the wrong certificate; libpq (psql) is the oracle."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from database_servers import CANARY, administer, allow, deadline, reload, url_of

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.messages import ServerError
from stepcreds.databases.postgresql import PostgreSQL as Engine
from stepcreds.databases.wire import connect
from stepcreds.devstack import installed
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.errors import DatabaseError
from stepcreds.secret import Secret

USER = "traveller"
PASSWORD = Secret(CANARY)
SUPERUSER = "host all postgres 127.0.0.1/32 scram-sha-256"
EVERY_WAY = (f"host all {USER} 127.0.0.1/32 scram-sha-256",)
ONLY_TLS = (f"hostssl all {USER} 127.0.0.1/32 scram-sha-256", f"host all {USER} 127.0.0.1/32 reject")
ONLY_PLAIN = (f"hostnossl all {USER} 127.0.0.1/32 scram-sha-256", f"host all {USER} 127.0.0.1/32 reject")
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
STATE = "SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("right authority")


@pytest.fixture(scope="module")
def right_ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("right") / "ca.pem"
    path.write_bytes(authority.certificate)
    return path


@pytest.fixture(scope="module")
def wrong_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wrong") / "ca.pem"
    path.write_bytes(Authority("wrong authority").certificate)
    return path


@pytest.fixture(scope="module")
def with_tls(authority: Authority) -> Iterator[PostgreSQL]:
    """TLS with a certificate for `localhost` alone: by the name 127.0.0.1 it is the wrong host."""
    with PostgreSQL(tls=True) as server:
        administer(server, f"CREATE ROLE {USER} LOGIN PASSWORD '{CANARY}'")
        allow(server, SUPERUSER)
        server.tls = False  # the superuser comes without it from here on
        certificate, key = authority.issue("localhost")
        (server.folder / "server.pem").write_bytes(certificate)
        (server.folder / "server.key").write_bytes(key)
        reload(server)
        yield server


@pytest.fixture(scope="module")
def without_tls() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        administer(server, f"CREATE ROLE {USER} LOGIN PASSWORD '{CANARY}'")
        yield server


def ours(url: DatabaseURL, password: Secret = PASSWORD) -> str:
    """`tls` or `plain`, or the error."""
    try:
        with connect(url, USER, password, deadline()) as session:
            ((state,),) = session.query(STATE)
            return str(state)
    except DatabaseError as error:
        return error.what.replace(str(url.port), "PORT")


def libpqs(url: DatabaseURL, home: Path) -> str:
    """`tls` or `plain`, or `refused`."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "PGHOST": url.host,
        "PGPORT": str(url.port),
        "PGUSER": USER,
        "PGPASSWORD": CANARY,
        "PGDATABASE": url.database,
        "PGSSLMODE": url.sslmode,
        "PGCONNECT_TIMEOUT": "10",
    }
    if url.sslrootcert is not None:
        environment["PGSSLROOTCERT"] = str(url.sslrootcert)
    psql = installed.postgresql_with_tls() / "bin" / "psql"
    finished = subprocess.run(
        [str(psql), "-XAtc", STATE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return finished.stdout.strip() if finished.returncode == 0 else "refused"


def outcome(text: str) -> str:
    return text if text in ("tls", "plain") else "refused"


PLAIN_REFUSED = (
    f'said: pg_hba.conf rejects connection for host "127.0.0.1", user "{USER}", database "postgres", no encryption'
)
TLS_REFUSED = (
    f'said: pg_hba.conf rejects connection for host "127.0.0.1", user "{USER}", database "postgres", SSL encryption'
)
UNKNOWN = "the certificate of localhost:PORT was not accepted: unable to get local issuer certificate"
MISNAMED = (
    "the certificate of 127.0.0.1:PORT was not accepted: IP address mismatch, certificate is not valid for '127.0.0.1'."
)
NO_TLS = "127.0.0.1:PORT offers no TLS, and sslmode={} asks for it"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (EVERY_WAY, ("plain", "plain", "tls", "tls", "tls", "tls")),
        (ONLY_TLS, (f"localhost:PORT {PLAIN_REFUSED}", "tls", "tls", "tls", "tls", "tls")),
        (
            ONLY_PLAIN,
            ("plain", "plain", "plain", *[f"localhost:PORT {TLS_REFUSED}"] * 3),
        ),
    ],
)
def test_the_right_certificate(
    with_tls: PostgreSQL, right_ca: Path, tmp_path: Path, lines: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    allow(with_tls, SUPERUSER, *lines)
    urls = [url_of(with_tls, host="localhost", sslmode=mode, sslrootcert=right_ca) for mode in MODES]
    assert tuple(ours(url) for url in urls) == expected
    assert [libpqs(url, tmp_path) for url in urls] == [outcome(text) for text in expected]


def test_a_certificate_of_another_ca(with_tls: PostgreSQL, wrong_ca: Path, tmp_path: Path) -> None:
    allow(with_tls, SUPERUSER, *EVERY_WAY)
    urls = [url_of(with_tls, host="localhost", sslmode=mode, sslrootcert=wrong_ca) for mode in MODES]
    # `require` with a CA's certificate is `verify-ca`: libpq says so, and this is where it shows.
    expected = ("plain", "plain", "plain", UNKNOWN, UNKNOWN, UNKNOWN)
    assert tuple(ours(url) for url in urls) == expected
    assert [libpqs(url, tmp_path) for url in urls] == [outcome(text) for text in expected]


def test_a_certificate_for_another_name(with_tls: PostgreSQL, right_ca: Path, tmp_path: Path) -> None:
    allow(with_tls, SUPERUSER, *EVERY_WAY)
    urls = [url_of(with_tls, host="127.0.0.1", sslmode=mode, sslrootcert=right_ca) for mode in MODES]
    expected = ("plain", "plain", "tls", "tls", "tls", MISNAMED)
    assert tuple(ours(url) for url in urls) == expected
    assert [libpqs(url, tmp_path) for url in urls] == [outcome(text) for text in expected]


def test_a_server_without_tls(without_tls: PostgreSQL, right_ca: Path, tmp_path: Path) -> None:
    urls = [url_of(without_tls, sslmode=mode, sslrootcert=right_ca) for mode in MODES]
    expected = ("plain", "plain", "plain", *(NO_TLS.format(mode) for mode in MODES[3:]))
    assert tuple(ours(url) for url in urls) == expected
    assert [libpqs(url, tmp_path) for url in urls] == [outcome(text) for text in expected]


def test_no_certificate_of_a_ca(with_tls: PostgreSQL, tmp_path: Path) -> None:
    allow(with_tls, SUPERUSER, *EVERY_WAY)
    urls = [url_of(with_tls, host="localhost", sslmode=mode) for mode in MODES]
    # verify-full asks the system's CAs (libpq: sslrootcert=system, from version 16 on), which do not know ours.
    expected = ("plain", "plain", "tls", "tls", "sslmode=verify-ca needs sslrootcert", UNKNOWN)
    assert tuple(ours(url) for url in urls) == expected
    assert [libpqs(url, tmp_path) for url in urls] == [outcome(text) for text in expected]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lines", [EVERY_WAY, ONLY_TLS, ONLY_PLAIN])
def test_a_wrong_password_is_refused_whichever_way_it_may_come(
    with_tls: PostgreSQL, right_ca: Path, mode: str, lines: tuple[str, ...]
) -> None:
    """One way refuses the password and the other takes nobody: that is a refusal. No way at all proves nothing."""
    allow(with_tls, SUPERUSER, *lines)
    url = url_of(with_tls, host="localhost", sslmode=mode, sslrootcert=right_ca)
    closed = (mode, lines) in [
        ("disable", ONLY_TLS),
        *((mode, ONLY_PLAIN) for mode in ("require", "verify-ca", "verify-full")),
    ]
    proof = Engine(SystemClock()).try_login(url, USER, Secret("wrong"), timeout=10)
    assert proof.answer == ("unknown" if closed else "refused")
    assert proof.detail == (
        (f"{TLS_REFUSED if lines == ONLY_PLAIN else PLAIN_REFUSED} (28000)".removeprefix("said: "))
        if closed
        else f'password authentication failed for user "{USER}" (28P01)'
    )


def test_a_password_in_clear_is_sent_to_a_server_alone_whose_certificate_was_checked(
    with_tls: PostgreSQL, right_ca: Path
) -> None:
    allow(with_tls, SUPERUSER, f"host all {USER} 127.0.0.1/32 password")
    urls = [url_of(with_tls, host="localhost", sslmode=mode, sslrootcert=right_ca) for mode in MODES]
    in_clear = "localhost:PORT asks for the password in clear on a connection without TLS"
    assert tuple(ours(url) for url in urls) == (in_clear, in_clear, "tls", "tls", "tls", "tls")
    # Whoever answers in its place could ask for it as well.
    unchecked = "localhost:PORT asks for the password in clear on a connection whose certificate is not checked"
    urls = [url_of(with_tls, host="localhost", sslmode=mode) for mode in ("prefer", "require")]
    assert tuple(ours(url) for url in urls) == (unchecked, unchecked)


def test_a_client_certificate_is_shown_where_one_is_asked_for(
    with_tls: PostgreSQL, authority: Authority, right_ca: Path, tmp_path: Path
) -> None:
    trusted = with_tls.folder / "client-ca.pem"
    trusted.write_bytes(authority.certificate)
    trusted.chmod(0o644)
    administer(with_tls, f"ALTER SYSTEM SET ssl_ca_file = '{trusted}'")
    allow(with_tls, SUPERUSER, f"hostssl all {USER} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca")
    certificate, key = authority.issue("a client")
    (tmp_path / "client.pem").write_bytes(certificate)
    (tmp_path / "client.key").write_bytes(key)
    options = {"sslcert": str(tmp_path / "client.pem"), "sslkey": str(tmp_path / "client.key")}
    url = url_of(with_tls, host="localhost", sslmode="verify-full", sslrootcert=right_ca)
    try:
        with pytest.raises(ServerError) as caught:
            connect(url, USER, PASSWORD, deadline())
        assert caught.value.what == (f"localhost:{with_tls.port} said: connection requires a valid client certificate")
        assert Engine(SystemClock()).try_login(url, USER, PASSWORD, timeout=10).answer == "unknown"
        shown = url_of(with_tls, host="localhost", sslmode="verify-full", sslrootcert=right_ca, options=options)
        assert ours(shown) == "tls"
    finally:
        administer(with_tls, "ALTER SYSTEM RESET ssl_ca_file")


def test_what_cannot_work_is_found_before_a_credential_exists(without_tls: PostgreSQL, tmp_path: Path) -> None:
    engine = Engine(SystemClock())
    empty = tmp_path / "empty.pem"
    empty.touch()
    fix = "{} is a file in PEM form that this step can read; relative paths start at {}"
    root_fix = fix.format("sslrootcert", "stepcreds.yml")
    client_fix = fix.format("sslcert", "the folder that the step runs in")
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"sslmode": "no"}, "sslmode=no is not a mode", f"use one of {', '.join(MODES)}"),
        (
            {"sslmode": "verify-ca"},
            "sslmode=verify-ca needs sslrootcert",
            "name the CA's certificate: sslrootcert=<file>; or use sslmode=verify-full with the system's CAs",
        ),
        (
            {"sslmode": "require", "sslrootcert": tmp_path / "none.pem"},
            f"sslrootcert={tmp_path}/none.pem cannot be used: No such file or directory",
            root_fix,
        ),
        (
            {"sslmode": "verify-full", "sslrootcert": empty},
            f"sslrootcert={empty} cannot be used: it holds no usable PEM certificate",
            root_fix,
        ),
        (
            {"sslmode": "require", "options": {"sslcert": str(tmp_path / "none.crt")}},
            f"sslcert={tmp_path}/none.crt cannot be used: No such file or directory",
            client_fix,
        ),
    ]
    for changes, what, how in cases:
        with pytest.raises(DatabaseError) as caught:
            engine.prepare(url_of(without_tls, **changes))
        assert (caught.value.what, caught.value.fix) == (what, how)
    engine.prepare(url_of(without_tls, sslmode="disable", sslrootcert=tmp_path / "none.pem"))


def test_a_certificate_that_the_step_replaces_is_not_read_again(
    with_tls: PostgreSQL, right_ca: Path, wrong_ca: Path, tmp_path: Path
) -> None:
    allow(with_tls, SUPERUSER, *EVERY_WAY)
    path = tmp_path / "ca.pem"
    path.write_bytes(wrong_ca.read_bytes())
    url = url_of(with_tls, host="localhost", sslmode="verify-full", sslrootcert=path)
    Engine(SystemClock()).prepare(url)
    path.write_bytes(right_ca.read_bytes())
    assert ours(url) == UNKNOWN


def test_an_encrypted_client_key_is_an_error_and_not_a_question_at_the_terminal(
    without_tls: PostgreSQL, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a passphrase"),
        )
    )
    certificate, _ = Authority("of the client").issue("a client")
    (tmp_path / "client.pem").write_bytes(certificate)
    options = {"sslcert": str(tmp_path / "client.pem"), "sslkey": str(tmp_path / "client.key")}
    with pytest.raises(DatabaseError) as caught:
        Engine(SystemClock()).prepare(url_of(without_tls, sslmode="require", options=options))
    assert caught.value.what == (f"sslcert={tmp_path}/client.pem cannot be used: it holds no usable PEM certificate")
