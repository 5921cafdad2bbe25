"""A chain as views that fit into memory, however long it is: each has some of its credentials, whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.reading import read_chain, stored_lines
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import ChainView

PART = 16 * 1024 * 1024  # bytes of lines; as values they take some six times as much
MOST = 200  # parts, whose files are open at once
HEADS = 8  # lines that say whose chain it is: one, but for what somebody wrote there


def parts(file: Path, folder: Path, tick: Callable[[int], None], part: int = PART) -> Iterator[ChainView]:
    """One at least; their credentials together are those of `read_chain`, nearly in its order.

    What each says of the chain is of all of it. `folder` is for files meanwhile, `tick` is told of bytes that were
    read. Raises `LedgerError` where `file` cannot be read at all.
    """
    size = file.stat().st_size if file.exists() else 0
    if size <= part:
        yield read_chain(file)
        tick(size)
        return
    with TemporaryDirectory(dir=folder) as there:
        unreadable, closed, files = _divided(file, Path(there), tick, max(part, size // MOST))
        for each in files:
            yield replace(read_chain(each), file=file, unreadable=unreadable, closed=closed)
            each.unlink()


def _divided(file: Path, folder: Path, tick: Callable[[int], None], part: int) -> tuple[int, bool, list[Path]]:
    """How many lines of `file` are no records, whether it says that it is closed, and its credentials in files.

    A credential's records go where its first one went.
    """
    heads: list[bytes] = []
    places: dict[str, int] = {}
    files: list[BinaryIO] = []
    unreadable, closed, begun = 0, False, 0
    with ExitStack() as stack:
        for line in stored_lines(file):
            tick(len(line))
            record = _record(line)
            kind, uid = record.get("kind"), record.get("credential_uid")
            if not isinstance(kind, str):
                unreadable += 1
            elif kind == "chain.opened" and len(heads) < HEADS:
                heads.append(line)
                for each in files:
                    each.write(line)
            elif kind == "chain.closed":
                closed = True
            elif isinstance(uid, str):
                if not files or begun > part:
                    files.append(stack.enter_context(_begun(folder / str(len(files)), heads)))
                    begun = 0
                place = places.setdefault(uid, len(files) - 1)
                files[place].write(line)
                begun += len(line) if place == len(files) - 1 else 0
    if not files:
        files.append(_begun(folder / "0", heads))
        files[0].close()
    return unreadable, closed, [Path(each.name) for each in files]


def _begun(file: Path, heads: list[bytes]) -> BinaryIO:
    stream = file.open("wb")
    stream.writelines(heads)
    return stream


def _record(line: bytes) -> Record:
    try:
        value = loads(line)
    except CanonicalError:
        return {}
    return value if isinstance(value, dict) else {}
