"""Several ledgers checked at once, each by a process of its own; what is checked is not decided here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from stepcreds.review.sources import Source
from stepcreds.review.verification import Verified, verify_file
from stepcreds.trust.keys import Trust

_trust: Trust | None = None  # of this process


def in_processes(sources: list[Source], trust: Trust | None, keep: bool, count: int) -> Iterator[Verified]:
    """The results in the order of `sources`. Where a process is killed, this one goes on alone."""
    done = 0
    # Forked: a new interpreter would import the program it was started as, which is this command.
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(trust,)) as pool:
            chunk = max(1, min(64, len(sources) // (8 * count)))
            try:
                for result in pool.map(_verify, [(source, keep) for source in sources], chunksize=chunk):
                    done += 1
                    yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        for source in sources[done:]:
            yield verify_file(source, trust, keep)


def _begin(trust: Trust | None) -> None:
    global _trust  # noqa: PLW0603 - handed over once, and not with each of thousands of files
    _trust = trust


def _verify(task: tuple[Source, bool]) -> Verified:
    return verify_file(task[0], _trust, task[1])
