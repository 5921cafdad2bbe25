"""Chains out of the Parquet files that `ledger seal` compacts them to, as files of lines again; it judges no record.

A job that runs while a seal is made is in two of them, and one whose seal never came has lines that the next has as
well. So lines are put together by their chain, whichever files they are in, and what is there twice counts once. Where
two files have different lines under one number, each file's part is a chain of its own: neither replaces the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.reading import first_record, stored_lines
from stepcreds.query.intake import PIECES, take
from stepcreds.review.sources import Source
from stepcreds.review.verification import MAX_FINDINGS
from stepcreds.seals.seal import TABLE_SUFFIX

if TYPE_CHECKING:
    import duckdb

SUFFIX = TABLE_SUFFIX
_JOIN = """
    WITH keyed AS (SELECT *, coalesce(uid, "file") AS key FROM pieces),
    named AS (SELECT key, min(place) AS first, arg_min("file", place) AS name FROM keyed GROUP BY key)
    SELECT first, name, key, line, place, raw FROM keyed JOIN named USING (key)
    ORDER BY first, name, key, line, place
"""
_EACH = """
    WITH torn AS (SELECT unnest(?::VARCHAR[]) AS key),
    keyed AS (SELECT *, coalesce(uid, "file") AS key FROM pieces WHERE coalesce(uid, "file") IN (FROM torn)),
    named AS (SELECT key, place, min("file") AS name FROM keyed GROUP BY key, place)
    SELECT place, name, key, line, place, raw FROM keyed JOIN named USING (key, place)
    ORDER BY place, name, key, line, raw
