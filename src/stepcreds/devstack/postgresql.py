"""A real PostgreSQL on loopback, empty but for its superuser; what is inside it is the business of others."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from stepcreds.clock import Clock, SystemClock
from stepcreds.devstack import installed, unprivileged
from stepcreds.devstack.process import ServerProcess, free_port, private_folder
from stepcreds.secret import Secret

SUPERUSER = "postgres"


class PostgreSQL:
    """`with PostgreSQL() as server:` — `server.port` of 127.0.0.1 answers to `postgres` with `server.password`.

    TCP only, SCRAM-SHA-256 only; with `tls=True` TLS only, and `ca_cert` is the authority's certificate. `programs` is
    a folder with PostgreSQL's `bin`: by default that of the `demo` extra, with TLS the operating system's. `statistics`
    loads pg_stat_statements, which a database has after CREATE EXTENSION. Started by root it runs as `nobody`, because
    the server refuses to run as root. `launch` and `wait` are the two halves of starting, for a caller that has
    something to do meanwhile. Raises `UnsupportedError` if PostgreSQL is not installed.
    """

    def __init__(
        self,
        *,
        max_connections: int = 300,
        tls: bool = False,
        statistics: bool = False,
        programs: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._programs = programs or (installed.postgresql_with_tls() if tls else installed.postgresql())
        self._clock = clock or SystemClock()
        self._max_connections = max_connections
        self._statistics = statistics
        self.tls = tls
        self.password = Secret(secrets.token_urlsafe(24))
        self.host = "127.0.0.1"
        self.port = free_port()
        self._owner = unprivileged.nobody() if os.geteuid() == 0 else None
        self.folder = private_folder("postgresql", unprivileged.reachable_temporary_folder(self._owner))
        self.ca_cert = self.folder / "ca.pem" if tls else None
        self.process: ServerProcess | None = None

    def launch(self) -> None:
        """Start `initdb`, which takes a second, and after it the server, without waiting for either."""
        programs, data = self._programs, self.folder / "data"
        if self._owner is not None:
            if not unprivileged.passable(programs / "bin"):
                programs = unprivileged.copy_programs(programs, self.folder)
            os.chown(self.folder, *self._owner)
        password_file = self._write("password", self.password.reveal().encode())
        initdb = [
            str(programs / "bin" / "initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        postgres = [str(programs / "bin" / "postgres"), "-D", str(data), f"--config-file={self._configure()}"]
        then = f"{shlex.join(initdb)} && rm {shlex.quote(str(password_file))} && exec {shlex.join(postgres)}"
        self.process = ServerProcess(
            "postgresql",
            ["/bin/sh", "-c", then],
            folder=self.folder,
            environment={"HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            stop_signal=signal.SIGQUIT,  # "immediate shutdown": the backends end too, and shared memory is given back
            owner=self._owner,
            secret=self.password,
        )

    def wait(self, timeout: float = 120.0) -> None:
        """Until the superuser can log in. Raises `StepcredsError` if `initdb` fails, or after `timeout` seconds."""
        if self.process is None:
            self.launch()
        if self.process is not None:
            self.process.wait_until(self._answers, timeout=timeout, clock=self._clock)

    def stop(self) -> None:
        """End the server and remove its folder. Safe to call again, and without a start."""
        if self.process is not None:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, user: str = SUPERUSER, password: Secret | None = None, database: str = "postgres") -> Any:
        """A `pg8000.native.Connection`, by default the superuser's; whoever asks closes it.

        Raises what pg8000 raises: this is for the stack, the demo and tests, never for a step.
        """
        import ssl

        from pg8000.native import Connection

        context = ssl.create_default_context(cafile=str(self.ca_cert)) if self.tls else False
        return Connection(
            user,
            host=self.host,
            port=self.port,
            database=database,
            password=(password or self.password).reveal(),
            timeout=30,
            ssl_context=context,
        )

    def __enter__(self) -> PostgreSQL:
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self) -> Path:
        clients = "hostssl" if self.tls else "host"
        hba = self._write("pg_hba.conf", f"{clients} all all {self.host}/32 scram-sha-256\n".encode())
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "hba_file": hba,
            "max_connections": self._max_connections,
            "password_encryption": "scram-sha-256",
            # Everything here is thrown away with the folder: what survives a power cut does not matter.
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "jit": "off",
        }
        if self._statistics:
            settings["shared_preload_libraries"] = "pg_stat_statements"
        if self.tls:
            from stepcreds.devstack import certificates

            made = certificates.make(self._clock.now())
            self._write("ca.pem", made.authority)
            settings["ssl"] = "on"
            settings["ssl_cert_file"] = self._write("server.pem", made.certificate)
            settings["ssl_key_file"] = self._write("server.key", made.key)
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        return self._write("postgresql.conf", "".join(lines).encode())

    def _write(self, name: str, content: bytes) -> Path:
        """A file for the server's user alone."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._owner is not None:
            os.chown(path, *self._owner)
        return path

    def _answers(self) -> bool:
        from pg8000.exceptions import DatabaseError, InterfaceError

        try:
            with closing(self.connect()):
                return True
        except (DatabaseError, InterfaceError, OSError):
            return False
