"""`stepcreds ledger`: reads, checks, signs off and copies what is on record; its commands by name."""

from __future__ import annotations

import click

from stepcreds.cli.lazy_group import LazyGroup

COMMANDS = ("show", "report", "query", "export", "postmortem", "verify", "trust", "reconcile", "seal", "push", "pull")


@click.group("ledger", cls=LazyGroup, modules={name: f"stepcreds.cli.ledger_{name}" for name in COMMANDS})
def command() -> None:
    """Read and check the ledger: which step held which credential, and how it died.

    PLACES are ledger files, folders of them, or patterns. Without PLACES, the folder of the configuration (ledger.path)
    is read.
    """
