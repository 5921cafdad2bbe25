"""Runs the work of a store's library where it can hang, talk and fail without the rest of the program.

The libraries log tracebacks and wait for threads of their own at the end; some ask for credentials with requests that
nothing can interrupt. So their work is done in a thread that nobody waits for longer than was said, without their logs.
A command that did any leaves without waiting for such threads (cli/__init__.py).
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

from stepcreds.config.store_url import StoreURL
from stepcreds.storage.fault import no_answer

T = TypeVar("T")
Beat = Callable[[], None]
STEP = 0.1  # seconds; how soon an interrupt, or the end of the patience, is seen


def within(seconds: float, url: StoreURL, work: Callable[[Beat], T]) -> T:
    """What `work` returns or raises. It is given something to call whenever it got further.

    Raises `LedgerError` where it got no further for so many seconds.
    """
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    until = [time.monotonic() + seconds]
    results: list[T] = []
    errors: list[BaseException] = []

    def beat() -> None:
        until[0] = time.monotonic() + seconds

    def run() -> None:
        try:
            results.append(work(beat))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    thread = threading.Thread(target=run, name="store", daemon=True)
    thread.start()
    while thread.is_alive():
        if time.monotonic() > until[0]:
            raise no_answer(url, seconds)
        thread.join(STEP)
    if errors:
        raise errors[0]
    return results[0]
