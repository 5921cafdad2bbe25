"""`stepcreds ledger report`: one HTML file of all that ledgers say; it changes none of them and asks no server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from stepcreds.cli.ledger_options import ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_seals import sealed, seals_option
from stepcreds.cli.ledger_selection import selection_options
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock, rfc3339
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.review.dossier import read
from stepcreds.review.selection import Selection

STDOUT = "-"


@click.command(
    "report",
    epilog="""\b
Examples:
  stepcreds ledger report
  stepcreds ledger report --trust stepcreds-trust.json --output week-47.html artifacts/
  stepcreds ledger report --repository shop/app --since 7d s3://ledgers/shop
  stepcreds ledger report --run 4711 --output - artifacts/ > run.html
\b
Exits with 0 when nothing needs attention, 1 when something does or a file could not be read (the report is written all
the same), 2 for wrong usage or configuration.
""",
)
@places_argument
@click.option(
    "--output",
    default="ledger-report.html",
    show_default=True,
    metavar="FILE",
    help="The file to write, or - for standard output. An earlier report is replaced, any other file is not.",
)
@click.option("--force", is_flag=True, help="Replace the file also where it is no report of stepcreds.")
@click.option("--title", default="Credentials of CI steps", show_default=True, metavar="TEXT", help="Of the page.")
@config_option
@trust_option
@seals_option
@selection_options
def command(
    *,
    places: tuple[str, ...],
    output: str,
    force: bool,
    title: str,
    config_path: Path | None,
    trust_path: Path | None,
    seals_place: str | None,
    selection: Selection,
) -> int:
    """Write one HTML file for a reviewer: what needs attention first, time lines, and each credential to its records.

    The file needs no network and no other file, and opens from the disk. A job of which one credential is asked for is
    in it as a whole, so that it is seen what lived beside it.
    """
    from stepcreds.report.html.contents import contents
    from stepcreds.report.html.page import page, summary
    from stepcreds.report.html.writing import require_place, write

    if output != STDOUT:
        require_place(Path(output), force=force)
    with ledgers(places, config_path) as sources:
        if not sources:
            raise UsageError(
                "There is no ledger to report on",
                cause="No step has written one yet, or it was removed.",
                fix="Name the files or folders: stepcreds ledger report PLACES",
                docs="ledger",
            )
        trust = trusted(trust_path)
        seals = sealed(seals_place, trust) if seals_place is not None else None
        with progress("Reading ledgers") as tell:
            dossier = read(sources, trust, tell, seals=seals)
    said = contents(dossier, selection.takes)
    now = SystemClock().now()
    pieces = page(said, trust=trust, now=now, title=title, seals=seals, selection=_words(selection))
    if output == STDOUT:
        for piece in pieces:
            click.echo(piece, nl=False)
    else:
        write(Path(output), pieces, force=force)
    place = "standard output" if output == STDOUT else one_line(output)
    click.echo(f"{place}: {summary(said)}", err=output == STDOUT)
    for error in dossier.errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if said.findings or said.alarming or said.errors else 0


def _words(selection: Selection) -> str:
    """What was asked for, for the head of the page; "" for everything."""
    asked = {name: value for name, value in vars(selection).items() if value not in (None, False)}
    words = [
        name if value is True else f"{name} {rfc3339(value) if isinstance(value, float) else value}"
        for name, value in asked.items()
    ]
    return ", ".join(words)
