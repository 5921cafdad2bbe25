"""The bytes of audit logs, however they are kept: whole lines in pieces of some megabytes; it understands none of them.

A piece is all that is in memory of a log of any length.
"""

from __future__ import annotations

import glob
import gzip
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple, cast

from stepcreds.errors import UsageError
from stepcreds.printable import one_line

STDIN = "-"
PIECE = 4 * 1024 * 1024  # bytes
LONGEST_LINE = 64 * 1024 * 1024  # bytes; the rest of a longer one is passed over
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"  # RFC 1952, 2.3.1; RFC 8878, 3.1.1


class Piece(NamedTuple):
    """Some lines, each with its newline but for the last of a file that has none."""

    data: bytes
    read: int  # bytes of the file as it is kept that are behind it; 0 where nobody can tell
    torn: bool = False  # the file ends here, in the middle of something


def audit_files(places: Sequence[str]) -> list[str]:
    """The files in `places`: files, folders, patterns, and "-". Raises `UsageError` for a place that is not there."""
    return list(dict.fromkeys(file for place in places for file in _in(place)))


def size(file: str) -> int:
    """Bytes of the file as it is kept; 0 where nobody can tell."""
    path = Path(file)
    return path.stat().st_size if file != STDIN and path.is_file() else 0


def pieces(file: str) -> Iterator[Piece]:
    """The lines of `file`, decompressed. Raises `UsageError` for one that cannot be read."""
    try:
        with ExitStack() as stack:
            kept = sys.stdin.buffer if file == STDIN else stack.enter_context(Path(file).open("rb"))
            stream = _decompressed(file, cast(BufferedReader, kept), stack)
            yield from _whole_lines(stream, kept)
    except (OSError, zlib.error) as error:  # gzip.BadGzipFile is an OSError without a number
        reason = (isinstance(error, OSError) and error.strerror) or f"it is damaged ({one_line(str(error))})"
        raise UsageError(f"The audit log {one_line(file)} cannot be read: {reason}", docs="reconcile-audit") from None


def _in(place: str) -> list[str]:
    path = Path(place)
    if place == STDIN or (path.exists() and not path.is_dir()):
        return [place]
    if path.is_dir():
        return _below(path)
    found = sorted(glob.glob(place, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise UsageError(
            f"There is no audit log at {one_line(place)}",
            fix="Name files, folders, patterns in quotes, or - for standard input.",
            docs="reconcile-audit",
        )
    return [file for each in found for file in _in(each)]


def _below(folder: Path) -> list[str]:
    """Every file in it and in its folders. One that nobody can look into may have an audit log in it."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        found = [Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names]
        return [str(file) for file in sorted(found) if file.is_file()]
    except OSError as error:
        place = one_line(str(error.filename), 200)
        raise UsageError(f"The audit log {place} cannot be read: {error.strerror}", docs="reconcile-audit") from None


def _whole_lines(stream: BufferedReader, kept: IO[bytes]) -> Iterator[Piece]:
    rest, torn = b"", False
    tell = kept.tell if kept.seekable() else partial(int, 0)
    while not torn:
        data, torn = _read(stream)
        if not data:
            break
        end = data.rfind(b"\n") + 1
        if not end:
            rest = (rest + data)[:LONGEST_LINE]
            continue
        yield Piece(rest + data[:end], tell())
        rest = data[end:]
    yield Piece(rest, tell(), torn or bool(rest))


def _read(stream: BufferedReader) -> tuple[bytes, bool]:
    """About `PIECE` bytes, none at the end; and whether a compressed file ends there in the middle."""
    parts, length = [], 0
    try:
        # `read` would lose what stands in front of the cut.
        while length < PIECE and (data := stream.read1(PIECE)):
            parts.append(data)
            length += len(data)
    except EOFError:
        return b"".join(parts), True
    return b"".join(parts), False


def _decompressed(file: str, kept: BufferedReader, stack: ExitStack) -> BufferedReader:
    start = kept.peek(4)[:4]
    if start.startswith(_GZIP):
        return cast(BufferedReader, stack.enter_context(gzip.GzipFile(fileobj=kept)))
    if start == _ZSTD:
        return _zstandard(file, kept, stack)
    return kept


def _zstandard(file: str, kept: BufferedReader, stack: ExitStack) -> BufferedReader:
    for module, opener in (("compression.zstd", "ZstdFile"), ("zstandard", "open")):  # Python 3.14's; PyPI's
        try:
            opened = getattr(import_module(module), opener)(kept, "rb")
        except ImportError:
            continue
        return cast(BufferedReader, stack.enter_context(opened))
    raise UsageError(
        f"The audit log {one_line(file)} is compressed with Zstandard, which this Python cannot read",
        cause="Python can from 3.14 on, or with the package zstandard.",
        fix="zstd -dc FILE | stepcreds ledger reconcile --audit - …",
        docs="reconcile-audit",
    )
