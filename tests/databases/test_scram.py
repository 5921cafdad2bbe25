"""SCRAM-SHA-256 against an independent implementation (scramp), and against PostgreSQL's own arithmetic."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from contextlib import closing

import pytest
from database_servers import postgres  # noqa: F401 - a fixture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scramp import ScramMechanism  # type: ignore[import-untyped]

from stepcreds.databases.scram import MAX_ITERATIONS, MIN_ITERATIONS, Exchange, ScramError, prepared, verifier
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.secret import Secret

SALT = b64encode(b"sixteen bytes ok").decode()
PASSWORD = Secret("pencil-c4n4ry")


@given(password=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
@settings(deadline=None, max_examples=40)
def test_a_server_that_holds_only_the_verifier_accepts_the_proof(password: str) -> None:
    salt, stored_key, _, _ = ScramMechanism("SCRAM-SHA-256").make_auth_info(password)
    server_first = f"r=nonce+,s={b64encode(bytes(salt)).decode()},i=4096".encode()
    without_proof, _, proof = Exchange(Secret(password), "nonce").final(server_first).rpartition(b",p=")
    # RFC 5802, section 3: the server recovers ClientKey from the proof, and its hash has to be StoredKey.
    auth_message = b"n=,r=nonce," + server_first + b"," + without_proof
    signature = hmac.digest(bytes(stored_key), auth_message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(b64decode(proof), signature, strict=True))
    assert hashlib.sha256(client_key).digest() == bytes(stored_key)


def test_the_verifier_is_what_an_independent_implementation_computes() -> None:
    salt, stored_key, server_key, iterations = ScramMechanism("SCRAM-SHA-256").make_auth_info(
        PASSWORD.reveal(), salt=b"sixteen bytes ok"
    )
    keys = [b64encode(bytes(key)).decode() for key in (salt, stored_key, server_key)]
    assert verifier(PASSWORD, b"sixteen bytes ok") == f"SCRAM-SHA-256${iterations}:{keys[0]}${keys[1]}:{keys[2]}"


def test_two_verifiers_of_one_password_share_no_salt() -> None:
    assert verifier(PASSWORD) != verifier(PASSWORD)


def test_a_nonce_is_new_each_time_and_long() -> None:
    nonces = {Exchange(PASSWORD).first() for _ in range(50)}
    assert len(nonces) == 50
    assert all(len(nonce) == len("n,,n=,r=") + 24 for nonce in nonces)


def test_the_first_message_says_that_channels_cannot_be_bound_and_names_nobody() -> None:
    assert Exchange(PASSWORD, "abc").first() == b"n,,n=,r=abc"


@pytest.mark.parametrize(
    ("server_first", "message"),
    [
        (f"r=other,s={SALT},i=4096", "the server's nonce does not continue ours"),
        (f"r=nonce,s={SALT},i=4096", "the server's nonce does not continue ours"),
        (f"r=,s={SALT},i=4096", "the server's nonce does not continue ours"),
        (f"r=nonce+,s={SALT},i=0", "the server asks for 0 iterations, and this client follows 1000 to 1000000"),
        (f"r=nonce+,s={SALT},i=999", "the server asks for 999 iterations, and this client follows 1000 to 1000000"),
        (
            f"r=nonce+,s={SALT},i=1000001",
            "the server asks for 1000001 iterations, and this client follows 1000 to 1000000",
        ),
        (f"r=nonce+,s={SALT},i=99999999999", "the server's iteration count is not a number this client would follow"),
        (f"r=nonce+,s={SALT},i=-4096", "the server's iteration count is not a number this client would follow"),
        (f"r=nonce+,s={SALT},i=4096.0", "the server's iteration count is not a number this client would follow"),
        (f"r=nonce+,s={SALT},i=", "the server's iteration count is not a number this client would follow"),
        ("r=nonce+,s=,i=4096", "the server's salt has 0 bytes"),
        (f"r=nonce+,s={'AAAA' * 400},i=4096", "the server's salt has 1200 bytes"),
        ("r=nonce+,s=?,i=4096", "the server's SCRAM message is malformed"),
        ("r=nonce+,s=AAA,i=4096", "the server's SCRAM message is malformed"),
        (f"s={SALT},r=nonce+,i=4096", "the server's SCRAM message is malformed"),
        (f"m=ext,r=nonce+,s={SALT},i=4096", "the server's SCRAM message is malformed"),
        (f"r=nonce+,r=nonce+,s={SALT},i=4096", "the server's SCRAM message is malformed"),
        ("", "the server's SCRAM message is malformed"),
        ("rubbish", "the server's SCRAM message is malformed"),
        ("e=other-error", "the server ended the SCRAM exchange with an error"),
        (f"r=nonce+é,s={SALT},i=4096", "the server's SCRAM message is not ASCII"),
    ],
)
def test_a_bad_first_answer_is_refused(server_first: str, message: str) -> None:
    with pytest.raises(ScramError) as caught:
        Exchange(PASSWORD, "nonce").final(server_first.encode())
    assert str(caught.value) == message


@pytest.mark.parametrize("iterations", [MIN_ITERATIONS, MAX_ITERATIONS])
def test_the_bounds_of_the_iteration_count_belong_to_it(iterations: int) -> None:
    final = Exchange(PASSWORD, "nonce").final(f"r=nonce+,s={SALT},i={iterations}".encode())
    assert final.startswith(b"c=biws,r=nonce+,p=")


def test_extensions_behind_what_must_be_there_are_ignored() -> None:
    final = Exchange(PASSWORD, "nonce").final(f"r=nonce+,s={SALT},i=4096,x=anything".encode())
    assert final.startswith(b"c=biws,r=nonce+,p=")


def _server_final(server_first: bytes) -> bytes:
    """What an honest server answers to `Exchange(PASSWORD, "nonce")`, from RFC 5802's formulas."""
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.reveal().encode(), b"sixteen bytes ok", 4096)
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    auth_message = b"n=,r=nonce," + server_first + b",c=biws,r=nonce+"
    return b"v=" + b64encode(hmac.digest(server_key, auth_message, "sha256"))


