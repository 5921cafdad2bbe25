"""Fills the tables that a question names with what ledgers say; it answers nothing.

Files are read by us, line by line, and never by DuckDB under their own names: a name may hold a pattern or a URL, and a
line may be of a later version, or garbage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import fitted, valid
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.reading import first_record, stored_lines
from stepcreds.ledger.view import ChainView
from stepcreds.query import compacted, rows
from stepcreds.query.parts import parts
from stepcreds.query.tables import CHAINS, CREDENTIALS, FINDINGS, OVERLAPS, RECORDS, SHARED, STEPS, TABLES
from stepcreds.review.sources import Source, absent
from stepcreds.review.verification import Verified, verify, weight
from stepcreds.trust.keys import Trust

if TYPE_CHECKING:
    import duckdb

Tell = Callable[[int, int], None]  # done, of how many

LONGEST = 1_000_000  # bytes of a line as DuckDB is given it: link.MAX_LINE, where each byte became three

# A canonical line has no control character; a line that has one is garbage, and gets "?" there.
_CONTROLS = bytes(ord("?") if code < 32 and code != ord("\n") else code for code in range(256))
_FIELDS = ("kind", "chain_uid", "step_uid", "credential_uid", "event_uid", "prev", "schema", "seq", "time")
# A tab cannot stand in `raw`, so there is nothing to quote.
_READ_LINES = f"""
    SELECT * FROM read_csv(?, delim = '\t', quote = '', escape = '', comment = '', header = false,
        auto_detect = false, new_line = '\\n', max_line_size = {LONGEST}, null_padding = false,
        columns = {{'file': 'VARCHAR', 'line': 'BIGINT', 'sound': 'BOOLEAN', 'raw': 'VARCHAR'}})
"""  # noqa: S608 - of names of ours, as are those below
_TEXTS = ", ".join(
    f"CASE WHEN json_type(field[{place}]) = 'VARCHAR' THEN field[{place}] ->> '$' END AS \"{name}\""
    for place, name in enumerate(_FIELDS, 1)
    if name != "seq"
)
_MAKE_LINES = f"""
    CREATE TABLE lines AS
    WITH lines AS ({_READ_LINES}), parsed AS (
        SELECT *, CASE WHEN sound AND json_valid(raw) THEN raw END AS json FROM lines
    ), taken AS (
        SELECT *, json_extract(json, {[f"$.{name}" for name in _FIELDS]}) AS field FROM parsed
    ), named AS (
        SELECT file, line, raw, TRY_CAST(field[8] AS BIGINT) AS seq, {_TEXTS} FROM taken
    )
    SELECT file, line, CASE WHEN kind IS NOT NULL THEN seq END AS seq,
           try_strptime(time, '%Y-%m-%dT%H:%M:%S.%gZ') AS time, kind, chain_uid, step_uid, credential_uid, event_uid,
           prev, "schema", coalesce(raw, '') AS raw
    FROM named
