"""Tells on a terminal how far something is that takes its time; in a log it says nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, int], None]  # done, of how many
PAUSE = 0.1  # seconds between two lines


@contextmanager
def progress(label: str) -> Iterator[Tell]:
    """`tell(done, total)` writes one line on stderr over the last; it is gone at the end. Any thread may call it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    last = [0.0]

    def tell(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= PAUSE:
            last[0] = now
            sys.stderr.write(f"\r\x1b[K{label} {done:,} of {total:,}")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
