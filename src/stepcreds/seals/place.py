"""Where seals are kept: a place in which a name is made once and never again, such as a folder; it knows no seal."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.folder import make_folder, sync_folder
from stepcreds.seals.seal import LONGEST

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Place(Protocol):
    """Raises `LedgerError` for everything that keeps it from answering."""

    @property
    def name(self) -> str:
        """As a person knows it: a path, or a URL."""
        ...

    def names(self) -> list[str]:
        """What is in it, without what is in folders of it; nothing where it is not there yet."""
        ...

    def read(self, name: str) -> bytes:
        """The first that was ever made under this name."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Make it, whole and to stay, or not at all. False: there is something of that name, which stays."""
        ...


class Folder:
    """A folder of this machine."""

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

    def read(self, name: str) -> bytes:
        path = self._path / name
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise not_a_file(path)
                return file.read(LONGEST + 1)
        except OSError as error:
            raise ledger_error(error, path) from None

    def create(self, name: str, data: bytes) -> bool:
        """A link to a file that is whole: a writer that is killed leaves nothing under `name`, or all of it."""
        make_folder(self._path)
        path = self._path / name
        part = self._path / f".{name}.{os.getpid()}.part"
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o644), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, path)
            sync_folder(self._path)
        except FileExistsError:
            return False
        except OSError as error:
            raise ledger_error(error, path) from None
        finally:
            part.unlink(missing_ok=True)
        return True


def place_of(text: str) -> Place:
    """The folder of this path."""
    return Folder(Path(text))
