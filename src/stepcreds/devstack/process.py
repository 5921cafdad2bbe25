"""One server process in a folder of its own, that cannot outlive its starter; it knows no server's protocol."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stepcreds.clock import Clock
from stepcreds.devstack import keeper
from stepcreds.errors import StepcredsError
from stepcreds.printable import printable
from stepcreds.secret import Secret

_STOP_TIMEOUT = 15.0  # seconds; the keeper itself kills after 5
_LOG_TAIL = 1500  # bytes of the server's log in an error


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_folder(name: str, base: Path | None = None) -> Path:
    """A new folder, 0700, under `base` or the system's temporary folder."""
    return Path(tempfile.mkdtemp(prefix=f"stepcreds-{name}-", dir=base))


class ServerProcess:
    """A server started through `keeper`, so that it ends with this process, whatever ends this process.

    `folder` is removed when the server is stopped.
    Standard output and error go to `<folder>/<name>.log`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        stop_signal: signal.Signals,
        owner: tuple[int, int] | None = None,  # user and group id; None: as we are
        secret: Secret,  # the server may write it to its log; errors quote the log without it
    ) -> None:
        self.name = name
        self._secret = secret
        self.folder = folder
        self.log = folder / f"{name}.log"
        uid, gid = owner or (-1, -1)
        order = {
            "argv": list(argv),
            "folder": str(folder),
            "parent": os.getpid(),
            "stop_signal": int(stop_signal),
            "uid": uid,
            "gid": gid,
        }
        with self.log.open("wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(keeper.__file__)), json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,  # a Ctrl-C on the terminal is for the starter, which stops us in order
            )

    @property
    def pid(self) -> int:
        """The keeper's process id; the server is its only child."""
        return self._keeper.pid

    def wait_until(self, answers: Callable[[], bool], *, timeout: float, clock: Clock) -> None:
        """Ask `answers` until it says yes.

        If the server ends or `timeout` seconds pass, it is stopped and `StepcredsError` quotes the end of its log.
        """
        deadline = clock.monotonic() + timeout
        while True:
            if answers():
                return
            if (code := self._keeper.poll()) is not None:
                self._give_up(f"{self.name} ended with code {code} instead of answering.")
            if clock.monotonic() > deadline:
                self._give_up(f"{self.name} did not answer within {timeout:g} s.")
            clock.sleep(0.02)

    def stop(self) -> None:
        """End the server and remove its folder. Safe to call again."""
        if self._keeper.stdin is not None and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
        if self._keeper.poll() is None:
            self._keeper.send_signal(signal.SIGTERM)
            try:
                self._keeper.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._keeper.kill()  # PR_SET_PDEATHSIG takes the server along
                self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # the keeper does not if the server ended by itself

    def _give_up(self, what: str) -> None:
        tail = b""
        with suppress(OSError):
            tail = self.log.read_bytes()[-_LOG_TAIL:]
        self.stop()
        log = printable(tail.decode(errors="replace").strip()).replace(self._secret.reveal(), "***") or "nothing"
        raise StepcredsError(what, cause=f"The end of its log: {log}", docs="demo-servers")
