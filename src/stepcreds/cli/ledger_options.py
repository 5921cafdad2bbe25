"""What the commands of `stepcreds ledger` have in common: where the ledgers are, and whose signatures count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.cli.options import working_folder
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
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


def trusted(path: Path | None, places: Sequence[str] = ()) -> Trust | None:
    """What the reviewer has pinned; None: nothing.

    Raises `UsageError` for a file that cannot be read; and for one that nobody named where it lies among `places`, what
    is to be reviewed: who wrote that could have written it, too.
    """
    named = path or environment().get(TRUST_VARIABLE)
    if named:
        return load_trust(Path(named))
    usual = working_folder() / TRUST_FILE
    if not usual.exists():
        return None
    inside = next(
        (place for place in places if Path(place).is_dir() and usual.is_relative_to(Path(place).resolve())), None
    )
    if inside is not None:
        raise UsageError(
            f"{TRUST_FILE} lies among the ledgers, in {one_line(inside)}",
            cause="Whoever made that folder may have put it there; and whose signatures count is not theirs to say.",
            fix=f"If it is yours, name it: --trust {TRUST_FILE}\nIf not, move it away.",
            docs="ledger-trust",
        )
    return load_trust(usual)


@contextmanager
def ledgers(places: Sequence[str], config_path: Path | None) -> Iterator[list[Source]]:
    """The chains in `places`; without any, those of the configuration's folder, which need not be there yet."""
    if places:
        with ExitStack() as stack:
            with progress("Fetching") as tell:  # gone before anything else is said
                sources = stack.enter_context(opened(places, tell))
            yield sources
        return
    from stepcreds.config.load import load_config

    folder = load_config(config_path, environment(), working_folder(), SystemClock()).ledger.path
    with opened([str(folder)] if folder.exists() else []) as sources:
        yield sources
