"""A command that writes down each signal it gets: signal_log.py FILE [NAME=EXIT_CODE …]; some of them end it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

ENDS = dict(argument.split("=") for argument in sys.argv[2:])


def log(text: str) -> None:
    with open(sys.argv[1], "a") as file:  # noqa: PTH123 - as short as it gets
        file.write(text + "\n")


def on_signal(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    log(name)
    if name in ENDS:
        os._exit(int(ENDS[name]))


for caught in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH"):
    signal.signal(signal.Signals[caught], on_signal)
log(f"ready {os.getpid()}")
while True:
    signal.pause()
