"""Copies a chain and its checkpoints out of the job's reach, to where nothing is ever overwritten; it knows folders,
and leaves other places to whoever hands in a `Sink`.

Beside the chain a file of the same name and `.pushed` keeps the hash of what was copied last, and where to, so that the
several ends of one job (a `post` for each use of the Action) do not copy the same again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from stepcreds.errors import LedgerError
from stepcreds.ledger.checkpoint import beside
from stepcreds.ledger.faults import ledger_error, not_a_file
from stepcreds.ledger.folder import make_folder, sync_folder

PATIENCE = 60.0  # seconds that a place which is no disk is waited for
LONGEST = 64 * 1024 * 1024  # bytes; a record is about 1,000
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NAME = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]{0,200}")
# File systems without hard links (FAT, some of networks) say one of these.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Shipment(NamedTuple):
    """A chain and its checkpoints. They are copied under one stem: by its name the one is found beside the other."""

    name: str  # of the chain's file
    chain: bytes
    checkpoints: bytes | None  # None: there are none

    @property
    def digest(self) -> str:
        if self.checkpoints is None:
            return digest(self.chain)
        return digest(hashlib.sha256(self.chain).digest() + hashlib.sha256(self.checkpoints).digest())

    @property
    def other_name(self) -> str:
        """Of the chain, where its own name is taken: this one tells what is in it."""
        path = Path(self.name)
        return f"{path.stem}.{self.digest[:12]}{path.suffix}"

    def files(self, name: str) -> list[tuple[str, bytes]]:
        """What is copied, where the chain is called `name`: the chain comes last, so that where it is all is."""
        files = [(name, self.chain)]
        return files if self.checkpoints is None else [(beside(Path(name)).name, self.checkpoints), *files]


# "unknown": there is something of that name, and whoever asks may not read it.
Offered = Literal["there", "another", "unknown"]


class Sink(Protocol):
    """A place to copy to."""

    def offer(self, name: str, data: bytes, *, is_new: bool = False) -> Offered:
        """Put a new file there, whole, or none; what is under that name afterwards. `is_new`: nobody else can have the
        name, so that a refusal has another reason. Raises `LedgerError`."""
        ...

    def shown(self, name: str) -> str:
        """What a person calls that file."""
        ...


def shipment(file: Path) -> Shipment:
    """The chain in `file` as it is now, and its checkpoints. Raises `LedgerError`."""
    if not _NAME.fullmatch(file.name) or not file.suffix:
        raise LedgerError(
            f"{file.name!a} is no name of a ledger",
            cause="Names there have letters, digits, and `_ . = + -`.",
            fix="Give the file its own name again: `stepcreds exec` names them <run>-<attempt>-<job>-<hash>.jsonl.",
            docs="ledger-push",
        )
    signed = beside(file)
    chain = _content(file)
    return Shipment(file.name, chain, _content(signed) if os.path.lexists(signed) else None)


def _content(file: Path) -> bytes:
    data = _read(file)
    if len(data) > LONGEST:
        raise LedgerError(
            f"The ledger file {file} is larger than {LONGEST // 1024 // 1024} MiB, which is no job's",
            docs="ledger-push",
        )
    return data


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_pushed(file: Path, goods: Shipment, where: str) -> bool:
    """Whether `goods` is what was copied last, and `where` is where to. It may be gone since."""
    try:
        return _read(_note(file)) == _noted(goods, where)
    except LedgerError:
        return False


def note_pushed(file: Path, goods: Shipment, where: str) -> None:
    """`goods` has been copied. Where that cannot be kept, it is copied once more."""
    note = _note(file)
    with suppress(OSError):
        note.unlink(missing_ok=True)
        _create(note, _noted(goods, where))


def _noted(goods: Shipment, where: str) -> bytes:
    return f"{goods.digest} {where}".encode(errors="surrogateescape")


def push(goods: Shipment, sink: Sink) -> str:
    """Copy `goods`; where its chain is now, as a person calls it. The same there already will do.

    Raises `LedgerError`; where something else has its name, it stands beside that under another.
    """
    found, name = _offer(goods, goods.name, sink)
    if found == "there":
        return sink.shown(goods.name)
    place = sink.shown(name)
    if _offer(goods, goods.other_name, sink, is_new=True)[0] == "another":
        raise LedgerError(
            f"{place} holds another ledger than this job's, and so does {sink.shown(goods.other_name)}",
            cause="Somebody put something else there, under a name that is made of the hash of what belongs there.",
            fix="This ledger is nowhere but in its own file: keep that. Look at who may write there.",
            docs="ledger-push",
        )
    if found == "unknown":
        raise LedgerError(
            f"There is a {place} already, which this job may not read; this one was copied to {goods.other_name} "
            "beside it",
            cause="It was copied before, and the note beside the ledger that says so is lost, or the store's answer "
            "was. Or somebody else put a file there under that name.",
            fix="Have somebody who may read them compare the two: stepcreds ledger verify names what was changed.",
            docs="ledger-push",
        )
    raise LedgerError(
        f"{place} holds another ledger than this job's; this one was copied to {goods.other_name} beside it",
        cause="The job went on after its ledger had been copied; or somebody else put a file there under that name.",
        fix="Compare the two: stepcreds ledger verify names what was changed.",
        docs="ledger-push",
    )


def _offer(goods: Shipment, name: str, sink: Sink, *, is_new: bool = False) -> tuple[Offered, str]:
    """What is there afterwards; and under which name, where that is not all of `goods`.

    Checkpoints that nobody may read may be ours, of a copy that was killed behind them. So their chain follows them.
    """
    unknown = ""
    for each, data in goods.files(name):
        found = sink.offer(each, data, is_new=is_new)
        if found == "another":
            return found, each
        if found == "unknown":
            unknown = each
    return ("unknown", unknown) if unknown else ("there", name)


class FolderSink:
    """A folder of this machine, or one that is mounted here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def offer(self, name: str, data: bytes, *, is_new: bool = False) -> Offered:
        make_folder(self._folder, "ledger.push")
        path = self._folder / name
        try:
            _create(path, data)
            sync_folder(self._folder)
        except FileExistsError:
            with suppress(LedgerError):
                return "there" if _read(path) == data else "another"
            return "unknown"  # a link, a folder, somebody else's
        except OSError as error:
            raise ledger_error(error, path, "ledger.push") from None
        return "there"

    def shown(self, name: str) -> str:
        return str(self._folder / name)

    def holds(self, goods: Shipment) -> bool:
        """Whether `goods` is there, whole, under its own name."""
        try:
            return all(_read(self._folder / name) == data for name, data in goods.files(goods.name))
        except LedgerError:
            return False


def _create(path: Path, data: bytes) -> None:
    """A new file, whole and on the disk, or none, whatever kills this process. Raises OSError."""
    part = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}")
    try:
        _write(part, data)
        try:
            os.link(part, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _write(path, data)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
    try:
        rest = data
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | _SAFELY)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise not_a_file(path)
            return file.read(LONGEST + 1)
    except OSError as error:
        raise ledger_error(error, path) from None


def _note(file: Path) -> Path:
    return file.with_name(file.name + ".pushed")
