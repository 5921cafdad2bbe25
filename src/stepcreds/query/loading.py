"""Fills the tables that a question names with what ledgers say; it answers nothing.

Files are read by us, line by line, and never by DuckDB under their own names: a name may hold a pattern or a URL, and a
line may be of a later version, or garbage.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import fitted, valid
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.reading import read_chain, stored_lines
from stepcreds.ledger.view import ChainView, CredentialView
from stepcreds.query import compacted, rows
from stepcreds.query.tables import CHAINS, CREDENTIALS, FINDINGS, OVERLAPS, RECORDS, SHARED, STEPS, TABLES
from stepcreds.review.sources import Source
from stepcreds.review.verification import Verified, verify
from stepcreds.trust.keys import Trust

if TYPE_CHECKING:
    import duckdb

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
           prev, "schema", raw
    FROM named
"""  # noqa: S608


class Loader:
    """One pass over all sources. `errors` is why some of them are not in the tables."""

    def __init__(self, folder: Path, sources: Iterable[Source], trust: Trust | None, question: str) -> None:
        asked = question.lower()
        self.errors: list[LedgerError] = []
        self._needed = {table.name for table in TABLES if table.name in asked}
        if STEPS.name in self._needed:
            self._needed.add(CREDENTIALS.name)
        self._folder = folder
        self._sources = list(sources)
        self._trust = trust

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make all tables, and fill those that the question names."""
        self._sources = [Source(_named(source.name), source.path) for source in self._unpacked(connection)]
        self._load_records(connection)
        for table in TABLES:
            if table.sql:
                connection.execute(f"CREATE VIEW {table.name} AS {table.sql}")
            else:
                connection.execute(f"CREATE TABLE {table.name} ({table.declared})")
        self._load_chains(connection)

    def _unpacked(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Source]:
        for source in self._sources:
            if source.path.suffix != compacted.SUFFIX:
                yield source
                continue
            try:
                yield from compacted.unpacked(source, self._folder, connection)
            except LedgerError as error:
                self.errors.append(error)

    def _load_records(self, connection: duckdb.DuckDBPyConnection) -> None:
        lines = self._folder / "lines"
        with lines.open("wb") as stream:
            for source in self._sources if RECORDS.name in self._needed else ():
                self._write(stream, source)
        connection.execute(_MAKE_LINES, [str(lines)])
        lines.unlink()

    def _write(self, stream: BinaryIO, source: Source) -> None:
        name = source.name.encode()
        try:
            for line, (stored, sound) in enumerate(_whole_lines(source.path), 1):
                stream.write(b"%b\t%d\t%d\t%b\n" % (name, line, sound, stored))
        except LedgerError as error:
            self.errors.append(error)

    def _load_chains(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The tables that are made of credentials, and of what `verify` says."""
        wanted = [table for table in TABLES if table.name in self._needed and not table.sql]
        if not wanted:
            return
        texts = {table.name: (self._folder / table.name).open("wb") for table in wanted}
        held: list[tuple[str, CredentialView]] = []
        checks = {CHAINS.name, FINDINGS.name} & texts.keys()
        checked: Iterable[Verified | None] = verify(self._sources, self._trust) if checks else repeat(None)
        for source, verified in zip(self._sources, checked, strict=False):
            try:
                chain = read_chain(source.path)
            except LedgerError as error:
                self.errors.append(error)
                chain = ChainView(source.path, {}, (), 0)
            for name, row in _rows_of(chain, verified, source.name, texts.keys()):
                _write_row(texts[name], row)
            if SHARED.name in texts:
                held += ((source.name, credential) for credential in chain.credentials)
        for row in rows.shared_rows(held):
            _write_row(texts[SHARED.name], row)
        for table in wanted:
            texts[table.name].close()
            _fill(connection, table.name, dict(table.columns), self._folder / table.name)


def _rows_of(
    chain: ChainView, verified: Verified | None, name: str, wanted: Iterable[str]
) -> Iterator[tuple[str, rows.Row]]:
    tables = set(wanted)
    if CREDENTIALS.name in tables:
        for credential in chain.credentials:
            yield CREDENTIALS.name, rows.credential_row(chain, credential, name)
    if OVERLAPS.name in tables:
        for row in rows.overlap_rows(chain, name):
            yield OVERLAPS.name, row
    if verified is not None and CHAINS.name in tables:
        yield CHAINS.name, rows.chain_row(chain, verified)
    if verified is not None and FINDINGS.name in tables:
        for row in rows.finding_rows(verified):
            yield FINDINGS.name, row


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
