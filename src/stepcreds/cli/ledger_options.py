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
from stepcreds.config.store_url import is_url
from stepcreds.errors import UsageError
from stepcreds.ledger.checkpoint import SUFFIX
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


def trusted(path: Path | None, places: Sequence[str] | None = None) -> Trust | None:
    """What the reviewer has pinned; None: nothing.

    `places`: what is to be reviewed, () for the configuration's folder; None: nothing is. Raises `UsageError` for a
    file that cannot be read; and for one that nobody named where it lies among those or beside a ledger: who wrote that
    could have written it, too.
    """
    named = path or environment().get(TRUST_VARIABLE)
    if named:
        return load_trust(Path(named))
    usual = working_folder() / TRUST_FILE
    if not usual.exists():
        return None
    around = _around(usual, places) if places is not None else None
    if around is not None:
        raise UsageError(
            f"{TRUST_FILE} lies among the ledgers, in {one_line(around)}",
            cause="Whoever made that folder may have put it there; and whose signatures count is not theirs to say.",
            fix=f"If it is yours, name it: --trust {TRUST_FILE}\nIf not, move it away.",
            docs="ledger-trust",
        )
    return load_trust(usual)


def _around(trust: Path, places: Sequence[str]) -> str | None:
    """The place that holds the trust file as well as ledgers, None where there is none.

    A folder that was unpacked with ledgers in it is one whole, however the reviewer names a part of it. A folder of the
    reviewer's own has its ledgers in folders below, and none beside the file.
    """
    folder = trust.parent.resolve()
    here = [Path(place) for place in places if not is_url(place)]
    for place in here:
        if place.is_dir() and folder.is_relative_to(place.resolve()):
            return str(place)
        if place.is_file() and place.resolve().parent == folder:
            return "."
    is_below = not places or any(place.absolute().parent.resolve().is_relative_to(folder) for place in here)
    if is_below and any(each.suffix in (".jsonl", SUFFIX) for each in folder.iterdir()):
        return "."
    return None


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


def require_some(sources: Sequence[Source], command: str) -> None:
    """Raises `UsageError` where there is nothing for `command` to read: silence would look like a clean ledger."""
    if not sources:
        raise UsageError(
            "There is no ledger here",
            cause="No step has written one yet, or it was removed, or the place is another.",
            fix=f"Name files, folders, or the URL of an object store: stepcreds ledger {command} PLACES",
            docs="ledger",
        )