def test_the_servers_signature_is_verified() -> None:
    server_first = f"r=nonce+,s={SALT},i=4096".encode()
    exchange = Exchange(PASSWORD, "nonce")
    exchange.final(server_first)
    exchange.verify(_server_final(server_first))


@pytest.mark.parametrize(
    ("server_final", "message"),
    [
        (b"v=" + b64encode(bytes(32)), "the server could not show that it knows the password's verifier"),
        (b"v=", "the server could not show that it knows the password's verifier"),
        (b"v=?", "the server's SCRAM message is malformed"),
        (b"", "the server's SCRAM message is malformed"),
        (b"e=invalid-proof", "the server ended the SCRAM exchange with an error"),
    ],
)
def test_a_server_without_the_verifier_is_found_out(server_final: bytes, message: str) -> None:
    exchange = Exchange(PASSWORD, "nonce")
    exchange.final(f"r=nonce+,s={SALT},i=4096".encode())
    with pytest.raises(ScramError) as caught:
        exchange.verify(server_final)
    assert str(caught.value) == message


@pytest.mark.parametrize("server_final", [b"v=", b"v=" + b64encode(bytes(32))])
def test_a_signature_before_the_exchange_is_no_signature(server_final: bytes) -> None:
    with pytest.raises(ScramError) as caught:
        Exchange(PASSWORD, "nonce").verify(server_final)
    assert str(caught.value) == "the server could not show that it knows the password's verifier"


def test_nothing_shows_the_password() -> None:
    exchange = Exchange(PASSWORD, "nonce")
    final = exchange.final(f"r=nonce+,s={SALT},i=4096".encode())
    shown = repr(exchange) + repr(final) + exchange.first().decode() + verifier(PASSWORD)
    assert "c4n4ry" not in shown


@pytest.mark.parametrize(
    ("password", "as_bytes"),
    [
        ("ascii\x01 as it is", b"ascii\x01 as it is"),
        ("a\u00adb", b"ab"),  # soft hyphen: mapped to nothing
        ("a\u00a0b", b"a b"),  # no-break space: a space
        ("\u2168", b"IX"),  # Roman numeral nine: NFKC
        ("\u00e9", "\u00e9".encode()),
        ("e\u0301", "\u00e9".encode()),  # composed
        ("\u0627\u0628", "\u0627\u0628".encode()),  # right to left throughout
        ("\u0627a", "\u0627a".encode()),  # mixed directions are refused, so raw
        ("\U0001f600", "\U0001f600".encode()),  # unassigned in Unicode 3.2, so raw
        ("\u00ad", "\u00ad".encode()),  # nothing left, so raw
        ("a\u0007\u00e9", "a\u0007\u00e9".encode()),  # control character, so raw
    ],
)
def test_a_password_outside_ascii_is_prepared_or_taken_raw(password: str, as_bytes: bytes) -> None:
    assert prepared(Secret(password)) == as_bytes


_PASSWORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"], max_codepoint=0x2FFFF), min_size=1, max_size=12
)


@given(passwords=st.lists(_PASSWORDS, min_size=20, max_size=20))
@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
def test_the_verifier_is_the_one_postgresql_itself_computes(postgres: PostgreSQL, passwords: list[str]) -> None:  # noqa: F811
    with closing(postgres.connect()) as connection:
        for password in passwords:
            connection.run("BEGIN")
            literal = connection.run("SELECT quote_literal(CAST(:password AS text))", password=password)[0][0]
            connection.run(f"CREATE ROLE scram_oracle PASSWORD {literal}")
            stored = connection.run("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_oracle'")[0][0]
            connection.run("ROLLBACK")
            salt = stored.split("$")[1].partition(":")[2]
            assert verifier(Secret(password), b64decode(salt)) == stored
