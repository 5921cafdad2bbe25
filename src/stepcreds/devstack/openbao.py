"""A real OpenBao on loopback, in development mode with a file audit device; it configures nothing inside it."""

from __future__ import annotations

import secrets
import shutil
import signal
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

from stepcreds.clock import Clock, SystemClock
from stepcreds.devstack import installed
from stepcreds.devstack.process import ServerProcess, free_port, private_folder
from stepcreds.secret import Secret


class OpenBao:
    """`with OpenBao() as bao:` — `bao.address` answers, `bao.root_token` is its root token.

    The audit device is declared in the configuration because OpenBao refuses to make one through its API
    (https://openbao.org/docs/configuration/audit/). `launch` and `wait` are the two halves of starting, for a caller
    that has something to do meanwhile.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.root_token = Secret(secrets.token_urlsafe(24))
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.folder = private_folder("openbao")
        self.audit_log = self.folder / "audit.log"
        self.process: ServerProcess | None = None

    def launch(self) -> None:
        """Start the server without waiting for it. Raises `UnsupportedError` if OpenBao is not installed."""
        config = self.folder / "openbao.hcl"
        config.write_text(_config(self.audit_log))
        self.process = ServerProcess(
            "openbao",
            [
                str(installed.bao()),
                "server",
                "-dev",
                f"-dev-listen-address=127.0.0.1:{self.port}",
                "-dev-no-store-token",
                f"-config={config}",
            ],
            folder=self.folder,
            # Not in argv, which every user of the machine can read.
            environment={"BAO_DEV_ROOT_TOKEN_ID": self.root_token.reveal(), "HOME": str(self.folder)},
            stop_signal=signal.SIGKILL,  # it keeps everything in memory: there is nothing to shut down
            secret=self.root_token,
        )

    def wait(self, timeout: float = 60.0) -> None:
        """Until it knows our root token. Raises `StepcredsError` if it does not within `timeout` seconds."""
        if self.process is None:
            self.launch()
        if self.process is not None:
            self.process.wait_until(self._answers, timeout=timeout, clock=self._clock)

    def stop(self) -> None:
        """End the server and remove its folder. Safe to call again, and without a start."""
        if self.process is not None:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> OpenBao:
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

    def _answers(self) -> bool:
        # Another server that took our port in between does not know the token.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v1/auth/token/lookup-self", headers={"X-Vault-Token": self.root_token.reveal()})
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def _config(audit_log: Path) -> str:
    return f"""\
audit "file" "file" {{
  description = "every request and answer, one JSON object a line"
  options {{
    file_path = "{audit_log}"
  }}
}}
"""