"""  # noqa: S608


class Loader:
    """One pass over all sources. `errors` is why some of them are not in the tables."""

    def __init__(self, folder: Path, sources: Iterable[Source], trust: Trust | None, question: str, tell: Tell) -> None:
        asked = question.lower()
        self.errors: list[LedgerError] = []
        self._needed = {table.name for table in TABLES if table.name in asked}
        if self._needed & {STEPS.name, OVERLAPS.name, SHARED.name}:
            self._needed.add(CREDENTIALS.name)
        self._checks = bool(self._needed & {CHAINS.name, FINDINGS.name})
        self._folder = folder
        self._sources = list(sources)
        self._runs: dict[Path, tuple[range, ...]] = {}  # of chains of which lines are missing
        self._trust = trust
        self._tell = tell
        self._done = self._total = 0

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make all tables, and fill those that the question names."""
        self._sources = [source._replace(name=_named(source.name)) for source in self._joined(connection)]
        self._total = sum(map(self._work, self._sources))
        self._load_records(connection)
        for table in TABLES:
            if table.sql:
                connection.execute(f"CREATE VIEW {table.name} AS {table.sql}")
            else:
                connection.execute(f"CREATE TABLE {table.name} ({table.declared})")
        self._load_chains(connection)

    def _joined(self, connection: duckdb.DuckDBPyConnection) -> list[Source]:
        """The ledgers, and the chains in Parquet files."""
        tables = [source for source in self._sources if source.path.suffix == compacted.SUFFIX]
        ledgers = [source for source in self._sources if source.path.suffix != compacted.SUFFIX]
        if not tables:
            return ledgers
        found = list(compacted.joined(tables, ledgers, self._folder, connection, self.errors))
        self._runs = {each.source.path: each.runs for each in found if each.runs}
        return [*ledgers, *(each.source for each in found)]

    def _work(self, source: Source) -> int:
        """How much of it there is, in bytes: what is read for each group of tables."""
        size = source.path.stat().st_size if source.path.exists() else 0
        reads = (RECORDS.name in self._needed) + (CREDENTIALS.name in self._needed or CHAINS.name in self._needed)
        return reads * size + (weight(source) if self._checks else 0)

    def _tick(self, done: int) -> None:
        self._done += done
        self._tell(min(self._done, self._total), self._total)

    def _load_records(self, connection: duckdb.DuckDBPyConnection) -> None:
        lines = self._folder / "lines"
        with lines.open("wb") as stream:
            for source in self._sources if RECORDS.name in self._needed else ():
                self._write(stream, source)
        connection.execute(_MAKE_LINES, [str(lines)])
        lines.unlink()

    def _write(self, stream: BinaryIO, source: Source) -> None:
        name = source.name.encode()
        runs = self._runs.get(source.path)
        numbers = count(1) if runs is None else chain.from_iterable(runs)
        try:
            for line, (stored, sound) in zip(numbers, _whole_lines(source.path), strict=False):
                stream.write(b"%b\t%d\t%d\t%b\n" % (name, line, sound, stored))
                self._tick(len(stored))
        except LedgerError as error:
            if CREDENTIALS.name not in self._needed and not self._checks:  # else it is told of there
                self.errors.append(absent(source) or error)

    def _load_chains(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The tables that are made of credentials, and of what `verify` says."""
        wanted = [table for table in (CREDENTIALS, CHAINS, FINDINGS) if table.name in self._needed]
        if not wanted:
            return
        streams = {table.name: (self._folder / table.name).open("wb") for table in wanted}
        checked: Iterable[Verified | None] = repeat(None)
        if self._checks:
            checked = verify(self._sources, self._trust, tick=self._tick)
        for source, verified in zip(self._sources, checked, strict=False):
            for name, row in self._rows_of(source, verified):
                if name in streams:
                    _write_row(streams[name], row)
        for table in wanted:
            streams[table.name].close()
            _fill(connection, table.name, dict(table.columns), self._folder / table.name)

    def _rows_of(self, source: Source, verified: Verified | None) -> Iterator[tuple[str, rows.Row]]:
        view, credentials = ChainView(source.path, {}, (), 0), 0
        if verified is not None and source.path in self._runs:
            verified = replace(verified, findings=source.findings)
        try:
            first_record(source.path)
            for view in parts(source.path, self._folder, self._tick) if self._needed & _OF_CREDENTIALS else ():
                credentials += len(view.credentials)
                for credential in view.credentials:
                    yield CREDENTIALS.name, rows.credential_row(view, credential, source.name)
        except LedgerError as error:
            self.errors.append(absent(source, verified.findings if verified else ()) or error)
        if verified is not None:
            yield CHAINS.name, rows.chain_row(view, verified, credentials)
            for row in rows.finding_rows(verified):
                yield FINDINGS.name, row


_OF_CREDENTIALS = {CREDENTIALS.name, CHAINS.name}


def _write_row(stream: BinaryIO, row: rows.Row) -> None:
    try:
        line = json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character, which DuckDB does not take either
        line = json.dumps(fitted(row), ensure_ascii=False).encode()
    stream.write(line + b"\n")


def _fill(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], file: Path) -> None:
    """Put the rows in `file`, a JSON object each, into the table."""
    connection.execute(
        f"INSERT INTO {name} SELECT * FROM read_json(?, format = 'newline_delimited', columns = ?, "  # noqa: S608
        "timestampformat = '%Y-%m-%dT%H:%M:%S.%gZ', maximum_object_size = 16777216)",
        [str(file), dict(columns)],
    )
    file.unlink()


def _named(name: str) -> str:
    """`name` as a text for all tables alike."""
    return "".join("?" if character < " " else character for character in valid(name))


def _whole_lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The lines of `path` without their newlines, and whether they are text as JSON has it; else with "?" for what is
    not. Of one that is too long for a record only the beginning comes."""
    begun = False
    for piece in stored_lines(path):
        ended = piece.endswith(b"\n")
        if not begun:
            stored = piece[:-1] if ended else piece
            text = stored.translate(_CONTROLS)
            try:
                text.decode()
            except UnicodeDecodeError:
                text = text.decode(errors="replace").encode()
            yield text, text == stored and len(stored) <= MAX_LINE
        begun = not ended
