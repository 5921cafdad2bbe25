"""Takes the lines out of one Parquet file that may be anybody's; it puts no chain together.

A few bytes of Parquet can stand for terabytes. So it is asked first what is in it, and one that no seal has written is
refused before a line of it is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stepcreds.errors import LedgerError
from stepcreds.ledger.link import MAX_LINE
from stepcreds.review.sources import Source
from stepcreds.seals.seal import TABLE_SUFFIX

if TYPE_CHECKING:
    import duckdb

PIECES = 'CREATE TABLE pieces (place INTEGER, "file" VARCHAR, line BIGINT, raw VARCHAR, uid VARCHAR)'

LONGEST_NAME = 1024  # bytes of a chain's file, as it stands beside each of its lines

# A table may stand for PACKED times what it is, and for LITTLE more. Its records have hashes, which no packing makes
# shorter: those of one chain of 100,000 are packed to a seventh. A row counts as a short
# record at least, or any number of empty ones would be nothing.
PACKED = 50
LITTLE = 1024 * 1024
ROW = 1000

# What the file itself says of it, before anything is unpacked; and what comes of unpacking it, row by row.
_SAID = """
    WITH said AS (
        SELECT lower(path_in_schema) AS name, greatest(total_uncompressed_size, 0) AS size, row_group_num_rows AS rows
        FROM parquet_metadata(?)
    )
    SELECT coalesce(sum(size) FILTER (name IN ('file', 'line', 'raw')), 0),
        coalesce(sum(rows) FILTER (name = 'line'), 0)
    FROM said
"""
_MEASURED = """
    SELECT count(*) FILTER (line IS NULL OR line < 1 OR raw IS NULL OR "file" IS NULL),
        coalesce(max(strlen(raw)), 0), coalesce(max(strlen("file")), 0),
        coalesce(sum(greatest(strlen(raw), ?) + strlen("file")), 0)
    FROM read_parquet(?)
"""
# A line has no newline in it; one that has is garbage.
_TAKE = """
    INSERT INTO pieces
    SELECT ?, "file", line, replace(raw, chr(10), '?'), CASE WHEN json_valid(raw) THEN raw ->> '$.chain_uid' END
    FROM read_parquet(?)
"""


def take(place: int, table: Source, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Put the lines of `table` into `pieces`, all or none; it is the one at `place`. Raises `LedgerError`."""
    import duckdb

    # Its own name may be a pattern to DuckDB, or a URL.
    link = folder / f"{place}{TABLE_SUFFIX}"
    link.symlink_to(table.path.absolute())
    try:
        if not table.path.is_file():  # DuckDB would wait for somebody to write into a FIFO
            raise _no_table(table, "it is no file, or not there")
        why = _refusal(str(link), LITTLE + PACKED * table.path.stat().st_size, connection)
        if why:
            raise _no_table(table, why)
        connection.execute(_TAKE, [place, str(link)])
    except duckdb.Error as error:
        raise _no_table(table, str(error).splitlines()[0]) from None
    except OSError as error:
        raise _no_table(table, error.strerror or "it cannot be read") from None
    finally:
        link.unlink()


def _refusal(file: str, most: int, connection: duckdb.DuckDBPyConnection) -> str:
    """Why no seal has written `file`, or ""; `most` is what it may stand for, in bytes."""
    too_much = f"it stands for more than {PACKED} times what it is"
    said, rows = connection.execute(_SAID, [file]).fetchone() or (0, 0)
    if max(said, rows * ROW) > most:
        return too_much
    odd, longest, name, total = connection.execute(_MEASURED, [ROW, file]).fetchone() or (0, 0, 0, 0)
    if odd:
        return "a row without a file, a line from 1, or a text"
    if longest > MAX_LINE:
        return f"a line of more than {MAX_LINE} bytes"
    if name > LONGEST_NAME:
        return f"a name of more than {LONGEST_NAME} bytes"
    return too_much if total > most else ""


def _no_table(table: Source, why: str) -> LedgerError:
    return LedgerError(
        f"{table.name} is no Parquet file of `ledger seal`: {why}",
        fix="Name the ledgers themselves, or fetch that file again.",
        docs="ledger-query",
    )
