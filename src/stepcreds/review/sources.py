"""Where the ledgers are that a reviewer names: files, folders, patterns and object stores, as files of this machine."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from stepcreds.config.store_url import StoreURL, is_url, store_url
from stepcreds.errors import UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.checkpoint import SUFFIX
from stepcreds.printable import one_line

Tell = Callable[[int, int], None]  # done, of how many


class Source(NamedTuple):
    """One chain's file."""

    name: str  # as the reviewer knows it: a path, or the URL of an object
    path: Path  # where it can be read, its checkpoints beside it; nothing is there of an object that cannot be had
    findings: tuple[Finding, ...] = ()  # what its store says of it


def local(files: Iterable[Path]) -> list[Source]:
    """Files of this machine, each under its own path."""
    return [Source(str(file), file) for file in files]


@contextmanager
def opened(places: Sequence[str], tell: Tell | None = None) -> Iterator[list[Source]]:
    """The chains in `places`, by name; what had to be fetched is removed afterwards. `tell`: how far that is.

    A folder is searched to its depths. Raises `UsageError` for a place that is not there.
    """
    with ExitStack() as stack:
        yield [
            source
            for place in places
            for source in (stack.enter_context(_fetched(store_url(place), tell)) if is_url(place) else _in(place))
        ]


@contextmanager
def _fetched(url: StoreURL, tell: Tell | None) -> Iterator[list[Source]]:
    """The chains below `url`, in a folder that nobody else can read."""
    from stepcreds.storage.pull import pull

    with TemporaryDirectory(prefix="stepcreds-") as folder:
        pulled = pull(url, Path(folder), suffixes=(".jsonl", SUFFIX), tell=tell)
        findings: dict[str, list[Finding]] = {}
        for finding in pulled.findings:
            # Of its checkpoints: with the chain.
            chain = f"{finding.file.removesuffix(SUFFIX)}.jsonl" if finding.file.endswith(SUFFIX) else finding.file
            findings.setdefault(chain, []).append(finding)
        found = {str(each.held.url): each.file for each in pulled.files if each.file.suffix == ".jsonl"}
        nothing = Path(folder, "none")
        names = sorted({*found, *findings})
        yield [Source(name, found.get(name, nothing), tuple(findings.get(name, ()))) for name in names]


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
