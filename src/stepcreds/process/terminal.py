"""Who has the keyboard: lends the controlling terminal to the command's process group, and takes it back.

It decides nothing about stopping or continuing a process. termios(3), tcsetpgrp(3), "job control" in credentials(7).
"""

from __future__ import annotations

import os
import signal
import stat
from typing import Any


class Terminal:
    """The controlling terminal, in the hands of a process that ignores SIGTTOU."""

    def __init__(self, descriptor: int, front_group: int) -> None:
        self._descriptor = descriptor
        self._front_group = front_group
        self._lent_to = 0
        self._modes: list[Any] = []

    @classmethod
    def find(cls, front_group: int) -> Terminal | None:
        """The terminal that controls this session; None if there is none, as in most CIs."""
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), front_group)
        except OSError:
            return None

    def close(self) -> None:
        """Lets go of it."""
        os.close(self._descriptor)

    def lend(self, group: int) -> bool:
        """Makes `group` the foreground if the front's group is; whether `group` is the foreground now."""
        import termios

        try:
            # The modes before the first time: later ones, after a stop, can be the command's own.
            self._modes = self._modes or termios.tcgetattr(self._descriptor)
            foreground = os.tcgetpgrp(self._descriptor)
            if foreground == self._front_group:
                os.tcsetpgrp(self._descriptor, group)
                self._lent_to = group
                return True
        except (OSError, termios.error):  # hung up
            return False
        return foreground == group

    def take_back(self, *, repair: bool = False) -> None:
        """Makes the front's group the foreground again, if the terminal was lent and no shell has taken it since.

        `repair` sets the modes that were found: a program that is killed leaves a terminal without echo behind.
        """
        import termios

        lent_to, self._lent_to = self._lent_to, 0
        if not lent_to:
            return
        try:
            foreground = os.tcgetpgrp(self._descriptor)
            if foreground not in (lent_to, self._front_group) and _is_alive(foreground):
                return
            os.tcsetpgrp(self._descriptor, self._front_group)
            if repair:
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._modes)
        except (OSError, termios.error):  # hung up: nobody is there to miss it
            pass


def expects_keyboard() -> bool:
    """Whether a command with our standard input and output is one that people type at.

    At the end of a pipeline, or before a pager, it is not: there the other programs of the group need the terminal.
    """
    try:
        return os.isatty(0) and not stat.S_ISFIFO(os.fstat(1).st_mode)
    except OSError:
        return False


def reclaim_terminal() -> None:
    """Makes this process's group the foreground if the group that is has died, as one does whose worker was killed."""
    terminal = Terminal.find(os.getpgrp())
    if terminal is None:
        return
    try:
        if not _is_alive(os.tcgetpgrp(terminal._descriptor)):
            # A background process may do this only while it cannot be stopped for it.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
            os.tcsetpgrp(terminal._descriptor, os.getpgrp())
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    except OSError:
        pass
    finally:
        terminal.close()


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
