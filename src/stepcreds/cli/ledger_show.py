"""`stepcreds ledger show`: a line for each credential on record; it changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_text import credential_json, table
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option
from stepcreds.ledger.view import CredentialView
from stepcreds.printable import json_text, one_line
from stepcreds.review.dossier import read


@click.command(
    "show",
    epilog="""\b
Examples:
  stepcreds ledger show
  stepcreds ledger show --unproven artifacts/
  stepcreds ledger show --run 4711 --json | jq '.[].issued.lease_id'
""",
)
@places_argument
@config_option
@trust_option
@json_option
@click.option("--run", metavar="ID", help="Only this run (the CI's own run id).")
@click.option("--step", metavar="NAME", help="Only steps of this name.")
@click.option("--profile", metavar="NAME", help="Only this profile.")
@click.option("--open", "only_open", is_flag=True, help="Only credentials whose end is not on record.")
@click.option("--unproven", is_flag=True, help="Only credentials that were not proven dead.")
def command(
    *,
    places: tuple[str, ...],
    config_path: Path | None,
    trust_path: Path | None,
    json_output: bool,
    run: str | None,
    step: str | None,
    profile: str | None,
    only_open: bool,
    unproven: bool,
) -> int:
    """Print a line for each credential: who held it, for how long, and how it ended.

    ALIVE is the time from issue to proof of death. Without a proof it is the time to expiry, and says "at most".
    """
    with ledgers(places, config_path) as sources:
        dossier = read(sources, trusted(trust_path))
    credentials = [
        credential
        for _, credential in dossier.credentials
        if run in (None, credential.job.get("run_id"))
        and step in (None, credential.step_name)
        and profile in (None, credential.profile)
        and not (only_open and credential.closed)
        and not (unproven and (credential.proven or credential.verdict == "not issued"))
    ]
    credentials.sort(key=_time)
    if json_output:
        click.echo(json_text([credential_json(credential) for credential in credentials]))
    elif credentials:
        click.echo(table(credentials, coloured(sys.stdout)))
    else:
        click.echo("No such credential on record." if dossier.chapters else "No ledger here yet.")
    for chapter in dossier.chapters:
        unreadable = chapter.view.unreadable
        if unreadable:
            file, lines = one_line(chapter.source.name), "1 line" if unreadable == 1 else f"{unreadable} lines"
            click.echo(f"{file}: {lines} could not be read; run: stepcreds ledger verify {file}", err=True)
    for error in dossier.errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if dossier.errors else 0


def _time(credential: CredentialView) -> float:
    return credential.time or 0.0
