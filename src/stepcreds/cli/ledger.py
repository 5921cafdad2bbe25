"""`stepcreds ledger`: shows what is on record, checks it, and copies it; it changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from stepcreds.cli.ledger_text import credential_json, finding_line, summary_line, table
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import config_option, working_folder
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.folder import chain_files
from stepcreds.ledger.reading import CredentialView, read_chain, read_chains
from stepcreds.ledger.verify import verify as verify_files
from stepcreds.printable import json_text, one_line

UNSIGNED = "Not signed: this finds damage and changed lines, but not a chain that was rewritten as a whole."

paths_argument = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON, with every identifier in full.")


@click.group("ledger")
def command() -> None:
    """Read and check the ledger: which step held which credential, and how it died.

    PATHS are ledger files, or folders of them. Without PATHS, the folder of the configuration (ledger.path) is read.
    """


@command.command(
    "show",
    epilog="""\b
Examples:
  stepcreds ledger show
  stepcreds ledger show --unproven artifacts/
  stepcreds ledger show --run 4711 --json | jq '.[].issued.lease_id'
""",
)
@paths_argument
@config_option
@json_option
@click.option("--run", metavar="ID", help="Only this run (the CI's own run id).")
@click.option("--step", metavar="NAME", help="Only steps of this name.")
@click.option("--profile", metavar="NAME", help="Only this profile.")
@click.option("--open", "only_open", is_flag=True, help="Only credentials whose end is not on record.")
@click.option("--unproven", is_flag=True, help="Only credentials that were not proven dead.")
def show(
    *,
    paths: tuple[Path, ...],
    config_path: Path | None,
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
    chains, errors = read_chains(_files(paths, config_path))
    credentials = [
        credential
        for chain in chains
        for credential in chain.credentials
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
        click.echo("No such credential on record." if chains else "No ledger here yet.")
    for chain in chains:
        if chain.unreadable:
            file, lines = one_line(str(chain.file)), "1 line" if chain.unreadable == 1 else f"{chain.unreadable} lines"
            click.echo(f"{file}: {lines} could not be read; run: stepcreds ledger verify {file}", err=True)
    for error in errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return 1 if errors else 0


@command.command(
    "verify",
    epilog="""\b
Examples:
  stepcreds ledger verify
  stepcreds ledger verify artifacts/ 4711-1-deploy-0f3a9c21d8b4.jsonl

Exits with 0 when nothing was found, 1 for findings, 2 for wrong usage or configuration.
""",
)
@paths_argument
@config_option
@json_option
def verify(paths: tuple[Path, ...], config_path: Path | None, json_output: bool) -> int:
    """Check that nothing was changed, removed, added or moved, and that every credential has an end on record.

    A chain that is not closed yet is "open", which is no finding. The ledger is not signed yet: whoever can write to
    the file can write a whole new chain, and this does not find that.
    """
    files = _files(paths, config_path)
    if not files:
        raise UsageError(
            "There is no ledger to verify",
            cause="No step has written one yet, or it was removed.",
            fix="Name the files or folders: stepcreds ledger verify PATHS",
            docs="ledger",
        )
    results = []
    for result in verify_files(files):
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


@command.command(
    "push",
    epilog="""\b
Examples:
  stepcreds ledger push
  stepcreds ledger push .stepcreds/4711-1-deploy-0f3a9c21d8b4.jsonl
\b
On GitHub the Action does it at the end of the job. Exits with 0 when all is copied, 1 when something is not, 2 for
wrong usage or configuration.
""",
)
@paths_argument
@config_option
def push(paths: tuple[Path, ...], config_path: Path | None) -> int:
    """Copy ledgers to where the configuration says (ledger.push). Nothing there is ever overwritten.

    A chain that is not closed is left for later: `stepcreds revoke --all` closes it. What was copied already, and has
    not changed since, is not copied again.
    """
    from stepcreds.cli.options import load
    from stepcreds.shipping import ship

    clock = SystemClock()
    config, variables = load(config_path, clock)
    code = 0
    for file in _files(paths or (config.ledger.path,), None):
        try:
            if read_chain(file).closed:
                place = ship(file, config.ledger, variables, clock)
                click.echo(f"{file.name}: " + (f"copied to {place}" if place else "is copied already"))
            else:
                click.echo(f"{file.name}: is not closed, and not copied yet")
        except LedgerError as error:
            code = 1
            click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return code


def _files(paths: Sequence[Path], config_path: Path | None) -> list[Path]:
    if not paths:
        from stepcreds.config.load import load_config

        paths = [load_config(config_path, environment(), working_folder(), SystemClock()).ledger.path]
    return [file for path in paths for file in (chain_files(path) if path.is_dir() else [path]) if path.exists()]


def _time(credential: CredentialView) -> float:
    return credential.time or 0.0
