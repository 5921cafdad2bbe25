"""`stepcreds ledger postmortem`: one run taken apart by its records; it changes nothing and asks nobody."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from stepcreds.cli.ledger_options import ledgers, places_argument, require_some, trust_option, trusted
from stepcreds.cli.options import config_option
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock
from stepcreds.config.database_url import DatabaseURLError, parse_database_url
from stepcreds.errors import UsageError
from stepcreds.ledger.credential import server_of
from stepcreds.measurement import Level
from stepcreds.printable import one_line, printable
from stepcreds.review.selection import Selection, moment

EPILOG = """\b
Examples:
  stepcreds ledger postmortem artifacts/ --run 4711 --at 2026-11-22T14:02:00Z --needs ddl
  stepcreds ledger postmortem --run 4711 --format html --output 4711.html
  stepcreds ledger postmortem --run 4711 --at '2026-11-22 14:02' --format json | jq '.suspects[] | [.standing, .step]'
\b
Exits with 0 when it was written, 2 for wrong usage and for a run that is not on record.
"""


@click.command("postmortem", epilog=EPILOG)
@places_argument
@config_option
@trust_option
@click.option("--run", required=True, metavar="ID", help="The run (the CI's own run id).")
@click.option("--attempt", metavar="N", help="Only this attempt of it.")
@click.option("--repository", metavar="ID", help="Its repository, by id or name, where several have such a run.")
@click.option("--at", metavar="TIME", help="When the damage was done: 2026-11-22T14:02:00Z, '2026-11-22 14:02', 2h.")
@click.option(
    "--needs",
    type=click.Choice(["read", "write", "ddl", "admin"]),
    default="write",
    show_default=True,
    help="The least that the damage took; a table that is gone: ddl.",
)
@click.option(
    "--database",
    "damaged",
    metavar="URL",
    help="Where the damage was, as `ledger show --json` names it. Default: the databases that the run could reach.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Hold every other run against the damage, also of other databases."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html", "json"]),
    default="markdown",
    show_default=True,
    help="What is written.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it to this new file, instead of printing it.",
)
def command(
    *,
    places: tuple[str, ...],
    config_path: Path | None,
    trust_path: Path | None,
    run: str,
    attempt: str | None,
    repository: str | None,
    at: str | None,
    needs: Level,
    damaged: str | None,
    everything: bool,
    form: str,
    output: Path | None,
) -> int:
    """Take one run apart: each step by six questions, and who could have done a damage.

    Which credentials did it hold, were they necessary, how long were they active, could it have been dead before the
    damage, did its scope match the task, who else shares it. Each answer names the records that it rests on, and says
    what is not known. With --at it ranks who could have done it at that moment, and says what proves that others could
    not have.
    """
    from stepcreds.report.postmortem import postmortem
    from stepcreds.report.postmortem_gone import gone_of
    from stepcreds.report.postmortem_reach import gather
    from stepcreds.review.dossier import read

    damage = None if at is None else moment(at, SystemClock().now())
    servers = None if damaged is None else _servers(damaged)
    with ledgers(places, config_path) as sources:
        require_some(sources, "postmortem")
        trust = trusted(trust_path)
        with progress("Reading ledgers") as tell:
            if everything:
                dossier, passed = read(sources, trust, tell), None
            else:
                dossier, passed = gather(sources, run, trust, tell, at=damage, servers=servers)
        gone = gone_of(sources, dossier)
    chosen = Selection(repository=repository, run=run, attempt=attempt)
    found = postmortem(dossier, chosen, damage, needs, passed=passed, servers=servers, gone=gone)
    pieces: Iterable[str]
    if form == "html":
        from stepcreds.report.postmortem_html import html

        pieces = html(found)
    elif form == "json":
        from stepcreds.printable import json_text
        from stepcreds.report.postmortem_json import as_json

        pieces = [json_text(as_json(found)), "\n"]
    else:
        from stepcreds.report.postmortem_markdown import markdown

        pieces = [markdown(found)]
    _write(pieces, output)
    return 0


def _servers(url: str) -> frozenset[str]:
    """Where that database is, as post-mortems compare it."""
    try:
        database = parse_database_url(url, Path("/"))
    except DatabaseURLError as error:
        what, how = error.problems[0]
        raise UsageError(f"--database: {what}", fix=how, docs="ledger-postmortem") from None
    return frozenset({server_of(database).partition("://")[2].lower()})


def _write(pieces: Iterable[str], output: Path | None) -> None:
    if output is None:
        for piece in pieces:
            # A CI's log reader is not to find a command in it; the texts from outside are printable already.
            click.echo(printable(piece, sys.maxsize), nl=False)
        return
    first, *rest = pieces  # before there is a file, what is missing for it
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(first)
            file.writelines(rest)
    except OSError as error:
        raise UsageError(
            f"{one_line(str(output))} cannot be written: {error.strerror}",
            fix="Name a file that is not there yet, in a folder that you may write to.",
            docs="ledger-postmortem",
        ) from None
    click.echo(f"Written: {one_line(str(output))}")
