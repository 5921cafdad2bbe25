"""Locking out and proving on a real MariaDB, and what lying servers get out of the driver."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from authority import Authority
from database_servers import liar
from mariadb_server import (
    CANARY,
    Account,
    account,  # noqa: F401 - a fixture
    mariadb,  # noqa: F401 - a fixture
    new_account,  # noqa: F401 - a fixture
    running,
    url_of,
)

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.interface import Engine, Sighting
from stepcreds.databases.mysql import MySQL
from stepcreds.databases.mysql_session import open_session
from stepcreds.databases.stream import Deadline
from stepcreds.errors import DatabaseError
from stepcreds.model import Lock, LoginProof
from stepcreds.secret import Secret

# ruff: noqa: F811 - pytest hands a fixture in under the name it was imported with

NEW = Secret(f"{CANARY}-locked")
TIMEOUT = 10.0


@pytest.fixture
def engine() -> Engine:
    return MySQL(SystemClock())


def lock(engine: Engine, account: Account, timeout: float = TIMEOUT) -> Lock:
    return engine.lock(url_of(account.server), account.name, account.password, NEW, timeout=timeout)


def login(engine: Engine, account: Account, password: Secret) -> LoginProof:
    return engine.try_login(url_of(account.server), account.name, password, timeout=TIMEOUT)


def denied(account: Account) -> str:
    return f"Access denied for user '{account.name}'@'127.0.0.1' (using password: YES) (1045)"


def ended(connection: Any) -> bool:
    try:
        connection.cursor().execute("SELECT 1")
    except pymysql.err.MySQLError:
        return True
    return False


def assert_locked(engine: Engine, account: Account, done: Lock, sessions_ended: int = 0, detail: str = "") -> None:
    assert done == Lock("locked", done.time, detail, sessions_ended)
    assert login(engine, account, account.password) == LoginProof("refused", denied(account))
    assert login(engine, account, NEW) == LoginProof("accepted", "the login was accepted")


def test_a_lock_changes_the_password(engine: Engine, account: Account) -> None:
    assert login(engine, account, account.password) == LoginProof("accepted", "the login was accepted")
    assert_locked(engine, account, lock(engine, account))


def test_the_server_never_sees_the_new_password(engine: Engine, account: Account) -> None:
    assert_locked(engine, account, lock(engine, account))
    log = (account.server.folder / "general.log").read_text()
    assert "SET PASSWORD" in log
    assert NEW.reveal() not in log


@pytest.mark.parametrize("shortest", [8, 60])
def test_a_server_that_checks_passwords_gets_to_see_this_one(engine: Engine, account: Account, shortest: int) -> None:
    account.alter(
        "INSTALL SONAME 'simple_password_check'", f"SET GLOBAL simple_password_check_minimal_length = {shortest}"
    )
    try:
        done = lock(engine, account)
    finally:
        account.alter("UNINSTALL SONAME 'simple_password_check'")
    if shortest == 8:
        assert_locked(engine, account, done)
    else:
        why = "Your password does not satisfy the current policy requirements (simple_password_check) (1819)"
        assert done == Lock("failed", done.time, f"the password was not changed: {why}")


def test_open_sessions_are_ended_and_those_of_others_are_not(
    engine: Engine, new_account: Callable[..., Account]
) -> None:
    mine, other = new_account(), new_account()
    with closing(other.connect()) as left_alone:
        sessions = [mine.connect() for _ in range(3)]
        done = lock(engine, mine)
        assert [ended(session) for session in sessions] == [True] * 3
        assert not ended(left_alone)
    assert_locked(engine, mine, done, 3)


def test_a_user_with_the_process_privilege_ends_its_own_sessions_only(
    engine: Engine, new_account: Callable[..., Account]
) -> None:
    mine, other = new_account(), new_account()
    mine.alter(f"GRANT PROCESS, CONNECTION ADMIN ON *.* TO {mine.name}")
    with closing(other.connect()) as left_alone, closing(mine.connect()):
        done = lock(engine, mine)
        assert not ended(left_alone)
    assert_locked(engine, mine, done, 1)


def test_sessions_are_ended_though_the_password_cannot_be_changed(engine: Engine, account: Account) -> None:
    """As a backup has it: what changes a user waits for its end."""
    with closing(account.server.root()) as backup, closing(account.connect()) as session:
        backup.cursor().execute("FLUSH TABLES WITH READ LOCK")
        done = lock(engine, account, timeout=0.5)
        assert ended(session)
    assert done == Lock("failed", done.time, f"127.0.0.1:{account.server.port} did not answer within 0.5 s", 1)


def test_a_server_full_of_others_says_nothing_of_the_step(engine: Engine, new_account: Callable[..., Account]) -> None:
    mine, other = new_account(), new_account()
    mine.alter("SET GLOBAL max_connections = 10")
    try:
        with ExitStack() as held:
            with pytest.raises(pymysql.err.OperationalError):
                while True:
                    held.enter_context(closing(other.connect()))
            done = lock(engine, mine, timeout=0.5)
    finally:
        mine.alter("SET GLOBAL max_connections = DEFAULT")
    assert done == Lock("failed", done.time, "Too many connections (1040)")


def test_a_user_that_keeps_coming_back_stays_out(engine: Engine, account: Account) -> None:
    over, began = threading.Event(), threading.Barrier(4)

    def come_back() -> None:
        began.wait()
        while not over.is_set():
            with suppress(pymysql.err.MySQLError), closing(account.connect()) as connection:
                connection.cursor().execute("SELECT SLEEP(0.001)")

    threads = [threading.Thread(target=come_back) for _ in range(3)]
    for thread in threads:
        thread.start()
    began.wait()
    try:
        done = lock(engine, account)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert_locked(engine, account, done, done.sessions_ended)


def test_a_lock_cut_short_is_taken_up_again(engine: Engine, account: Account) -> None:
    assert_locked(engine, account, lock(engine, account))
    with closing(account.connect(NEW)) as session:
        done = lock(engine, account)
        assert ended(session)
    assert_locked(engine, account, done, 1, "the password had been changed by an earlier attempt at this lock")


def test_a_step_that_changed_its_own_password_is_seen(engine: Engine, account: Account) -> None:
    with closing(account.connect()) as session:
        session.cursor().execute("SET PASSWORD = PASSWORD('mine alone')")
    done = lock(engine, account)
    assert done == Lock("refused", done.time, denied(account))


def test_a_user_that_is_gone_is_refused(engine: Engine, account: Account) -> None:
    account.alter(f"DROP USER {account.name}")
    assert login(engine, account, account.password) == LoginProof("refused", denied(account))
    done = lock(engine, account)
    assert done == Lock("refused", done.time, denied(account))


def test_a_locked_account_is_a_refusal(engine: Engine, account: Account) -> None:
    account.alter(f"ALTER USER {account.name} ACCOUNT LOCK")
    assert login(engine, account, account.password) == LoginProof(
        "refused", "Access denied, this account is locked (4151)"
    )


def test_an_expired_password_still_logs_in(engine: Engine, account: Account) -> None:
    account.alter(f"ALTER USER {account.name} PASSWORD EXPIRE")
    assert login(engine, account, account.password).answer == "accepted"
    assert lock(engine, account).status == "locked"
    assert login(engine, account, account.password) == LoginProof("refused", denied(account))


def test_a_connection_limit_used_up_proves_nothing_and_stops_the_lock_only_so_long(
    engine: Engine, new_account: Callable[..., Account]
) -> None:
    account = new_account("WITH MAX_USER_CONNECTIONS 2")
    full = f"User '{account.name}' has exceeded the 'max_user_connections' resource (current value: 2) (1226)"
    first, second = account.connect(), account.connect()
    assert login(engine, account, account.password) == LoginProof("unknown", full)
    done = lock(engine, account, timeout=0.5)
    assert done == Lock(
        "failed",
        done.time,
        f"{full}; no connection was left for the lock: sessions of the step still run at the server",
    )
    leaving = threading.Timer(0.3, first.close)
    leaving.start()
    done = lock(engine, account)
    leaving.join()
    assert ended(second)
    assert_locked(engine, account, done, 1)


def test_a_witness_cannot_see_others(engine: Engine, account: Account) -> None:
    seen = engine.absent(url_of(account.server), account.name, account.password, dead_user="anybody", timeout=TIMEOUT)
    assert seen == Sighting("unknown", "a user of MySQL or MariaDB cannot see whether another one exists")


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tls_that_is_not_there_is_not_done_without(engine: Engine, account: Account, mode: str) -> None:
    url = url_of(account.server, sslmode=mode)
    proof = engine.try_login(url, account.name, account.password, timeout=TIMEOUT)
    assert proof == LoginProof(
        "unknown", f"no TLS with 127.0.0.1:{url.port}: SSL is required but the server doesn't support it"
    )


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_tls_that_is_not_there_is_done_without_where_that_is_allowed(
    engine: Engine, account: Account, mode: str
) -> None:
    url = url_of(account.server, sslmode=mode)
    assert engine.try_login(url, account.name, account.password, timeout=TIMEOUT).answer == "accepted"
    assert engine.try_login(url, account.name, Secret("wrong"), timeout=TIMEOUT) == LoginProof(
        "refused", denied(account)
    )


@pytest.fixture(scope="module")
def with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Path, Path]]:
    """A user on a server whose certificate is for `localhost`, the file of its CA, and that of another."""
    folder = tmp_path_factory.mktemp("certificates")
    right, wrong = Authority("right authority"), Authority("wrong authority")
    certificate, key = right.issue("localhost")
    for name, content in (
        ("right", right.certificate),
        ("wrong", wrong.certificate),
        ("cert", certificate),
        ("key", key),
    ):
        (folder / f"{name}.pem").write_bytes(content)
    with running(f"--ssl-cert={folder}/cert.pem", f"--ssl-key={folder}/key.pem") as server:
        yield Account(server, "REQUIRE SSL"), folder / "right.pem", folder / "wrong.pem"


ACCEPTED = "the login was accepted"
MISNAMED = "no TLS with 127.0.0.1:PORT: IP address mismatch, certificate is not valid for '127.0.0.1'."
UNKNOWN = "no TLS with localhost:PORT: unable to get local issuer certificate"


@pytest.mark.parametrize(
    ("mode", "host", "expected"),
    [
        ("require", "localhost", ACCEPTED),
        ("verify-ca", "127.0.0.1", ACCEPTED),
        ("verify-full", "localhost", ACCEPTED),
        ("prefer", "localhost", ACCEPTED),
        ("allow", "localhost", ACCEPTED),
        ("verify-full", "127.0.0.1", MISNAMED),
    ],
)
def test_tls_is_verified_as_sslmode_says(
    engine: Engine, with_tls: tuple[Account, Path, Path], mode: str, host: str, expected: str
) -> None:
    account, right_ca, _ = with_tls
    url = url_of(account.server, host=host, sslmode=mode, sslrootcert=right_ca)
    proof = engine.try_login(url, account.name, account.password, timeout=TIMEOUT)
    assert proof.detail.replace(str(url.port), "PORT") == expected
    assert proof.answer == ("accepted" if expected == ACCEPTED else "unknown")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_certificate_of_another_ca_is_not_taken(
    engine: Engine, with_tls: tuple[Account, Path, Path], mode: str
) -> None:
    account, _, wrong_ca = with_tls
    url = url_of(account.server, host="localhost", sslmode=mode, sslrootcert=wrong_ca)
    proof = engine.try_login(url, account.name, account.password, timeout=TIMEOUT)
    assert proof == LoginProof("unknown", UNKNOWN.replace("PORT", str(url.port)))


def test_a_lock_goes_over_tls(engine: Engine, with_tls: tuple[Account, Path, Path]) -> None:
    server, right_ca = with_tls[0].server, with_tls[1]
    account = Account(server, "REQUIRE SSL")
    url = url_of(server, host="localhost", sslmode="verify-full", sslrootcert=right_ca)
    done = engine.lock(url, account.name, account.password, NEW, timeout=TIMEOUT)
    assert done == Lock("locked", done.time)
    assert engine.try_login(url, account.name, account.password, timeout=TIMEOUT).answer == "refused"
    assert engine.try_login(url, account.name, NEW, timeout=TIMEOUT).answer == "accepted"


def test_a_server_that_hangs_is_not_waited_for(engine: Engine) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=8)) as listener:
        port = listener.getsockname()[1]
        url = DatabaseURL("mysql", "mysql", "127.0.0.1", port, "app", "disable", None)
        what = f"127.0.0.1:{port} did not answer within 0.3 s"
        done = engine.lock(url, "user", Secret("x"), NEW, timeout=0.3)
        assert done == Lock("unreachable", done.time, what)
        assert engine.try_login(url, "user", Secret("x"), timeout=0.3) == LoginProof("unknown", what)


GREETING = (
    b"\x0a5.5.5-10.11.19-MariaDB\0" + struct.pack("<I", 1) + b"saltsalt\0" + b"\xff\xf7\x08\x02\0\x3f\xa0\x15"
    b"\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0"
)


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def drip(connection: socket.socket) -> None:
    """One byte at a time, each within what a time-out per read allows."""
    over = threading.Event()
    for byte in packet(0, GREETING) * 1000:
        connection.sendall(bytes([byte]))
        over.wait(0.02)


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "what"),
    [
        (drip, "HOST did not answer within 0.5 s"),
        (garbage, "HOST closed the connection, or is no MySQL server"),
        (lambda connection: None, "HOST closed the connection, or is no MySQL server"),
        (
            lambda connection: connection.sendall(packet(0, b"\x0a")),
            "HOST closed the connection, or is no MySQL server",
        ),
    ],
)
def test_a_lying_server_proves_nothing(engine: Engine, script: Callable[[socket.socket], None], what: str) -> None:
    with liar(script) as somewhere:
        url = somewhere._replace(engine="mysql")
        proof = engine.try_login(url, "user", NEW, timeout=0.5)
    assert proof == LoginProof("unknown", what.replace("HOST", f"127.0.0.1:{url.port}"))


@pytest.mark.parametrize("method", [b"mysql_clear_password", b"dialog", b"mysql_old_password"])
def test_no_server_gets_the_password_by_asking_for_it(engine: Engine, method: bytes) -> None:
    heard: list[bytes] = []

    def ask(connection: socket.socket) -> None:
        connection.sendall(packet(0, GREETING))
        heard.append(connection.recv(65536))
        connection.sendall(packet(2, b"\xfe" + method + b"\0" + b"\x02Password: "))
        while data := connection.recv(65536):
            heard.append(data)

    with liar(ask) as somewhere:
        url = somewhere._replace(engine="mysql")
        proof = engine.try_login(url, "user", NEW, timeout=TIMEOUT)
    assert proof == LoginProof(
        "unknown", f"127.0.0.1:{url.port} asks for an authentication that gives the password away"
    )
    assert b"user" in heard[0]
    assert NEW.reveal().encode() not in b"".join(heard)


class Asking:
    """A MySQL 8 under TLS, which says ok to whoever goes along with the `method` that it asks for."""

    def __init__(self, folder: Path, method: bytes, first: bytes = b"mysql_native_password") -> None:
        self.method = method
        self.first = first  # what it begins with
        self.heard: list[bytes] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def __call__(self, connection: socket.socket) -> None:
        capabilities = (0xFFFFFFFF & ~0x20).to_bytes(4, "little")
        greeting = b"\x0a8.0.30\0" + struct.pack("<I", 7) + b"A" * 8 + b"\0" + capabilities[:2] + b"\x2d\x02\0"
        greeting += capabilities[2:] + b"\x15" + b"\0" * 10 + b"B" * 12 + b"\0" + self.first + b"\0"
        connection.sendall(packet(0, greeting))
        connection.recv(36)  # the client asks for TLS
        with self.context.wrap_socket(connection, server_side=True) as under_tls:
            number = self.hear(under_tls)
            under_tls.sendall(packet(number + 1, b"\xfe" + self.method + b"\0" + b"C" * 20 + b"\0"))
            number = self.hear(under_tls)
            if self.method == b"caching_sha2_password":
                under_tls.sendall(packet(number + 1, b"\x01\x04"))  # the server does not know this password yet
                number = self.hear(under_tls)
            under_tls.sendall(packet(number + 1, b"\0\0\0\x02\0\0\0"))
            self.hear(under_tls)
            under_tls.sendall(packet(1, b"\0\0\0\x02\0\0\0"))
            self.hear(under_tls)

    def hear(self, connection: ssl.SSLSocket) -> int:
        self.heard.append(connection.recv(65536))
        return self.heard[-1][3] if len(self.heard[-1]) > 3 else 0


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, and `cert.pem` and `key.pem` of localhost."""
    folder = tmp_path_factory.mktemp("mysql8")
    authority = Authority("an authority")
    certificate, key = authority.issue("localhost")
    for name, content in (("ca", authority.certificate), ("cert", certificate), ("key", key)):
        (folder / f"{name}.pem").write_bytes(content)
    return folder


