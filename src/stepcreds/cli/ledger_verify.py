"""`stepcreds ledger verify`: whether ledgers are whole, and what is wrong with them; it changes nothing."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_text import finding_line, summary_line
from stepcreds.cli.messages import coloured
from stepcreds.cli.options import config_option
from stepcreds.errors import UsageError
from stepcreds.printable import json_text
from stepcreds.review.verification import verify

UNSIGNED = "Not signed: this finds damage and changed lines, but not a chain that was rewritten as a whole."


@click.command(
    "verify",
    epilog="""\b
Examples:
  stepcreds ledger verify
  stepcreds ledger verify artifacts/ 4711-1-deploy-0f3a9c21d8b4.jsonl

Exits with 0 when nothing was found, 1 for findings, 2 for wrong usage or configuration.
""",
)
@places_argument
@config_option
@trust_option
@json_option
def command(places: tuple[str, ...], config_path: Path | None, trust_path: Path | None, json_output: bool) -> int:
    """Check that nothing was changed, removed, added or moved, and that every credential has an end on record.

    A chain that is not closed yet is "open", which is no finding. The ledger is not signed yet: whoever can write to
    the file can write a whole new chain, and this does not find that.
    """
    results = []
    with ledgers(places, config_path) as sources:
        if not sources:
            raise UsageError(
                "There is no ledger to verify",
                cause="No step has written one yet, or it was removed.",
                fix="Name the files or folders: stepcreds ledger verify PLACES",
                docs="ledger",
            )
        for result in verify(sources, trusted(trust_path)):
            results.append(result)
            if not json_output:
                click.echo(summary_line(result, coloured(sys.stdout)))
                for finding in result.findings:
                    click.echo(finding_line(finding))
    if json_output:
        click.echo(json_text([asdict(result) for result in results]))
    else:
        click.echo(UNSIGNED)
    return 1 if any(result.findings for result in results) else 0
