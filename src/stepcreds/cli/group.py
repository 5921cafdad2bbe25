"""The commands by name; each is imported when it is called."""

from __future__ import annotations

import click

from stepcreds import __version__
from stepcreds.cli.lazy_group import LazyGroup
from stepcreds.cli.usage import invoke
from stepcreds.exit_codes import INTERRUPTED, USAGE

EPILOG = """\b
Examples:
  stepcreds exec migrate -- alembic upgrade head
  stepcreds doctor migrate
  stepcreds ledger show
"""

# Not imported until one of them runs: a step pays for `exec` only.
COMMANDS = ("exec", "revoke", "setup", "scope", "doctor", "config", "ledger", "init", "demo")


@click.command(
    cls=LazyGroup,
    modules={name: f"stepcreds.cli.{name}" for name in COMMANDS},
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="stepcreds", message="%(prog)s %(version)s")
def commands() -> None:
    """One CI step, one credential, no wider than the step's job, proven dead before the next step starts."""


def run_command() -> int:
    """The command that this process was called for; the code to exit with. Raises `StepcredsError`."""
    code = invoke(commands, "stepcreds", None, wrong_usage=USAGE, interrupted=INTERRUPTED)
    return code if isinstance(code, int) else 0