@pytest.mark.parametrize("first", [b"mysql_native_password", b"caching_sha2_password", b"sha256_password"])
@pytest.mark.parametrize("method", [b"sha256_password", b"caching_sha2_password"])
@pytest.mark.parametrize("mode", ["require", "prefer"])
def test_a_server_whose_certificate_was_not_checked_gets_no_password(
    engine: Engine, certified: Path, method: bytes, first: bytes, mode: str
) -> None:
    server = Asking(certified, method, first)
    with liar(server) as somewhere:
        url = somewhere._replace(engine="mysql", host="localhost", sslmode=mode)
        proof = engine.try_login(url, "user", NEW, timeout=TIMEOUT)
        with pytest.raises(DatabaseError) as caught:
            open_session(url, "user", NEW, Deadline(SystemClock(), TIMEOUT))
    assert proof == LoginProof(
        "unknown", f"localhost:{url.port} asks for an authentication that gives the password away"
    )
    assert caught.value.fix == (
        "Have the server's certificate checked: name its CA with sslrootcert in the database's URL, or say "
        "sslmode=verify-full. Or let the users that Vault issues log in with mysql_native_password."
    )
    assert b"user" in server.heard[0]
    assert NEW.reveal().encode() not in b"".join(server.heard)


@pytest.mark.parametrize("method", [b"sha256_password", b"caching_sha2_password"])
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_whose_certificate_was_checked_gets_the_password_that_it_asks_for(
    engine: Engine, certified: Path, method: bytes, mode: str
) -> None:
    server = Asking(certified, method)
    with liar(server) as somewhere:
        url = somewhere._replace(engine="mysql", host="localhost", sslmode=mode, sslrootcert=certified / "ca.pem")
        proof = engine.try_login(url, "user", NEW, timeout=TIMEOUT)
    assert proof == LoginProof("accepted", "the login was accepted")
    assert NEW.reveal().encode() + b"\0" in b"".join(server.heard)


