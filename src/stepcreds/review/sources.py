"""Where the ledgers are that a reviewer names: files, folders, patterns and object stores, as files of this machine."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stepcreds.errors import UsageError
from stepcreds.printable import one_line


class Source(NamedTuple):
    """One chain's file."""

    name: str  # as the reviewer knows it: a path, or the URL of an object
    path: Path  # where it can be read; its checkpoints are beside it


def local(files: Iterable[Path]) -> list[Source]:
    """Files of this machine, each under its own path."""
    return [Source(str(file), file) for file in files]


@contextmanager
def opened(places: Sequence[str]) -> Iterator[list[Source]]:
    """The chains in `places`, by name; what had to be fetched is removed afterwards.

    A folder is searched to its depths. Raises `UsageError` for a place that is not there.
    """
    yield [source for place in places for source in _in(place)]


def _in(place: str) -> list[Source]:
    path = Path(place)
    if path.is_dir():
        return local(sorted(path.rglob("*.jsonl")))
    if path.exists():
        return local([path])
    found = sorted(glob.glob(place, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise UsageError(
            f"There is no ledger at {one_line(place)}",
            cause="No step has written one yet, or it was removed.",
            fix="Name files, folders, patterns in quotes, or the URL of an object store.",
            docs="ledger",
        )
    return [source for each in found for source in _in(each)]
