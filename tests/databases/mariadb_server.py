"""A real MariaDB on loopback with a data folder and a port of its own, for the tests of the MySQL family."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
import pytest

from stepcreds.config.model import DatabaseURL
from stepcreds.devstack.process import free_port
from stepcreds.secret import Secret

CANARY = "c4n4ry-7Qd2"
INSTALL = "There is no MariaDB server on this machine. Install it: apt-get update && apt-get install -y mariadb-server"
_numbers = count(1)


SMALL = ("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M")
# What a crash of the machine would lose is nothing to a test.
CARELESS = ("--debug-no-sync", "--innodb-flush-method=nosync", "--sync-frm=0")


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.defpath}:/usr/sbin")
    if found is None:
        pytest.fail(INSTALL)
    return found


def owner() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


@cache
def installed() -> Path:
    """A data folder that no server has run in yet, made once in a process: making one takes longer than a copy."""
    folder = tempfile.mkdtemp(prefix="mariadb-new-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = Path(folder) / "data"
    subprocess.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *SMALL,
            *owner(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return data


class MariaDB:
    """A server on `port` of 127.0.0.1, whose root comes through a socket in `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        server = program("mariadbd")
        self.folder = folder
        self.port = free_port()
        data = folder / "data"
        shutil.copytree(installed(), data)
        self._log = (folder / "log").open("wb")
        self._argv = [
            server,
            "--no-defaults",
            f"--datadir={data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={folder}/socket",
            "--innodb-flush-log-at-trx-commit=0",
            "--general-log=1",
            f"--general-log-file={folder}/general.log",
            "--skip-name-resolve",
            *SMALL,
            *CARELESS,
            *options,
            *owner(),
        ]
        self.start()

    def start(self) -> None:
        """Start it, for the first time or after `kill`; see `wait`."""
        self.process = subprocess.Popen(self._argv, stdout=self._log, stderr=self._log)

    def wait(self) -> None:
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with suppress(OSError), closing(self.root()):  # it listens at the port before there is the socket
                return
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        self._log.close()

    def root(self) -> Any:
        """A `pymysql` connection of root's; whoever asks closes it. Raises `OSError` where nobody listens."""
        with ExitStack() as failing:
            # PyMySQL 1.1 leaves a socket of its own open where nobody listens.
            end = failing.enter_context(closing(socket.socket(socket.AF_UNIX)))
            end.connect(f"{self.folder}/socket")
            connection = pymysql.connect(user="root", autocommit=True, defer_connect=True)
            connection.connect(end)
            failing.pop_all()
        return connection

    def administer(self, *statements: str) -> list[Any]:
        """Run each statement as root; the rows of the last."""
        rows: list[Any] = []
        with closing(self.root()) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows


class Account:
    """A user that may log in from anywhere with `password`."""

    def __init__(self, server: MariaDB, options: str = "") -> None:
        self.server = server
        self.name = f"user{next(_numbers)}"
        self.password = Secret(f"{CANARY}-{self.name}")
        self.alter(f"CREATE USER {self.name}@'%' IDENTIFIED BY '{self.password.reveal()}' {options}")

    def alter(self, *statements: str) -> None:
        self.server.administer(*statements)

    def connect(self, password: Secret | None = None) -> Any:
        """A `pymysql` connection; whoever asks closes it."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=self.name,
            password=(password or self.password).reveal(),
            ssl_disabled=True,
        )


@contextmanager
def running(*options: str) -> Iterator[MariaDB]:
    """A server started with `options` besides its own."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    server = None
    try:
        server = MariaDB(folder, *options)
        server.wait()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with running() as server:
        yield server


@pytest.fixture
def new_account(mariadb: MariaDB) -> Callable[..., Account]:
    return lambda options="": Account(mariadb, options)


@pytest.fixture
def account(mariadb: MariaDB) -> Account:
    return Account(mariadb)


def url_of(server: MariaDB, **changes: Any) -> DatabaseURL:
    fields: dict[str, Any] = {
        "engine": "mariadb",
        "scheme": "mariadb",
        "host": "127.0.0.1",
        "port": server.port,
        "database": "",
        "sslmode": "disable",
        "sslrootcert": None,
    }
    return DatabaseURL(**{**fields, **changes})
