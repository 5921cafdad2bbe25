"""Watches PostgreSQL for the users that OpenBao issues, and tells for how long they lived."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from types import TracebackType

from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack

_LOOK = 0.02  # seconds
_DEADLINE = 180.0  # seconds; longer than any credential of the tests may live


class Deaths:
    """`with Deaths(stack) as deaths:` sees every user that appears in the block; all are gone when the block ends, or it
    fails. Other steps must not issue on the same stack meanwhile."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._before = stack.issued_roles()
        self._last: dict[str, float] = {}  # user -> monotonic second at which it was last seen
        self._looked = threading.Condition()
        self._alive: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def users(self) -> set[str]:
        """All that were ever seen."""
        return set(self._last)

    def after(self, moment: float) -> float | None:
        """Seconds from `moment` (monotonic) until the last user was gone, at least 0; None where there never was one.

        Waits for it.
        """
        deadline = time.monotonic() + _DEADLINE
        self._look_again()
        while self._alive:
            assert time.monotonic() < deadline, f"still alive: {self._alive}"
            self._look_again()
        return max(0.0, max(self._last.values()) - moment) if self._last else None

    def _look_again(self) -> None:
        """Wait for a look that began after this call."""
        with self._looked:
            for _ in range(2):
                assert self._looked.wait(30), "PostgreSQL was not asked"

    def _watch(self) -> None:
        with closing(self._stack.connect(SUPERUSER, self._stack.postgresql.password)) as connection:
            while not self._stop.wait(_LOOK):
                rows = connection.run("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'v-%'")
                alive = {str(row[0]) for row in rows} - self._before
                with self._looked:
                    self._last |= dict.fromkeys(alive, time.monotonic())
                    self._alive = alive
                    self._looked.notify_all()

    def __enter__(self) -> Deaths:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
