"""A small process between a server and whoever started it: when the starter ends, so do the server and its folder.

Run by path with `python -I -S`, so it imports the standard library alone. `PR_SET_PDEATHSIG` straight on the server
would not do: it is sent when the *thread* that forked ends (prctl(2)), nothing would remove the folder, and a Ctrl-C on
the terminal would reach the server before its starter has tidied up.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1
_GRACE = 5.0  # seconds between the server's own stop signal and SIGKILL
_LOOK = 0.5  # seconds between two looks at who our parent is
_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def keep(argv: list[str], *, folder: str, parent: int, stop_signal: int, uid: int, gid: int) -> int:
    """Run the server as `uid`:`gid` (-1: as we are) until stdin is closed, a signal arrives, or `parent` is gone.

    Then the server is ended and `folder` removed. A server that ends by itself leaves its folder, with the log, to the
    starter. Returns the server's exit code, 128 + n for signal n.
    """
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in _HANDLED:
        signal.signal(number, lambda *_: None)
    server = os.fork()
    if server == 0:
        _become(argv, os.getppid(), stop_signal, uid, gid)
    while True:
        readable, _, _ = select.select([0, wake_read], [], [], _LOOK)
        signals = os.read(wake_read, 512) if wake_read in readable else b""
        if (code := _reap(server)) is not None:
            return code
        # The parent is looked at as well: a fork of it that never called exec holds stdin's other end open.
        if 0 in readable or any(number != signal.SIGCHLD for number in signals) or os.getppid() != parent:
            code = _end(server, stop_signal, wake_read)
            shutil.rmtree(folder, ignore_errors=True)
            return code


def _become(argv: list[str], keeper: int, stop_signal: int, uid: int, gid: int) -> None:
    try:
        signal.set_wakeup_fd(-1)
        for number in (*_HANDLED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if uid >= 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # After setuid, which clears it. The thread that forked is the keeper's only one.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
        if os.getppid() != keeper:
            return
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(argv[0], argv)  # noqa: S606 - no shell is the point: a signal must reach the server
    except OSError as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _reap(server: int) -> int | None:
    pid, status = os.waitpid(server, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _end(server: int, stop_signal: int, wake_read: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server, stop_signal)
    for _ in range(int(_GRACE / _LOOK)):
        if (code := _reap(server)) is not None:
            return code
        if select.select([wake_read], [], [], _LOOK)[0]:
            os.read(wake_read, 512)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server, signal.SIGKILL)
    os.waitpid(server, 0)
    return 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit(keep(**json.loads(sys.argv[1])))
