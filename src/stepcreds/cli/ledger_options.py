"""What the commands of `stepcreds ledger` have in common: where the ledgers are, and whose signatures count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.cli.options import working_folder
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
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
        help=f"The keys whose signatures count. Default: ${TRUST_VARIABLE}, else {TRUST_FILE} here.",
    )(command)


def trusted(path: Path | None) -> Trust | None:
    """What the reviewer has pinned; None: nothing. Raises `UsageError` for a file that cannot be read."""
    named = path or environment().get(TRUST_VARIABLE)
    if named:
        return load_trust(Path(named))
    usual = working_folder() / TRUST_FILE
    return load_trust(usual) if usual.exists() else None


@contextmanager
def ledgers(places: Sequence[str], config_path: Path | None) -> Iterator[list[Source]]:
    """The chains in `places`; without any, those of the configuration's folder, which need not be there yet."""
    if places:
        with opened(places) as sources:
            yield sources
        return
    from stepcreds.config.load import load_config

    folder = load_config(config_path, environment(), working_folder(), SystemClock()).ledger.path
    with opened([str(folder)] if folder.exists() else []) as sources:
        yield sources