def test_without_the_driver_a_step_does_not_begin() -> None:
    program = (
        "import sys; sys.modules['pymysql'] = None\n"
        "from stepcreds.databases import engine_for\n"
        "from stepcreds.config.model import DatabaseURL\n"
        "from stepcreds.errors import UnsupportedError\n"
        "from stepcreds.secret import Secret\n"
        "url = DatabaseURL('mysql', 'mysql', '127.0.0.1', 1, '', 'disable', None)\n"
        "engine = engine_for(url)\n"
        "try:\n    engine.prepare(url)\nexcept UnsupportedError as error:\n    print(error.what, error.fix, sep='|')\n"
        "print(engine.lock(url, 'u', Secret('a'), Secret('b'), timeout=1).status)\n"
        "print(engine.try_login(url, 'u', Secret('a'), timeout=1).answer)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout == (
        "PyMySQL is not installed, and without it no credential of MySQL or MariaDB can be locked or proven dead"
        "|pip install 'stepcreds[mysql]'\nfailed\nunknown\n"
    )


def test_nothing_shows_a_password(engine: Engine, account: Account) -> None:
    shown = repr(lock(engine, account)) + repr(lock(engine, account)) + repr(engine) + repr(vars(engine))
    shown += repr(login(engine, account, account.password)) + repr(login(engine, account, NEW))
    assert account.name in shown
    assert CANARY not in shown
