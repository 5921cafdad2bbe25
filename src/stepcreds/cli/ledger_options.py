"""What the commands of `stepcreds ledger` have in common: where the ledgers are, and whose signatures count."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.cli.options import working_folder
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.config.store_url import is_url
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
        help=f"The keys whose signatures count. Default: ${TRUST_VARIABLE}, else {TRUST_FILE} here, unless ledgers lie "
        "in this folder or below it.",
    )(command)


def trusted(path: Path | None, places: Sequence[str] | None = None) -> Trust | None:
    """What the reviewer has pinned; None: nothing.

    `places`: what is to be reviewed, () for the configuration's folder; None: nothing is. Raises `UsageError` for a
    file that cannot be read; and for one that nobody named where it lies among those, or in a folder above them: who
    made that could have put it there.
    """
    named = path or environment().get(TRUST_VARIABLE)
    if named:
        return load_trust(Path(named))
    usual = working_folder() / TRUST_FILE
    if not usual.exists():
        return None
    around = _around(usual.parent.resolve(), places) if places is not None else None
    if around is not None:
        raise UsageError(
            f"{TRUST_FILE} lies among the ledgers, or above them: {one_line(around)}",
            cause="Whoever made this folder may have put it there; and whose signatures count is not theirs to say.",
            fix=f"If it is yours, name it: --trust {TRUST_FILE}, or {TRUST_VARIABLE}\nIf not, move it away.",
            docs="ledger-trust",
        )
    return load_trust(usual)


def _around(folder: Path, places: Sequence[str]) -> str | None:
    """The place whose ledgers lie in `folder` or below it, or that it lies in; None where there is none.

    A folder that was unpacked is one whole, with whatever folders are in it, and looks like one of the reviewer's own.
    """
    if not places:
        return "those of stepcreds.yml"  # which was found from this folder, too
    for place in places:
        path = Path(place)
        if not path.exists():
            fixed, *pattern = re.split(r"[*?\[]", place)
            if is_url(place) or not pattern:
                continue
            path = Path(f"{fixed}x").parent  # that all its matches are in
        for each in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - the name itself, not where it leads
            if each.is_relative_to(folder) or folder.is_relative_to(each):
                return place
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
