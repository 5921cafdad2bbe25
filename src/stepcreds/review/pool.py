"""Several ledgers checked at once, by processes that each take their share; what is checked is not decided here.

No threads and no queues: Python's own pools lose an interrupt, or wait for a process that is gone, as it was killed at
one moment or another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

from stepcreds.review.sources import Source
from stepcreds.review.verification import Asked, Verified, verify_file


def in_processes(sources: list[Source], asked: Asked, count: int) -> Iterator[Verified]:
    """The results in the order of `sources`. What a process that was killed had still to do is done by this one."""
    # Forked: a new interpreter would import the program it was started as, which is this command.
    context = multiprocessing.get_context("fork")
    processes, readers = [], []
    try:
        # Between a fork and the list of what was forked nothing may come.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for number in range(count):
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=_verify, args=(writer, sources[number::count], asked), daemon=True)
                process.start()
                writer.close()
                processes.append(process)
                readers.append(reader)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for index, source in enumerate(sources):
            yield _next(readers[index % count]) or verify_file(source, asked)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for reader in readers:
            reader.close()


def _next(reader: Connection) -> Verified | None:
    try:
        result = reader.recv()
    except (EOFError, OSError):
        return None
    return result if isinstance(result, Verified) else None


def _verify(writer: Connection, sources: list[Source], asked: Asked) -> None:
    # An interrupt of the terminal reaches all processes: this one has nothing to say about it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        for source in sources:
            writer.send(verify_file(source, asked))
    except Exception:  # noqa: BLE001 - the other process meets it again, and can say so
        os._exit(1)
