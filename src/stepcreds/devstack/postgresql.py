"""A real PostgreSQL on loopback, empty but for its superuser; what is inside it is the business of others."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from stepcreds.clock import Clock, SystemClock
from stepcreds.devstack import installed
from stepcreds.devstack.process import ServerProcess, free_port, private_folder
from stepcreds.errors import StepcredsError, UnsupportedError
from stepcreds.printable import printable
from stepcreds.secret import Secret

SUPERUSER = "postgres"
_INITDB_TIMEOUT = 60.0  # seconds


class PostgreSQL:
    """`with PostgreSQL() as server:` — `server.port` of 127.0.0.1 answers to `postgres` with `server.password`.

    TCP only, SCRAM-SHA-256 only; with `tls=True` TLS only, and `ca_cert` is the authority's certificate. `programs` is
    a folder with PostgreSQL's `bin`: by default that of the `demo` extra, with TLS the operating system's. Started by
    root it runs as `nobody`, because the server refuses to run as root. `launch` and `wait` are the two halves of
    starting, for a caller that has something to do meanwhile. Raises `UnsupportedError` if PostgreSQL is not installed.
    """

    def __init__(
        self,
        *,
        max_connections: int = 300,
        tls: bool = False,
        programs: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._programs = programs or (installed.postgresql_with_tls() if tls else installed.postgresql())
        self._clock = clock or SystemClock()
        self._max_connections = max_connections
        self.tls = tls
        self.password = Secret(secrets.token_urlsafe(24))
        self.host = "127.0.0.1"
        self.port = free_port()
        self._owner = _nobody() if os.geteuid() == 0 else None
        self.folder = private_folder("postgresql", _base(self._owner))
        self.ca_cert = self.folder / "ca.pem" if tls else None
        self.process: ServerProcess | None = None

    def launch(self) -> None:
        """Make the database cluster (about a second) and start the server without waiting for it.

        Raises `StepcredsError` if `initdb` fails.
        """
        programs = self._programs
        if self._owner is not None and not _passable(programs / "bin"):
            programs = _copy(programs, self.folder)
        data = self.folder / "data"
        if self._owner is not None:
            os.chown(self.folder, *self._owner)
        self._initialise(programs, data)
        self._configure(data)
        self.process = ServerProcess(
            "postgresql",
            [str(programs / "bin" / "postgres"), "-D", str(data)],
            folder=self.folder,
            environment=_environment(self.folder),
            stop_signal=signal.SIGQUIT,  # "immediate shutdown": the backends end too, and shared memory is given back
            owner=self._owner,
            secret=self.password,
        )

    def wait(self, timeout: float = 30.0) -> None:
        """Until the superuser can log in. Raises `StepcredsError` if it cannot within `timeout` seconds."""
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

    def _initialise(self, programs: Path, data: Path) -> None:
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password.reveal())
        if self._owner is not None:
            os.chown(password_file, *self._owner)
        user, group = self._owner or (None, None)
        finished = subprocess.run(
            [
                str(programs / "bin" / "initdb"),
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            cwd=self.folder,
            env=_environment(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INITDB_TIMEOUT,
            check=False,
        )
        password_file.unlink()
        if finished.returncode != 0:
            said = printable(finished.stderr.decode(errors="replace").strip())
            raise StepcredsError("initdb could not make a database cluster.", cause=said, docs="demo-servers")

    def _configure(self, data: Path) -> None:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self._max_connections,
            "password_encryption": "scram-sha-256",
            # Everything here is thrown away with the folder: what survives a power cut does not matter.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "jit": "off",
        }
        if self.tls:
            self._write_certificate()
            settings |= {
                "ssl": "on",
                "ssl_cert_file": f"{self.folder}/server.pem",
                "ssl_key_file": f"{self.folder}/server.key",
            }
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        kind = "hostssl" if self.tls else "host"
        (data / "pg_hba.conf").write_text(f"{kind} all all {self.host}/32 scram-sha-256\n")

    def _write_certificate(self) -> None:
        from stepcreds.devstack import certificates

        made = certificates.make(self._clock.now())
        for name, content in (("ca.pem", made.authority), ("server.pem", made.certificate), ("server.key", made.key)):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
            if self._owner is not None:
                os.chown(path, *self._owner)

    def _answers(self) -> bool:
        from pg8000.exceptions import DatabaseError, InterfaceError

        try:
            with closing(self.connect()):
                return True
        except (DatabaseError, InterfaceError, OSError):
            return False


def _environment(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise UnsupportedError(
            "PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it as.",
            fix="Run as another user than root.",
            docs="demo-servers",
        ) from None
    return entry.pw_uid, entry.pw_gid


def _passable(path: Path) -> bool:
    """Whether a user who owns nothing here, and is in nobody's group, gets as far as `path`."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _base(owner: tuple[int, int] | None) -> Path | None:
    """A temporary folder that `owner` can get into; None where the system's own will do."""
    system = Path(tempfile.gettempdir()).resolve()
    if owner is None or _passable(system):
        return None
    return next((path for path in (Path("/tmp"), Path("/var/tmp")) if path.is_dir() and _passable(path)), None)  # noqa: S108 - private_folder makes its own below


def _copy(programs: Path, folder: Path) -> Path:
    """The programs in `folder`, with the shared libraries beside their package that they look for by relative path."""
    package = programs.parent
    target = folder / "programs"
    shutil.copytree(programs, target / package.name / programs.name, ignore=shutil.ignore_patterns("include"))
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        mode = path.stat().st_mode  # installed with a umask of 077, not even the files are for others
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)
    return target / package.name / programs.name
