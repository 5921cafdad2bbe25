"""`stepcreds ledger export`: ledgers for a SIEM, an event a line; it sends nothing anywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from stepcreds.cli.ledger_options import ledgers, places_argument, require_some, trust_option, trusted
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import Tell, progress
from stepcreds.clock import SystemClock
from stepcreds.errors import LedgerError
from stepcreds.report.exports import Entry, Fault, entries
from stepcreds.review.selection import moment


@click.command(
    "export",
    epilog="""\b
Examples:
  stepcreds ledger export --format ocsf artifacts/ > events.jsonl
  stepcreds ledger export --format ocsf --since 1h --trust stepcreds-trust.json artifacts/
  stepcreds ledger export --format otel artifacts/ > logs.jsonl
\b
Exits with 0 when all was read and nothing is wrong with it, 1 for findings (they are in the output) or a file that
could not be read, 2 for wrong usage or configuration.
""",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ocsf", "otel"]),
    required=True,
    help="ocsf: events of OCSF 1.8.0. otel: log records of OpenTelemetry, as OTLP's JSON.",
)
@click.option(
    "--since", metavar="TIME", help="Only records of then or later: RFC 3339, a date, 2h. Findings always come."
)
@places_argument
@config_option
@trust_option
def command(
    form: str, since: str | None, places: tuple[str, ...], config_path: Path | None, trust_path: Path | None
) -> int:
    """Print every record, and every finding of `ledger verify`, as one JSON object a line.

    Each says whether it is signed by a key of the trust file, and whether its file was tampered with.
    """
    now = SystemClock().now()
    first = None if since is None else moment(since, now)
    code, errors = 0, []
    with ledgers(places, config_path) as sources:
        require_some(sources, "export")
        trust = trusted(trust_path)
        with _told() as tell:
            for each in entries(sources, trust, tell):
                if isinstance(each, LedgerError):
                    errors.append(each)
                    continue
                if isinstance(each, Entry) and first is not None and each.time < first:
                    continue
                code = 1 if isinstance(each, Fault) else code
                for event in _events(form, each, now):
                    # In JSON a "#" stands inside of a text only: no log of a CI is to take it for a command.
                    click.echo(json.dumps(event, separators=(",", ":")).replace("##", "#\\u0023"))
    for error in errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if errors else code


def _told() -> AbstractContextManager[Tell]:
    """How far it is; where the lines go to a terminal themselves, they say so."""
    return nullcontext(lambda _done, _total: None) if sys.stdout.isatty() else progress("Reading ledgers")


def _events(form: str, each: Entry | Fault, now: float) -> Iterator[dict[str, Any]]:
    if form == "ocsf":
        from stepcreds.report.exports_ocsf import events, fault_event

        yield from [fault_event(each, now)] if isinstance(each, Fault) else events(each)
    else:
        from stepcreds.report.exports_otel import fault_data, log_data

        yield fault_data(each, now) if isinstance(each, Fault) else log_data(each)
