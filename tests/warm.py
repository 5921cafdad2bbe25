"""stepcreds as a process of its own, without the seconds that its libraries take to be imported each time.

`with Warm("s3fs") as run:` starts a Python that has imported stepcreds' commands and those modules, and no more. For each
call it forks: the command has an environment, a working folder, descriptors and an exit code of its own, and its memory
ends with it. What start-up itself does (isolation, `-m`, PYTHON… and the locale, signals before the first line) is tried
elsewhere. What a module reads of the environment while it is imported, it reads in here, once.

This file is that Python's program, too.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO

COMMANDS = ("stepcreds.cli.group",)


class Warm:
    """Calls may come from several threads at once."""

    def __init__(self, *modules: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._address = str(Path(self._folder.name, "socket"))
        environment = {
            "PATH": os.defpath,
            "HOME": self._folder.name,
            # Google's library reads it while it is imported; nobody's metadata are to be asked.
            "GCE_METADATA_HOST": "127.0.0.1:1",
        }
        arguments = [sys.executable, "-I", __file__, self._address, *COMMANDS, *modules]
        self._process = subprocess.Popen(arguments, env=environment, stdin=subprocess.PIPE)

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def __call__(
        self, *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float = 120, code: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """What the command said and ended with. `code`: a program that runs in its place, with these arguments."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            self._connected() as connection,
        ):
            connection.settimeout(timeout)
            request = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "code": code}
            socket.send_fds(connection, [b"\n"], [out.fileno(), err.fileno()])
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            ended = int(connection.recv(10))
            return subprocess.CompletedProcess(arguments, ended, _read(out), _read(err))

    def _connected(self) -> socket.socket:
        """Its libraries are imported before it listens."""
        deadline = time.monotonic() + 120
        while True:
            connection = socket.socket(socket.AF_UNIX)
            with suppress(OSError):
                connection.connect(self._address)
                return connection
            connection.close()
            assert self._process.poll() is None, "the Python that was to be warm has ended: stderr says why"
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _require_this_checkout() -> None:
    """The folders of the test session are not this Python's: it takes the stepcreds that is installed."""
    own, taken = Path(__file__).resolve().parents[1], Path(str(import_module("stepcreds").__file__)).resolve().parent
    if taken != own / "src/stepcreds":
        sys.exit(f"{__file__}: stepcreds would be that of {taken}, and the tests are those of {own}")


def _serve(address: str, modules: list[str]) -> str:
    """Returns in the command's own process, made what it was asked to be; the program that runs instead of stepcreds."""
    for name in modules:
        import_module(name)
    _require_this_checkout()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
        while True:
            if 0 in select.select([0, listener.fileno()], [], [])[0]:
                os._exit(0)  # whoever started this is gone
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                break
            connection.close()
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
    text = b""
    while piece := connection.recv(65536):
        text += piece
    command = os.fork()
    if command:
        _, status = os.waitpid(command, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *descriptors)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    request = json.loads(text)
    os.chdir(request["cwd"])
    os.environ.clear()  # noqa: TID251 - what a start of the process would have done
    os.environ.update(request["env"])  # noqa: TID251
    time.tzset()
    sys.argv = ["stepcreds", *request["arguments"]]
    program: str = request["code"]
    return program


if __name__ == "__main__":
    exec(_serve(sys.argv[1], sys.argv[2:]) or "from stepcreds.cli import main; main()", {"__name__": "__main__"})  # noqa: S102
