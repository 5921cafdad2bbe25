"""`stepcreds ledger push`: copies closed chains to where the configuration says; it changes none of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from stepcreds.cli.messages import coloured, render_error, render_warning
from stepcreds.cli.options import config_option, load
from stepcreds.clock import SystemClock
from stepcreds.errors import LedgerError
from stepcreds.ledger.folder import chain_files
from stepcreds.ledger.reading import read_chain
from stepcreds.shipping import ship

# Whether it was looked at.
BEFORE = {True: "is there already", False: "was copied before, as the note beside it says; nobody has looked there"}

paths_argument = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))


@click.command(
    "push",
    epilog="""\b
Examples:
  stepcreds ledger push
  stepcreds ledger push .stepcreds/4711-1-deploy-0f3a9c21d8b4.jsonl
\b
On GitHub the Action does it at the end of the job. Exits with 0, also where something was not copied, which is a
warning; with 1 for that where ledger.on_push_failure is fail; with 2 for wrong usage or configuration.
""",
)
@paths_argument
@config_option
def command(paths: tuple[Path, ...], config_path: Path | None) -> int:
    """Copy ledgers, with their checkpoints, to where the configuration says (ledger.push): a folder or an object store.

    Nothing there is ever overwritten. The credentials of an object store are those that its own tools would take.

    A chain that is not closed is left for later: `stepcreds revoke --all` closes it. What was copied before, and has
    not changed since, is not copied again. A folder is looked into; of an object store, which a job may not read, the
    note NAME.jsonl.pushed is believed.
    """
    clock = SystemClock()
    config, variables = load(config_path, clock)
    before = BEFORE[isinstance(config.ledger.push, Path)]
    code = 0
    for file in _files(paths or (config.ledger.path,)):
        try:
            if read_chain(file).closed:
                place = ship(file, config.ledger, variables, clock)
                click.echo(f"{file.name}: {f'copied to {place}' if place else before}")
            else:
                click.echo(f"{file.name}: is not closed, and not copied yet")
        except LedgerError as error:
            if config.ledger.on_push_failure == "fail":
                code = 1
                click.echo(render_error(error, coloured(sys.stderr)), err=True)
            else:
                said = "\n".join(text for text in (error.what, error.cause, error.fix) if text)
                click.echo(render_warning(said, coloured(sys.stderr)), err=True)
    return code


def _files(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in (chain_files(path) if path.is_dir() else [path]) if path.exists()]
