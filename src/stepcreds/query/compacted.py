"""Chains out of the Parquet files that `ledger seal` compacts them to, as files of lines again; it reads no record."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepcreds.errors import LedgerError
from stepcreds.review.sources import Source

if TYPE_CHECKING:
    import duckdb

SUFFIX = ".parquet"


def unpacked(source: Source, folder: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Source]:
    """The chains in one such file, each as a file in `folder`. Raises `LedgerError` where it is none.

    Its columns are `file`, `line` (from 1) and `raw`, a stored line without its newline; others are not looked at.
    """
    import duckdb

    # Its own name may be a pattern to DuckDB, or a URL.
    link = folder / f"{len(list(folder.iterdir()))}{SUFFIX}"
    link.symlink_to(source.path.absolute())
    try:
        result = connection.execute('SELECT "file", raw FROM read_parquet(?) ORDER BY "file", line', [str(link)])
        for number, (name, lines) in enumerate(groupby(_fetched(result), itemgetter(0))):
            path = folder / f"{link.stem}-{number}.jsonl"
            with path.open("wb") as file:
                file.writelines(_bytes(raw) + b"\n" for _, raw in lines)
            yield Source(f"{source.name}:{name}", path)
    except duckdb.Error as error:
        raise LedgerError(
            f"{source.name} is no Parquet file of `ledger seal`: {str(error).splitlines()[0]}",
            fix="Name the ledgers themselves, or fetch that file again.",
            docs="ledger-query",
        ) from None


def _fetched(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while some := result.fetchmany(1000):
        yield from some


def _bytes(raw: object) -> bytes:
    return raw if isinstance(raw, bytes) else str(raw).encode()
