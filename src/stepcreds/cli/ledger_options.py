"""What the commands of `stepcreds ledger` have in common: where the ledgers are, and whose signatures count."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.cli.messages import coloured, render_warning
from stepcreds.cli.options import working_folder
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.errors import UsageError
from stepcreds.review.sources import Source, opened
from stepcreds.trust.file import load_trust
from stepcreds.trust.keys import Trust

TRUST_FILE = "stepcreds-trust.json"
TRUST_VARIABLE = "STEPCREDS_TRUST"

Command = TypeVar("Command", bound=Callable[..., object])

places_argument = click.argument("places", nargs=-1, metavar="[PLACES]...")
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON, with every identifier in full.")


def trust_option(command: Command) -> Command:
    """`--trust FILE`, handed on as `trust_path: Path | None`."""
    return click.option(
        "--trust",
        "trust_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"The keys whose signatures count: the file that `ledger trust export` wrote. Default: ${TRUST_VARIABLE}. "
        "Without either no signature is checked.",
    )(command)


def named_trust_file(path: Path | None) -> Path | None:
    """The trust file that the reviewer names, by `--trust` or by the environment; None: none."""
    named = path or environment().get(TRUST_VARIABLE)
    return Path(named) if named else None


def trusted(path: Path | None) -> Trust | None:
    """What the reviewer has pinned; None: nothing. `path` is that of `--trust`.

    A file that nobody named counts for nothing, wherever it lies: a folder that was unpacked may have one in it. Raises
    `UsageError` for one that cannot be read.
    """
    named = named_trust_file(path)
    if named is not None:
        return load_trust(named)
    if (working_folder() / TRUST_FILE).exists():
        text = (
            f"No signature is checked: {TRUST_FILE} lies here, and nobody named it. Whose signatures count is not said "
            f"by the maker of a folder. If it is yours: --trust {TRUST_FILE}, or {TRUST_VARIABLE}"
        )
        click.echo(render_warning(text, coloured(sys.stderr)), err=True)
    return None


@contextmanager
def ledgers(places: Sequence[str], config_path: Path | None, *, tables: bool = False) -> Iterator[list[Source]]:
    """The chains in `places`; without any, those of the configuration's folder, which need not be there yet.

    `tables`: also the Parquet files there.
    """
    if places:
        with ExitStack() as stack:
            with progress("Fetching") as tell:  # gone before anything else is said
                sources = stack.enter_context(opened(places, tell, tables=tables))
            yield sources
        return
    from stepcreds.config.load import load_config

    folder = load_config(config_path, environment(), working_folder(), SystemClock()).ledger.path
    with opened([str(folder)] if folder.exists() else [], tables=tables) as sources:
        yield sources


def require_some(sources: Sequence[Source], command: str) -> None:
    """Raises `UsageError` where there is nothing for `command` to read: silence would look like a clean ledger."""
    if not sources:
        raise UsageError(
            "There is no ledger here",
            cause="No step has written one yet, or it was removed, or the place is another.",
            fix=f"Name files, folders, or the URL of an object store: stepcreds ledger {command} PLACES",
            docs="ledger",
        )
