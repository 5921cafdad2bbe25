"""Where seals are kept: a folder or an object store, in which a name is made once and never again; it knows no seal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from stepcreds.config.store_url import StoreURL, is_url, store_url
from stepcreds.errors import UsageError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.push import FolderSink
from stepcreds.seals.seal import LONGEST, SUFFIX, TABLE_SUFFIX

_PIECE = 1024 * 1024  # bytes
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Place(Protocol):
    """Raises `LedgerError` for everything that keeps it from answering."""

    name: str  # as a person knows it: a path, or a URL
    findings: tuple[Finding, ...]  # what the store said when `names` was asked last: overwritten, deleted

    def names(self) -> list[str]:
        """What is in it now, but not in folders of it; nothing where it is not there yet."""
        ...

    def read(self, name: str) -> bytes | None:
        """The first that was ever made under this name, which `names` gave; None: it is no file."""
        ...

    def sha256(self, name: str) -> str | None:
        """Of what `read` gives, however long that is; in hex."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Make it, whole and to stay. False: there is something else of that name, which stays."""
        ...


class Folder:
    """A folder of this machine."""

    findings: tuple[Finding, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self._path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ledger_error(error, self._path) from None

    def read(self, name: str) -> bytes | None:
        with self._opened(name) as file:
            return None if file is None else file.read(LONGEST + 1)

    def sha256(self, name: str) -> str | None:
        state = hashlib.sha256()
        with self._opened(name) as file:
            if file is None:
                return None
            while piece := file.read(_PIECE):
                state.update(piece)
        return state.hexdigest()

    def create(self, name: str, data: bytes) -> bool:
        return FolderSink(self._path).offer(name, data) == "there"

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        """None: a folder, a link or a device has the name."""
        path = self._path / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                yield None
                return
            with os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise not_a_file(path)
                yield file
        except OSError as error:
            raise ledger_error(error, path) from None


class Bucket:
    """A folder of an object store; what has these suffixes is fetched into `folder`, the oldest version of each."""

    def __init__(self, url: StoreURL, folder: Path, suffixes: tuple[str, ...]) -> None:
        self._url = url
        self._suffixes = suffixes
        self._here = Folder(folder)
        self.name = str(url)
        self.findings: tuple[Finding, ...] = ()

    def names(self) -> list[str]:
        from stepcreds.storage.pull import pull

        try:
            pulled = pull(self._url, Path(self._here.name), suffixes=self._suffixes)
        except UsageError as error:
            if error.docs != "store":  # the library for it is not installed
                raise
            return []  # nothing is there yet
        self.findings = pulled.findings
        return self._here.names()

    def read(self, name: str) -> bytes | None:
        return self._here.read(name)

    def sha256(self, name: str) -> str | None:
        return self._here.sha256(name)

    def create(self, name: str, data: bytes) -> bool:
        from stepcreds.storage.push import offer_to_store

        return offer_to_store(name, data, self._url) == "there"


@contextmanager
def opened(text: str, *, tables: bool = False) -> Iterator[Place]:
    """The place of this path or URL; of a store the Parquet files only with `tables`. Raises `UsageError` for a URL of
    something else."""
    if not is_url(text):
        yield Folder(Path(text))
        return
    with TemporaryDirectory(prefix="stepcreds-") as folder:
        yield Bucket(store_url(text), Path(folder), (SUFFIX, TABLE_SUFFIX) if tables else (SUFFIX,))
