"""Fetches what is below a URL into a folder of this machine: the oldest version of each object, and nothing twice.

Nothing in the folder is ever overwritten, and no file has its name before it is whole and on the disk. So what was
interrupted is gone on with by doing it again.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from stepcreds.config.store_url import StoreURL
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.faults import ledger_error as file_error
from stepcreds.ledger.folder import make_folder, sync_folder
from stepcreds.storage import fault
from stepcreds.storage.bounded import Beat, within
from stepcreds.storage.fault import StoreFault
from stepcreds.storage.held import Held, finding, held, history
from stepcreds.storage.push import run
from stepcreds.storage.store import Store, Version, open_store

PATIENCE = 90.0  # seconds in which nothing at all gets further
AT_ONCE = 16
PIECE = 8 * 1024 * 1024  # bytes in memory for each of them
MOST = 1_000_000  # versions
UNFINISHED = ".stepcreds-pull"  # a folder in the folder

Tell = Callable[[int, int], None]  # done, of how many


class UnseenError(LedgerError):
    """Nobody could look at what is there, or take it along. That is no finding."""

    exit_code = 2


class Fetched(NamedTuple):
    """One object that is a file here now."""

    held: Held
    file: Path
    new: bool  # False: it was here already


class Pulled(NamedTuple):
    """What came of it."""

    files: tuple[Fetched, ...]
    findings: tuple[Finding, ...]
    keeps_versions: bool  # False: an overwrite, or a deletion, would not be seen


def pull(url: StoreURL, folder: Path, *, suffixes: tuple[str, ...] = (), tell: Tell | None = None) -> Pulled:
    """Fetch what is below `url`; where that names a ledger, it and its checkpoints. `suffixes`: only of such names.

    Raises `UnseenError`; `UsageError` where nothing is there, or the library for such a store is not installed.
    """

    # A folder needs no library, and so no loop of one.
    work_on = asyncio.run if url.scheme == "file" else run

    def work(beat: Beat) -> Pulled:
        try:
            store = open_store(url)
            versions = work_on(_listed(store, url, suffixes, beat))
        except StoreFault as error:
            raise fault.ledger_error(url, "listed", error) from None
        if not versions:
            raise UsageError(
                f"There is no ledger at {url}",
                cause="Nothing was copied there yet, or the prefix is another.",
                fix="Check ledger.push of the pipeline's stepcreds.yml.",
                docs="store",
            )
        objects, findings = held(versions, _folder_of(url))
        make_folder(folder)
        with _unfinished(folder) as place:
            _make_sure_of_room(objects, folder)
            fetching = _Fetching(store, folder, place, beat, tell)
            files = work_on(fetching.all(objects))
        seen = [each for one in objects for each in history(one)]
        found = sorted((*findings, *seen, *fetching.findings), key=lambda each: each.file)
        return Pulled(tuple(files), tuple(found), any(_is_kept(each) for each in versions))

    try:
        return within(PATIENCE, url, work)
    except LedgerError as error:
        raise UnseenError(error.what, cause=error.cause, fix=error.fix, docs=error.docs) from None


def _is_kept(version: Version) -> bool:
    return version.id not in ("", "null")


def _folder_of(url: StoreURL) -> StoreURL:
    return url.at(url.prefix.rpartition("/")[0]) if _is_chain(url) else url


def _is_chain(url: StoreURL) -> bool:
    return url.prefix.endswith(".jsonl")


async def _listed(store: Store, url: StoreURL, suffixes: tuple[str, ...], beat: Beat) -> list[Version]:
    """The versions below `url`, or those of one chain and its checkpoints."""
    stem = url.prefix.removesuffix(".jsonl")
    prefix = f"{stem}." if _is_chain(url) else f"{url.prefix}/" if url.prefix else ""
    only = {f"{stem}.jsonl", f"{stem}.checkpoints"} if _is_chain(url) else set()
    found: list[Version] = []
    count = 0  # of those that nobody asked for as well: a list without end has to end
    async for version in store.versions(prefix):
        beat()
        count += 1
        if count > MOST:
            raise LedgerError(
                f"There are more than {MOST:,} versions of objects below {url}",
                fix="Name a part of it: a longer prefix.",
                docs="store",
            )
        if not version.key.startswith(prefix) or (only and version.key not in only):
            continue
        if suffixes and not version.key.endswith(suffixes):
            continue
        found.append(version)
    return found


class _Fetching:
    """Many objects at once."""

    def __init__(self, store: Store, folder: Path, place: Path, beat: Beat, tell: Tell | None) -> None:
        self.findings: list[Finding] = []
        self._store, self._folder, self._place = store, folder, place
        self._beat, self._tell = beat, tell
        self._done = 0

    async def all(self, objects: list[Held]) -> list[Fetched]:
        """The first failure that is not of one object alone ends it."""
        waiting = iter(objects)
        fetched: list[Fetched] = []

        async def worker() -> None:
            for one in waiting:
                found = await self._one(one)
                if found is not None:
                    fetched.append(found)
                self._done += 1
                self._beat()
                if self._tell is not None:
                    self._tell(self._done, len(objects))

        workers = [asyncio.ensure_future(worker()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for each in workers:
                each.cancel()
        for place in {each.file.parent for each in fetched if each.new}:
            try:
                sync_folder(place)
            except OSError as error:
                raise file_error(error, place) from None
        return sorted(fetched, key=lambda each: each.held.path)

    async def _one(self, one: Held) -> Fetched | None:
        target = self._folder / one.path
        try:
            there = _size(target)
            if there == one.first.size and one.first.md5 and _md5(target) == one.first.md5:
                return Fetched(one, target, new=False)
            part = self._place / hashlib.sha256(one.path.encode()).hexdigest()
            await self._fetch(one, part)
            return self._settle(one, part, target)
        except StoreFault as error:
            if error.kind not in ("gone", "denied", "no-file", "refused"):
                raise fault.ledger_error(one.url, "read", error) from None
            said = fault.ledger_error(one.url, "read", error)
            self.findings.append(finding(one.url, "unreadable", said.what.removeprefix(f"{one.url} ")))
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
                said = file_error(error, target)
                fix = "Make room there, or name another folder. What is there already is not fetched again."
                raise LedgerError(said.what, cause=said.cause, fix=fix, docs="store") from None
            self.findings.append(finding(one.url, "refused", "not fetched: a part of its name is a file here"))
        return None

    async def _fetch(self, one: Held, part: Path) -> None:
        """Its content, in pieces, onto the disk."""
        with part.open("wb") as file:
            for start in range(0, one.first.size, PIECE):
                end = min(start + PIECE, one.first.size)
                piece = await self._store.read(one.url.prefix, one.first.id, start, end)
                self._beat()
                if len(piece) != end - start:
                    raise StoreFault("refused", "IncompleteRead")
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def _settle(self, one: Held, part: Path, target: Path) -> Fetched | None:
        """Give it its name, unless that is taken."""
        target.parent.mkdir(0o700, parents=True, exist_ok=True)
        new = _size(target) is None
        if new:
            os.rename(part, target)  # noqa: PTH104 - nobody else has the folder's lock
            return Fetched(one, target, new=True)
        same = target.is_file() and not target.is_symlink() and _sha256(target) == _sha256(part)
        part.unlink()
        if same:
            return Fetched(one, target, new=False)
        meaning = f"not fetched: {target} holds something else, and nothing is overwritten"
        self.findings.append(finding(one.url, "conflict", meaning))
        return None


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` for what is not whole yet; one process at a time has it. Raises `LedgerError`."""
    place = folder / UNFINISHED
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise file_error(error, folder) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(
                f"Another process is fetching into {folder}",
                fix="Wait for it, or name another folder.",
                docs="store",
            ) from None
        if place.is_symlink():
            raise file_error(OSError(errno.ELOOP, ""), place)
        shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
        try:
            place.mkdir(0o700)
        except OSError as error:
            raise file_error(error, place) from None
        yield place
    finally:
        with suppress(OSError):
            shutil.rmtree(place)
        os.close(fd)


def _make_sure_of_room(objects: list[Held], folder: Path) -> None:
    needed = sum(one.first.size for one in objects if not os.path.lexists(folder / one.path))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise LedgerError(
            f"There is no room in {folder}: {needed:,} bytes are to be fetched, and {free:,} are free",
            fix="Name a folder on another disk, or a longer prefix.",
            docs="store",
        )


def _size(path: Path) -> int | None:
    """None where nothing is there; -1 where it is no file. Raises OSError."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    return info.st_size if stat.S_ISREG(info.st_mode) else -1


def _md5(path: Path) -> str:
    return _hash(path, "md5")


def _sha256(path: Path) -> str:
    return _hash(path, "sha256")


def _hash(path: Path, name: str) -> str:
    state = hashlib.new(name, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            state.update(piece)
    return state.hexdigest()
