"""Chains out of the Parquet files that `ledger seal` compacts them to, as files of lines again; it judges no record.

A job that runs while a seal is made is in two of them, and one whose seal never came has lines that the next has as
well. So lines are put together by their chain, whichever files they are in, and what is there twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.reading import first_record, stored_lines
from stepcreds.review.sources import Source
from stepcreds.review.verification import MAX_FINDINGS
from stepcreds.seals.seal import TABLE_SUFFIX

if TYPE_CHECKING:
    import duckdb

SUFFIX = TABLE_SUFFIX

# A line has no newline in it; one that has is garbage.
_TAKE = """
    INSERT INTO pieces
    SELECT ?, "file", line, replace(raw, chr(10), '?'), CASE WHEN json_valid(raw) THEN raw ->> '$.chain_uid' END
    FROM read_parquet(?)
"""
_JOIN = """
    WITH keyed AS (SELECT *, coalesce(uid, "file") AS key FROM pieces),
    named AS (SELECT key, min(place) AS first, arg_min("file", place) AS name FROM keyed GROUP BY key)
    SELECT first, name, key, line, place, raw FROM keyed JOIN named USING (key)
    ORDER BY first, name, key, line, place
"""


class Joined(NamedTuple):
    """One chain. Where lines of it are in none of the files, nothing can be said of its links."""

    source: Source  # with what the files contradict each other in, and which lines they do not have
    runs: tuple[range, ...]  # the lines that are there; () where none is missing


def joined(
    tables: Sequence[Source],
    ledgers: Iterable[Source],
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    errors: list[LedgerError],
) -> Iterator[Joined]:
    """The chains in `tables`, each as a file in `folder`; but not those that stand in one of `ledgers`, line by line.

    Their columns are `file`, `line` (from 1) and `raw`, a stored line without its newline; others are not looked at.
    `errors` is told of tables that are none.
    """
    connection.execute('CREATE TABLE pieces (place INTEGER, "file" VARCHAR, line BIGINT, raw VARCHAR, uid VARCHAR)')
    for place, table in enumerate(tables):
        try:
            _take(place, table, folder, connection)
        except LedgerError as error:
            errors.append(error)
    ours = dict(_by_uid(ledgers))
    for number, ((first, name, key), lines) in enumerate(
        groupby(_fetched(connection.cursor().execute(_JOIN)), itemgetter(0, 1, 2))
    ):
        path = folder / f"joined-{number}.jsonl"
        found = _written(Source(f"{tables[first].name}:{name}", path), lines, tables)
        if key in ours and not found.source.findings and _stands_in(ours[key], found):
            path.unlink()
        else:
            yield found._replace(source=_with_gap(found), runs=() if _is_whole(found) else found.runs)
    connection.execute("DROP TABLE pieces")


def _take(place: int, table: Source, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    # Its own name may be a pattern to DuckDB, or a URL.
    link = folder / f"{place}{SUFFIX}"
    link.symlink_to(table.path.absolute())
    try:
        connection.execute(_TAKE, [place, str(link)])
        odd = 'place = ? AND (line IS NULL OR line < 1 OR raw IS NULL OR "file" IS NULL)'
        (count,) = connection.execute(f"SELECT count(*) FROM pieces WHERE {odd}", [place]).fetchone() or (0,)  # noqa: S608
        if count:
            connection.execute("DELETE FROM pieces WHERE place = ?", [place])
            raise _no_table(table, "a row without a file, a line from 1, or a text")
    except duckdb.Error as error:
        raise _no_table(table, str(error).splitlines()[0]) from None
    finally:
        link.unlink()


def _no_table(table: Source, why: str) -> LedgerError:
    return LedgerError(
        f"{table.name} is no Parquet file of `ledger seal`: {why}",
        fix="Name the ledgers themselves, or fetch that file again.",
        docs="ledger-query",
    )


def _written(source: Source, lines: Iterable[tuple[Any, ...]], tables: Sequence[Source]) -> Joined:
    """`lines`, by their number, as the file of `source`."""
    findings: list[Finding] = []
    runs: list[range] = []
    last = (0, 0, "")
    with source.path.open("wb") as file:
        for *_, line, place, raw in lines:
            if line != last[0]:
                last = (line, place, raw)
                file.write(raw.encode() + b"\n")
                if runs and runs[-1].stop == line:
                    runs[-1] = range(runs[-1].start, line + 1)
                else:
                    runs.append(range(line, line + 1))
            elif raw != last[2] and len(findings) < MAX_FINDINGS:
                meaning = f"{tables[last[1]].name}, which counts, and {tables[place].name} have different lines here"
                findings.append(Finding("file", source.name, line, "contradiction", meaning, "tampered"))
    return Joined(source._replace(findings=tuple(findings)), tuple(runs))


def _is_whole(found: Joined) -> bool:
    return len(found.runs) == 1 and found.runs[0].start == 1


def _with_gap(found: Joined) -> Source:
    source = found.source
    if _is_whole(found):
        return source
    # The first that is missing, and the next that is there.
    first = 1 if found.runs[0].start > 1 else found.runs[0].stop
    last = (found.runs[0] if first == 1 else found.runs[1]).start - 1
    which = f"line {first} is" if first == last else f"the lines {first} to {last} are"
    meaning = f"{which} in none of the Parquet files that were named; its links were not checked"
    return source._replace(
        findings=(*source.findings, Finding("file", source.name, first, "gap", meaning, "incomplete"))
    )


def _by_uid(ledgers: Iterable[Source]) -> Iterator[tuple[str, Path]]:
    for source in ledgers:
        try:
            uid = first_record(source.path).get("chain_uid")
        except LedgerError:  # it is told of where it is read
            continue
        if isinstance(uid, str):
            yield uid, source.path


def _stands_in(ledger: Path, found: Joined) -> bool:
    theirs = enumerate(stored_lines(ledger), 1)
    try:
        return all(
            next((stored for at, stored in theirs if at == number), b"") == line
            for number, line in zip(chain.from_iterable(found.runs), stored_lines(found.source.path), strict=False)
        )
    except LedgerError:
        return False


def _fetched(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while some := result.fetchmany(1000):
        yield from some
