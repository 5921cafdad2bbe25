"""`stepcreds ledger show`: a line for each credential on record; it changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from stepcreds.cli.csv_text import csv_lines
from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_selection import selection_options
from stepcreds.cli.ledger_text import credential_json, signed_footer, table
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import progress
from stepcreds.errors import UsageError
from stepcreds.ledger.view import CredentialView
from stepcreds.printable import json_text, one_line
from stepcreds.query.rows import credential_row
from stepcreds.query.tables import CREDENTIALS
from stepcreds.review.dossier import Chapter, Dossier, read
from stepcreds.review.selection import Selection, is_signed, is_tampered


@click.command(
    "show",
    epilog="""\b
Examples:
  stepcreds ledger show
  stepcreds ledger show --unproven artifacts/
  stepcreds ledger show --repository shop/app --since 2026-11-22 --excess artifacts/
  stepcreds ledger show --since 2h --csv artifacts/ > credentials.csv
  stepcreds ledger show --run 4711 --json | jq '.[].issued.lease_id'
\b
Exits with 0, also when nothing is on record; 1 when a file could not be read; 2 for wrong usage or configuration.
""",
)
@places_argument
@config_option
@trust_option
@json_option
@click.option("--csv", "csv_output", is_flag=True, help="Print CSV, with the columns of `ledger query`'s credentials.")
@selection_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N of them.")
def command(
    *,
    places: tuple[str, ...],
    config_path: Path | None,
    trust_path: Path | None,
    json_output: bool,
    csv_output: bool,
    selection: Selection,
    limit: int | None,
) -> int:
    """Print a line for each credential: who held it, for how long, and how it ended. The newest comes last.

    ALIVE is the time from issue to proof of death. Without a proof it is the time to expiry, and says "at most".
    SIGNED says whether a key of the trust file has signed what is shown, or TAMPERED where the file was changed.
    """
    if json_output and csv_output:
        raise UsageError("--json and --csv ask for two forms at once", fix="Name one of them.", docs="ledger-filters")
    with ledgers(places, config_path) as sources, progress("Reading ledgers") as tell:
        dossier = read(sources, trusted(trust_path, places), tell)
    chosen = [(chapter, each) for chapter, each in dossier.credentials if selection.takes(chapter, each)]
    chosen.sort(key=_time)
    left_out = max(0, len(chosen) - limit) if limit else 0
    chosen = chosen[left_out:]
    if json_output:
        shown = [
            {
                **credential_json(each),
                "file": chapter.source.name,
                "signed": is_signed(chapter, each),
                "tampered": is_tampered(chapter),
            }
            for chapter, each in chosen
        ]
        click.echo(json_text(shown))
    elif csv_output:
        _print_csv(chosen)
    elif chosen:
        click.echo(table(chosen, coloured(sys.stdout)))
        if left_out:
            click.echo(f"Left out by --limit: {left_out} older than these")
        click.echo(signed_footer(chosen, dossier.trust))
    else:
        click.echo("No such credential on record." if dossier.chapters else "No ledger here yet.")
    return _problems(dossier)


def _print_csv(chosen: list[tuple[Chapter, CredentialView]]) -> None:
    names = [name for name, _ in CREDENTIALS.columns]
    rows = (credential_row(chapter.view, each, chapter.source.name) for chapter, each in chosen)
    states = ((is_signed(chapter, each), is_tampered(chapter)) for chapter, each in chosen)
    cells = ([*(row.get(name) for name in names), *state] for row, state in zip(rows, states, strict=True))
    for line in csv_lines([*names, "signed", "tampered"], cells):
        click.echo(line, nl=False)


def _problems(dossier: Dossier) -> int:
    for chapter in dossier.chapters:
        unreadable = chapter.view.unreadable
        if unreadable:
            file, lines = one_line(chapter.source.name), "1 line" if unreadable == 1 else f"{unreadable} lines"
            click.echo(f"{file}: {lines} could not be read; run: stepcreds ledger verify {file}", err=True)
    for error in dossier.errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if dossier.errors else 0


def _time(chosen: tuple[Chapter, CredentialView]) -> float:
    return chosen[1].time or 0.0
