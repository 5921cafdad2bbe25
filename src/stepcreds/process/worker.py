"""The worker's own view of the pair: what it tells the front, and what it does when the front is gone.

It is not the life of the credential; that is the callable it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from stepcreds.process import kernel
from stepcreds.process.cancel import FRONT_DIED, Cancellation
from stepcreds.process.custody import Custodian, Custody, describe, encode, encode_holding
from stepcreds.process.lifeline import Lifeline
from stepcreds.process.wakeup import Wakeup

if TYPE_CHECKING:
    from stepcreds.model import Holding

_FRONT_IS_GONE = signal.SIGRTMIN  # nobody else uses it, and the command does not get it


class Worker:
    """One for each worker process, made in its main thread."""

    def __init__(self, channel: int, lifeline: Lifeline, front: int, front_group: int) -> None:
        """`channel` leads to the front.

        Raises `UnsupportedError` or `OSError` if this process cannot become what it has to be.
        """
        self.cancellation = Cancellation()
        self.front_gone = False
        self.front_group = front_group
        # What the command must not find ignored: Python ignores the first two, and Worker the terminal's.
        self.signals_to_restore: tuple[signal.Signals, ...] = (signal.SIGPIPE, signal.SIGXFSZ)
        self._channel = channel
        self._lifeline = lifeline
        self._front = front
        self._custodian = Custodian()
        self._telling = threading.Lock()
        self._main = threading.get_ident()
        self.wakeup = Wakeup()
        self._settle_in()

    def _settle_in(self) -> None:
        """Makes the process what it has to be, before anything is held. Signals are blocked until the end of it."""
        os.setpgid(0, 0)  # a signal to the front's group is for the front, and SIGKILL too spares the worker
        kernel.become_subreaper()
        # In the background, and yet it hands the terminal over, and speaks.
        if signal.signal(signal.SIGTTOU, signal.SIG_IGN) is not signal.SIG_IGN:
            self.signals_to_restore += (signal.SIGTTOU,)
        self.cancellation.install()
        signal.signal(_FRONT_IS_GONE, self._on_front_gone)
        kernel.notify_of_parent_death(_FRONT_IS_GONE)
        self._lifeline.watch()
        if os.getppid() != self._front:
            self._lose_front()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def hold(self, holding: Holding) -> None:
        """From now on `holding` is ended whatever happens to this process; replaces the one of the same credential.

        Returns only when it is in the front's hands: what is in the channel stays readable after a death.
        """
        self._tell({"hold": encode_holding(holding)})

    def release(self, credential_uid: str) -> None:
        """That holding has been ended, and is on record."""
        self._tell({"release": credential_uid})

    def keep_folder(self, path: str) -> None:
        """`path` is a private folder that has to be removed."""
        self._tell({"keep_folder": path})

    def forget_folder(self, path: str) -> None:
        """`path` has been removed."""
        self._tell({"forget_folder": path})

    def starting(self) -> None:
        """The command is started now."""
        self._lifeline.command_starts()
        self._tell({"started": True})

    def over(self) -> None:
        """Nothing of the command runs any more, as far as that can be had; or it could not be started."""
        self._lifeline.command_is_over()

    def ending(self, code: int | None = None) -> None:
        """Nothing is left to do but to end what is held: the front need not wait for that for ever. With `code` even
        that is done: the step is to exit with it."""
        self._tell({"ending": code})

    def suspend(self) -> None:
        """Asks the front to stop, with its process group, as Ctrl-Z would; SIGCONT arrives when it goes on."""
        self._tell({"suspend": True})

    def custody(self, reason: str) -> Custody:
        """What is held now, as the front knows it too."""
        return self._custodian.custody(reason)._replace(front_gone=self.front_gone)

    def run(self, life: Callable[[Worker], int], take_over: Callable[[Custody], int]) -> int:
        """The exit code of `life`, or of `take_over` if `life` fails with nobody else left to do it.

        Raises whatever `life` raised if the front is there to take over.
        """
        try:
            return life(self)
        except BaseException as error:  # noqa: BLE001 - anything at all means that something may still be held
            if not self.front_gone:
                self._tell({"failed": describe(error)})
                raise
            return take_over(self.custody(describe(error)))

    def say_goodbye(self, code: int) -> None:
        """Everything has been done; the front is to end with `code`."""
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError):  # nobody reads it any more; the exit code says what there is to say
                stream.flush()
        self._tell({"done": code})

    def _tell(self, message: dict[str, Any]) -> None:
        # A signal between sending and noting it down would leave the two halves with different accounts.
        in_main = threading.get_ident() == self._main
        with self.cancellation.deferred() if in_main else nullcontext(), self._telling:
            self._custodian.note(message)
            data = encode(message)
            try:
                while data and not self.front_gone:
                    data = data[os.write(self._channel, data) :]
            except OSError:
                if in_main:  # another thread must not be the one that is interrupted; the signal is on its way
                    self._lose_front()

    def _on_front_gone(self, number: int, frame: FrameType | None) -> None:
        if os.getppid() != self._front:
            self._lose_front()

    def _lose_front(self) -> None:
        if self.front_gone:
            return
        self.front_gone = True
        self._lifeline.let_go()
        self.cancellation.request(FRONT_DIED)
