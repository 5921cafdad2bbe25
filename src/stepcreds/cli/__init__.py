"""The command line: flags become a frozen request and one call; only here is anything printed or exited."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click

from stepcreds import __version__
from stepcreds.cli.messages import coloured, render_error
from stepcreds.errors import StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND

EPILOG = """\b
Examples:
  stepcreds exec migrate -- alembic upgrade head
  stepcreds doctor migrate
  stepcreds ledger show
"""

# Not imported until one of them runs: a step pays for `exec` only.
COMMANDS = ("exec", "revoke", "doctor", "config", "ledger", "demo")


class Commands(click.Group):
    """The commands by name, each in a module of its own that is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"stepcreds.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - our own module's contract
        return command


@click.command(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stepcreds", message="%(prog)s %(version)s")
def commands() -> None:
    """One CI step, one credential, no wider than the step's job, proven dead before the next step starts."""


def main() -> NoReturn:
    """The console script: runs one command and exits with its code (exit_codes.py)."""
    # `exec` answers for everything that goes wrong before the command with 125, wrong usage included.
    before_the_command = BEFORE_THE_COMMAND if sys.argv[1:2] == ["exec"] else None
    try:
        code = commands.main(prog_name="stepcreds", standalone_mode=False)
    except StepcredsError as error:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
        code = before_the_command or error.exit_code
    except click.ClickException as error:
        error.show()
        code = before_the_command or 2
    except click.Abort:
        code = before_the_command or 130
    sys.exit(code if isinstance(code, int) else 0)
