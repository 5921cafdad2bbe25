"""The worker's life without its front: it lets go of the CI's files, and ends with whatever the runner ends.

It does not end the command, nor a credential; whoever else learns of the front's death does that.
"""

from __future__ import annotations

import errno
import os
import signal
import threading

_ENDED_BY_THE_RUNNER = 1  # the exit code; nobody waits for it


class Lifeline:
    """A pipe that nobody writes to, whose other end is the front's: it comes to an end with the front."""

    def __init__(self, descriptor: int, inherited: tuple[int, ...], nowhere: int) -> None:
        """`inherited` are the files that came from the CI; `nowhere` is /dev/null."""
        self._descriptor = descriptor
        self._inherited = inherited
        self._nowhere = nowhere
        self._has_started = False
        self._no_command = threading.Event()
        self._no_command.set()

    def watch(self) -> None:
        """Waits for that end from now on, in a thread. Raises `OSError` where the machine has none left to give."""
        # A signal must reach the main thread, which is blocking what it handles just now, and not this one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            threading.Thread(target=self._watch, daemon=True).start()
        except RuntimeError:  # it says no more than that
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def let_go(self) -> None:
        """The CI waits for the end of its files as much as for the front; what is still written goes nowhere."""
        for descriptor in self._inherited:
            os.dup2(self._nowhere, descriptor, inheritable=True)

    def command_starts(self) -> None:
        self._no_command.clear()
        self._has_started = True

    def command_is_over(self) -> None:
        self._no_command.set()

    def _watch(self) -> None:
        """In a thread of its own, because the main one may be inside a name server's silence when the front dies: lets
        go of the CI's files; and, once there is no command, of everything as soon as the runner ends what is left."""
        os.read(self._descriptor, 1)
        self.let_go()
        from stepcreds.config.environment import own_environment
        from stepcreds.process.tether import cookies, wait_with_tether

        found = cookies(own_environment())
        while found:
            has_started = self._has_started
            self._no_command.wait()
            if has_started != self._has_started:
                continue
            if not wait_with_tether(found):
                return
            # Whoever ends the tree of a command that was started since ends the tether with it.
            if has_started == self._has_started:
                os._exit(_ENDED_BY_THE_RUNNER)
