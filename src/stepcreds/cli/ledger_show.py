"""`stepcreds ledger show`: a line for each credential on record; it changes nothing."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from stepcreds.cli.csv_text import csv_lines
from stepcreds.cli.ledger_chosen import Chosen, Shown
from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_selection import selection_options
from stepcreds.cli.ledger_text import SIGNED, TAMPERED, cells, credential_json, signed_footer, table
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import progress
from stepcreds.errors import UsageError
from stepcreds.ledger.view import CredentialView
from stepcreds.printable import json_text, one_line
from stepcreds.query.rows import credential_row
from stepcreds.query.tables import CREDENTIALS
from stepcreds.review.dossier import Chapter, glance
from stepcreds.review.selection import Selection


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
    is_coloured = coloured(sys.stdout)
    form = _json if json_output else _csv if csv_output else partial(cells, colour=is_coloured)
    chosen = Chosen(selection, form, limit)
    with ledgers(places, config_path) as sources, progress("Reading ledgers") as tell:
        trust = trusted(trust_path)
        for verified, seen in glance(sources, chosen.look, trust, tell):
            chosen.take(verified, seen)
    shown = chosen.shown()
    if json_output:
        click.echo(json_text([{**each.content, "signed": each.signed, "tampered": each.is_tampered} for each in shown]))
    elif csv_output:
        rows = ([*each.content, each.signed, each.is_tampered] for each in shown)
        for line in csv_lines([*(name for name, _ in CREDENTIALS.columns), "signed", "tampered"], rows):
            click.echo(line, nl=False)
    elif shown:
        click.echo(table((_marked(each) for each in shown), chosen.alike()))
        if chosen.count > len(shown):
            click.echo(f"Left out by --limit: {chosen.count - len(shown)} older than these")
        tampered = {each.file for each in shown if each.is_tampered}
        click.echo(signed_footer([each.signed for each in shown], tampered, trust))
    elif chosen.chapters:
        click.echo("No such credential on record.")
    else:
        click.echo("No ledger could be read." if chosen.errors else "No ledger here yet.")
    return _problems(chosen)


def _json(chapter: Chapter, credential: CredentialView) -> dict[str, object]:
    return {**credential_json(credential), "file": chapter.source.name}


def _csv(chapter: Chapter, credential: CredentialView) -> list[object]:
    row = credential_row(chapter.view, credential, chapter.source.name)
    return [row.get(name) for name, _ in CREDENTIALS.columns]


def _marked(row: Shown) -> list[str]:
    """The cells of one; what a file says beside others came after they were made."""
    return [*row.content[:SIGNED], TAMPERED, *row.content[SIGNED + 1 :]] if row.is_tampered else row.content


def _problems(chosen: Chosen) -> int:
    for name, unreadable in chosen.unreadable:
        file, lines = one_line(name), "1 line" if unreadable == 1 else f"{unreadable} lines"
        click.echo(f"{file}: {lines} could not be read; run: stepcreds ledger verify {file}", err=True)
    for error in chosen.errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if chosen.errors else 0
