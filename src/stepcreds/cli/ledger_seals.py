"""The option that names seals, for the commands that hold ledgers against them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.seals.log import Log, changed_tables, read_log
from stepcreds.seals.place import opened
from stepcreds.trust.keys import Trust

Command = TypeVar("Command", bound=Callable[..., object])


def seals_option(command: Command) -> Command:
    """`--seals PLACE`, handed on as `seals_place: str | None`."""
    return click.option(
        "--seals",
        "seals_place",
        metavar="PLACE",
        help="Hold the ledgers against the seals in this folder or URL: what was sealed is there, and as it was.",
    )(command)


def sealed(place: str, trust: Trust | None) -> Log:
    """What the seals say. Raises `UsageError` where there are none."""
    with opened(place, tables=True) as there:
        log = read_log(there, trust)
        log.findings += changed_tables(log, there)
    if log.state == "empty":
        raise UsageError(
            f"There is no seal at {one_line(place)}",
            cause="No job has sealed yet, or the seals are elsewhere, or all of them were removed.",
            fix="Name the folder or the URL that `stepcreds ledger seal` writes to (ledger.seal.to).",
            docs="ledger-seal",
        )
    return log
