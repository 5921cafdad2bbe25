"""Several ledgers checked at once, each by a process of its own; what is checked is not decided here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from stepcreds.review.sources import Source
from stepcreds.review.verification import Asked, Verified, verify_file

_asked = Asked(None, False, None)  # of this process


def in_processes(sources: list[Source], asked: Asked, count: int) -> Iterator[Verified]:
    """The results in the order of `sources`. Where a process is killed, this one goes on alone."""
    done = 0
    # Forked: a new interpreter would import the program it was started as, which is this command.
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(asked,)) as pool:
            chunk = max(1, min(64, len(sources) // (8 * count)))
            try:
                for result in pool.map(_verify, sources, chunksize=chunk):
                    done += 1
                    yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        for source in sources[done:]:
            yield verify_file(source, asked)


def _begin(asked: Asked) -> None:
    global _asked  # noqa: PLW0603 - handed over once, and not with each of thousands of files
    _asked = asked


def _verify(source: Source) -> Verified:
    return verify_file(source, _asked)
