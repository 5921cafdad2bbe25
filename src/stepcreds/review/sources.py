"""Where the ledgers are that a reviewer names: files, folders, patterns and object stores, as files of this machine."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from stepcreds.config.store_url import StoreURL, is_url, store_url
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.checkpoint import SUFFIX, beside
from stepcreds.printable import one_line
from stepcreds.seals.seal import TABLE_SUFFIX

# What stepcreds itself puts beside a chain, and a pattern such as `folder/*` means as well.
_BESIDE = re.compile(r"\.jsonl\.(pushed|torn-[0-9a-f]{12})\Z")
ORPHAN = "orphan"  # the code of a finding: checkpoints without their chain

Tell = Callable[[int, int], None]  # done, of how many


class Source(NamedTuple):
    """One chain's file."""

    name: str  # as the reviewer knows it: a path, or the URL of an object
    path: Path  # where it can be read, its checkpoints beside it; nothing is there of an object that cannot be had
    findings: tuple[Finding, ...] = ()  # what its store says of it
    is_of_table: bool = False  # whether it comes out of Parquet files, where checkpoints cannot be

    @property
    def chain(self) -> str:
        """The name of the chain's file, or of the file that it was before it was compacted."""
        return PurePosixPath(self.name.rpartition(":")[2] if self.is_of_table else self.name).name


def local(files: Iterable[Path]) -> list[Source]:
    """Files of this machine, each under its own path."""
    return [Source(str(file), file) for file in files]


def is_there(path: Path) -> bool:
    """Whether something is, under a name of any length."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises OSError where a name is too long


def absent(source: Source, findings: Sequence[Finding] = ()) -> LedgerError | None:
    """Why there is no chain to read, for somebody who did not write it; None where there is one, or nothing at all.

    `findings`: what `verify` found of it, where that was asked.
    """
    if is_there(source.path):
        return None
    name = one_line(source.name)
    if source.findings:
        first = source.findings[0]
        return LedgerError(f"{name}: {first.meaning}", docs="store" if first.layer == "store" else "ledger")
    if not is_there(beside(source.path)):
        return None
    said = (each.meaning for each in findings if each.code == ORPHAN)
    return LedgerError(
        f"{name}: " + next(said, "the chain is not here, and its checkpoints are: it was removed, or not copied"),
        fix="Look for it where it was copied to (ledger.push). What it held, Vault's audit log knows: ledger reconcile",
        docs="ledger-gone",
    )


@contextmanager
def opened(places: Sequence[str], tell: Tell | None = None, *, tables: bool = False) -> Iterator[list[Source]]:
    """The chains in `places`, by name; what had to be fetched is removed afterwards. `tell`: how far that is.

    A folder is searched to its depths. `tables`: also for the Parquet files that chains are compacted to. Raises
    `UsageError` for a place that is not there, and `storage.pull.UnseenError`.
    """
    with ExitStack() as stack:
        yield _once(
            source
            for place in places
            for source in (
                stack.enter_context(_fetched(store_url(place), tell, tables)) if is_url(place) else _in(place, tables)
            )
        )


@contextmanager
def _fetched(url: StoreURL, tell: Tell | None, tables: bool) -> Iterator[list[Source]]:
    """The chains below `url`, in a folder that nobody else can read."""
    from stepcreds.storage.pull import pull

    with TemporaryDirectory(prefix="stepcreds-") as folder:
        suffixes = (".jsonl", SUFFIX, *([TABLE_SUFFIX] if tables else []))
        pulled = pull(url, Path(folder), suffixes=suffixes, tell=tell)
        findings: dict[str, list[Finding]] = {}
        for finding in pulled.findings:
            findings.setdefault(_chain(finding.file), []).append(finding)
        found = {_chain(str(each.held.url)): Path(_chain(str(each.file))) for each in pulled.files}
        nothing = Path(folder, "none")
        names = sorted({*found, *findings})
        yield [Source(name, found.get(name, nothing), tuple(findings.get(name, ()))) for name in names]


def _in(place: str, tables: bool) -> list[Source]:
    path = Path(place)
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises OSError where a name is too long
        return _below(path, (".jsonl", SUFFIX, *([TABLE_SUFFIX] if tables else [])))
    if is_there(path):
        return [] if _BESIDE.search(path.name) else _chains([path])
    found = sorted(glob.glob(place, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise UsageError(
            f"There is no ledger at {one_line(place)}",
            cause="No step has written one yet, or it was removed.",
            fix="Name files, folders, patterns in quotes, or the URL of an object store.",
            docs="ledger",
        )
    return [source for each in found for source in _in(each, tables)]


def _below(folder: Path, endings: tuple[str, ...]) -> list[Source]:
    """What ends so, however deep it lies; links to folders are not followed. What cannot be looked at is a source that
    says so."""
    files: list[Path] = []
    unseen: dict[str, OSError] = {}
    folders = [str(folder)]
    while folders:
        place = folders.pop()
        try:
            with os.scandir(place) as found:
                entries = list(found)
        except OSError as error:
            unseen[place] = error
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                if entry.name.endswith(endings):
                    entry.stat(follow_symlinks=False)
                    files.append(Path(entry.path))
            except OSError as error:
                unseen[entry.path] = error
    return [*_chains(files), *(_unseen(place, error) for place, error in sorted(unseen.items()))]


def _unseen(place: str, error: OSError) -> Source:
    why = "its path is longer than one may be" if error.errno == errno.ENAMETOOLONG else os.strerror(error.errno or 0)
    meaning = f"ledgers may lie here, and nobody could look: {why}"
    nothing = Path(os.devnull, Path(place).name or "none")  # which cannot be there
    return Source(place, nothing, (Finding("file", place, 0, "unreadable", meaning, "unknown"),))


def _chains(files: Iterable[Path]) -> list[Source]:
    """Those of `files`, by name, and those that checkpoints are beside of: a chain may be gone, and they not."""
    return local(sorted({Path(_chain(str(file))) for file in files}))


def _chain(name: str) -> str:
    return f"{name.removesuffix(SUFFIX)}.jsonl" if name.endswith(SUFFIX) else name


def _once(sources: Iterable[Source]) -> list[Source]:
    """Each file once, by however many names it was asked for."""
    found: dict[str, Source] = {}
    for source in sources:
        key = str(source.path.resolve()) if is_there(source.path) else source.name
        # Its checkpoints are beside the file itself: a link would hide them.
        if key not in found or (found[key].path.is_symlink() and not source.path.is_symlink()):
            found[key] = source
    return list(found.values())
