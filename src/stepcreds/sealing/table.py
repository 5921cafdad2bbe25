"""Records that are sealed, as one Parquet file: exact lines, and beside them what queries ask for.

So that whoever asks a question of a year of ledgers reads a few files, and not one for each job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from stepcreds.extras import missing
from stepcreds.ledger.reading import stored_lines
from stepcreds.sealing.chains import Seen

_TYPES = "{file: 'VARCHAR', line: 'INTEGER', raw: 'VARCHAR'}"
_COPY = """
COPY (
    SELECT file, line, raw, raw->>'$.chain_uid' AS chain_uid, raw->>'$.kind' AS kind, raw->>'$.time' AS time,
        raw->>'$.step_uid' AS step_uid
    FROM read_json(?, format = 'newline_delimited', columns = {types})
) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
"""


def parquet(chains: Iterable[Seen]) -> tuple[bytes, int]:
    """The file, and its rows: of each chain what no table has yet. Raises `UsageError`, `LedgerError`."""
    try:
        import duckdb
    except ImportError:
        raise missing("duckdb", "Parquet cannot be written") from None
    with TemporaryDirectory(prefix="stepcreds-") as folder:
        source, target = Path(folder, "rows.json"), Path(folder, "rows.parquet")
        rows = 0
        with source.open("w", encoding="utf-8") as file:
            for row in _rows(chains):
                file.write(json.dumps(row) + "\n")
                rows += 1
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
            connection.execute(_COPY.format(types=_TYPES, target=target), [str(source)])
        return target.read_bytes(), rows


def _rows(chains: Iterable[Seen]) -> Iterable[dict[str, object]]:
    for each in chains:
        lines = islice(stored_lines(each.source.path), each.tabled, each.leaf.size)
        for number, line in enumerate(lines, each.tabled + 1):
            yield {"file": each.leaf.name, "line": number, "raw": line[:-1].decode()}