"""


class Joined(NamedTuple):
    """One chain. Where lines of it are in none of the files, nothing can be said of its links."""

    source: Source  # with what the files contradict each other in, and which lines they do not have
    runs: tuple[range, ...]  # the lines that are there; () where none is missing


class _Odds(NamedTuple):
    """Two places that have different lines under one number."""

    line: int
    one: int
    other: int


def joined(
    tables: Sequence[Source],
    ledgers: Iterable[Source],
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    errors: list[LedgerError],
) -> Iterator[Joined]:
    """The chains in `tables`, each as a file in `folder`; but not those that stand in one of `ledgers`, line by line.

    Their columns are `file`, `line` (from 1) and `raw`, a stored line without its newline; others are not looked at.
    `errors` is told of tables that are none, and of those that contradict each other or a ledger.
    """
    import duckdb

    names = [table.name for table in tables]
    at_odds: Counter[tuple[str, str]] = Counter()
    try:
        connection.execute(PIECES)
        for place, table in enumerate(tables):
            try:
                take(place, table, folder, connection)
            except LedgerError as error:
                errors.append(error)
        ours = _by_uid(ledgers)
        torn: dict[str, list[_Odds]] = {}
        paths = (folder / f"joined-{number}.jsonl" for number in count())
        for (first, name, key), lines in groupby(_fetched(connection, _JOIN), itemgetter(0, 1, 2)):
            path = next(paths)
            runs, odds = _written(path, lines)
            if odds:
                torn[key] = odds
                at_odds.update(dict.fromkeys(((names[each.one], names[each.other]) for each in odds), 1))
                path.unlink()
            else:
                found = Joined(Source(f"{names[first]}:{name}", path, is_of_table=True), runs)
                yield from _beside(found, names[first], ours.get(key, ()), at_odds)
        for (first, name, key), lines in groupby(_fetched(connection, _EACH, list(torn)), itemgetter(0, 1, 2)):
            path = next(paths)
            runs, _ = _written(path, lines)
            source = Source(f"{names[first]}:{name}", path, is_of_table=True)
            findings = tuple(
                _contradiction(source, each, names) for each in torn[key] if first in (each.one, each.other)
            )
            found = Joined(source._replace(findings=findings), runs)
            yield from _beside(found, names[first], ours.get(key, ()), at_odds)
    except duckdb.Error as error:
        errors.append(_not_joined(len(tables), error))
    finally:
        with suppress(duckdb.Error):
            connection.execute("DROP TABLE IF EXISTS pieces")
    errors += (_contradicted(*pair, chains) for pair, chains in at_odds.items())


def _not_joined(tables: int, error: Exception) -> LedgerError:
    which = "1 Parquet file" if tables == 1 else f"{tables} Parquet files"
    return LedgerError(
        f"{which} cannot be put together: {str(error).splitlines()[0]}",
        cause="There is too little room in the temporary folder (TMPDIR), or there are more of them than go at once.",
        fix="Name fewer of them, or the ledgers themselves.",
        docs="ledger-query",
    )


def _contradicted(one: str, other: str, chains: int) -> LedgerError:
    who = f"{one} contradicts itself" if one == other else f"{one} and {other} contradict each other"
    return LedgerError(
        f"{who} in {chains} chain{'' if chains == 1 else 's'}",
        cause="One of them was changed, or was never made by `ledger seal`. The chain is shown as each has it.",
        fix="The column `file` says who has a row; `stepcreds ledger verify --seals` says which tables the seals name.",
        docs="ledger-query",
    )


def _contradiction(source: Source, odds: _Odds, names: Sequence[str]) -> Finding:
    meaning = f"{names[odds.one]} and {names[odds.other]} have different lines here"
    if odds.one == odds.other:
        meaning = f"{names[odds.one]} has different lines here, of which one is shown"
    return Finding("file", source.name, odds.line, "contradiction", meaning, "tampered")


def _written(path: Path, lines: Iterable[tuple[Any, ...]]) -> tuple[tuple[range, ...], list[_Odds]]:
    """`lines`, by their number, in the file `path`: which there are, and where they are at odds."""
    odds: list[_Odds] = []
    runs: list[range] = []
    last = (0, 0, "")
    with path.open("wb") as file:
        for *_, line, place, raw in lines:
            if line != last[0]:
                last = (line, place, raw)
                file.write(raw.encode() + b"\n")
                if runs and runs[-1].stop == line:
                    runs[-1] = range(runs[-1].start, line + 1)
                else:
                    runs.append(range(line, line + 1))
            elif raw != last[2] and len(odds) < MAX_FINDINGS:
                odds.append(_Odds(line, last[1], place))
    return tuple(runs), odds


def _beside(
    found: Joined, table: str, ledgers: Sequence[Source], at_odds: Counter[tuple[str, str]]
) -> Iterator[Joined]:
    """`found`, but where it stands in one of `ledgers`; `at_odds` is told of those that have another line."""
    others = []
    for ledger in ledgers:
        state = _state_in(ledger.path, found)
        if state == "same":
            found.source.path.unlink()
            return
        if state == "other":
            others.append((ledger.name, table))
    at_odds.update(others)
    yield found._replace(source=_with_gap(found), runs=() if _is_whole(found) else found.runs)


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


def _by_uid(ledgers: Iterable[Source]) -> dict[str, list[Source]]:
    found: dict[str, list[Source]] = {}
    for source in ledgers:
        try:
            uid = first_record(source.path).get("chain_uid")
        except LedgerError:  # it is told of where it is read
            continue
        if isinstance(uid, str):
            found.setdefault(uid, []).append(source)
    return found


def _state_in(ledger: Path, found: Joined) -> Literal["same", "shorter", "other"]:
    """Whether `ledger` has the lines of `found`, not all of them, or another one in the place of one."""
    theirs = enumerate(stored_lines(ledger), 1)
    try:
        for number, line in zip(chain.from_iterable(found.runs), stored_lines(found.source.path), strict=False):
            stored = next((stored for at, stored in theirs if at == number), b"")
            if stored != line:
                return "other" if stored.endswith(b"\n") else "shorter"
    except LedgerError:
        return "shorter"
    return "same"


def _fetched(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
    result = connection.cursor().execute(sql, values)
    while some := result.fetchmany(1000):
        yield from some
