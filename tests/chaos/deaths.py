"""Watches a database for the users that OpenBao issues, and tells for how long they lived."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from types import TracebackType

from pg8000.exceptions import DatabaseError, InterfaceError
from pymysql.err import MySQLError

from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack

_LOOK = 0.02  # seconds
_DEADLINE = 180.0  # seconds; longer than any credential of the tests may live


Look = Callable[[], set[str]]  # the users that are there
Looking = Callable[[], "AbstractContextManager[Look]"]  # over a connection of its own


@contextmanager
def at_postgresql(stack: Stack) -> Iterator[Look]:
    with closing(stack.connect(SUPERUSER, stack.postgresql.password)) as connection:
        query = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'v-%'"
        yield lambda: {str(row[0]) for row in connection.run(query)}


class Deaths:
    """`with Deaths(looking) as deaths:` sees every user that appears in the block. Where other steps issue on the same
    server meanwhile, `after` is to be told whose deaths are meant. A server that is restarted is asked again."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self._stop = threading.Event()
        with looking() as look:
            self._before = look()
        self._last: dict[str, float] = {}  # user -> monotonic second at which it was last seen
        self._looked = threading.Condition()
        self._alive: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def users(self) -> set[str]:
        """All that were ever seen."""
        return set(self._last)

    def after(self, moment: float, among: Collection[str] | None = None) -> float | None:
        """Seconds from `moment` (monotonic) until the last user, of all or of those `among` them, was gone, at least 0;
        None where there never was one.

        Waits for it.
        """
        deadline = time.monotonic() + _DEADLINE
        self._look_again()
        while alive := self._alive if among is None else self._alive.intersection(among):
            assert time.monotonic() < deadline, f"still alive: {alive}"
            self._look_again()
        last = [seen for user, seen in self._last.items() if among is None or user in among]
        return max(0.0, max(last) - moment) if last else None

    def _look_again(self) -> None:
        """Wait for a look that began after this call."""
        with self._looked:
            for _ in range(2):
                assert self._looked.wait(30), "the server was not asked"

    def _watch(self) -> None:
        while not self._stop.is_set():
            # A server that is restarted, full, or stopped for a while: the drivers say so in ways of their own.
            with suppress(DatabaseError, InterfaceError, MySQLError, OSError, struct.error):
                self._ask()
            self._stop.wait(_LOOK)

    def _ask(self) -> None:
        with self._looking() as look:
            while not self._stop.wait(_LOOK):
                alive = look() - self._before
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
