"""`stepcreds ledger query`: SQL over ledgers; it writes nothing but the answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from stepcreds.cli.csv_text import csv_lines
from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.messages import coloured, render_error, render_warning
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import progress
from stepcreds.errors import UsageError
from stepcreds.printable import json_text, one_line
from stepcreds.query.tables import TABLES

MOST = 1000  # rows of a table on a screen
CELL = 100  # characters of one of its cells


@click.command(
    "query",
    epilog="""\b
Examples:
  stepcreds ledger query
  stepcreds ledger query "SELECT profile, count(*) FROM credentials WHERE NOT proven GROUP BY ALL" artifacts/
  stepcreds ledger query "FROM chains WHERE tampered > 0 OR signing <> 'signed'" artifacts/ --trust trust.json
  stepcreds ledger query --csv "FROM steps WHERE step_end > '2026-11-22 14:00'" artifacts/ > steps.csv
  stepcreds ledger query --json "SELECT record -> '$.claims' FROM records WHERE kind = 'chain.opened'" artifacts/
\b
Exits with 0, also when no row came of it; 1 when a file could not be read, or a Parquet file contradicts another or a
ledger; 2 for a query that cannot be answered, or wrong usage or configuration.
""",
)
@click.argument("sql", required=False)
@places_argument
@config_option
@trust_option
@json_option
@click.option("--csv", "csv_output", is_flag=True, help="Print CSV.")
def command(
    sql: str | None,
    places: tuple[str, ...],
    config_path: Path | None,
    trust_path: Path | None,
    json_output: bool,
    csv_output: bool,
) -> int:
    """Ask ledgers in SQL, as DuckDB speaks it. Without SQL, list what can be asked: tables and their columns.

    Nothing but what was loaded can be reached: no file, no network, no extension; and nothing can be written. Times are
    in UTC. A line that is no record breaks nothing: it is a row of `records` whose kind is NULL.
    """
    if sql is None:
        click.echo(_listed(json_output))
        return 0
    if json_output and csv_output:
        raise UsageError("--json and --csv ask for two forms at once", fix="Name one of them.", docs="ledger-query")
    if _is_place(sql):
        raise UsageError(
            f"{one_line(sql)} is a place, and no SQL",
            cause="The SQL comes first, in quotes; then the places.",
            fix=f'stepcreds ledger query "FROM credentials" {one_line(sql)}',
            docs="ledger-query",
        )
    from stepcreds.query.database import answer, loaded

    trust = trusted(trust_path)
    with ledgers(places, config_path, tables=True) as sources, ExitStack() as stack:
        if not sources:
            text = "there is no ledger here, so that every table is empty: name files, folders, or the URL of a store"
            click.echo(render_warning(text, coloured(sys.stderr)), err=True)
        with progress("Loading") as tell:  # gone before anything else is said
            database = stack.enter_context(loaded(sources, trust, sql, tell))
        said = answer(database, sql)
        if json_output:
            _print_json(_distinct(said.columns), said.types, said.rows)
        elif csv_output:
            for line in csv_lines(said.columns, (list(map(_plain, row)) for row in said.rows)):
                click.echo(line, nl=False)
        else:
            _print_table(said.columns, said.rows)
        for error in database.errors:
            click.echo(render_error(error, coloured(sys.stderr)), err=True)
        return 1 if database.errors else 0


def _is_place(sql: str) -> bool:
    try:
        return Path(sql).exists()
    except (OSError, ValueError):  # too long for a name
        return False


def _listed(json_output: bool) -> str:
    if json_output:
        return json_text([{"name": table.name, "row": table.row, "columns": dict(table.columns)} for table in TABLES])
    parts = []
    for table in TABLES:
        columns = ", ".join(name if kind == "VARCHAR" else f"{name} {kind}" for name, kind in table.columns)
        wrapped = click.wrap_text(columns, 100, initial_indent="  ", subsequent_indent="  ")
        parts.append(f"{table.name}: a row is {table.row}\n{wrapped}")
    return "\n\n".join([*parts, "A column without a type is text (VARCHAR)."])


def _print_table(columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    some = list(islice(rows, MOST))
    cells = [[one_line(_text(_plain(value)), CELL) for value in row] for row in some]
    headers = [one_line(name, CELL) for name in columns]
    click.echo(tabulate(cells, headers=headers, tablefmt="plain", disable_numparse=True))
    more = sum(1 for _ in rows)
    if more:
        click.echo(f"And {more} more rows: --csv and --json print all of them.")


def _print_json(columns: Sequence[str], types: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """An array of one object for each row, without holding them all."""
    before = "[\n"
    for row in rows:
        values = {
            name: json.loads(value) if kind == "JSON" and isinstance(value, str) else _plain(value)
            for name, kind, value in zip(columns, types, row, strict=True)
        }
        click.echo(before + json_text(values), nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


def _distinct(columns: Sequence[str]) -> list[str]:
    """Of columns that have one name, all but the first with a number."""
    found: list[str] = []
    for name in columns:
        number, unique = 1, name
        while unique in found:
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _plain(value: Any) -> Any:  # noqa: PLR0911 - a type each
    """What DuckDB gives, as JSON has it: times in RFC 3339, durations in seconds, bytes in hexadecimal."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + ("Z" if value.tzinfo is None else "")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no infinity
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return json.dumps(value) if isinstance(value, (dict, bool)) else str(value)
