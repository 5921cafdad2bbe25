"""The flags of `stepcreds exec`, which become an order for the worker; whatever is wrong with them ends with 125."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from stepcreds.cli.operator import operator_option, operator_token
from stepcreds.cli.options import as_seconds, complete_profile, config_option, id_token_option, load, profiles_of
from stepcreds.clock import SystemClock
from stepcreds.ledger.record import new_uid
from stepcreds.session.request import Order, Request
from stepcreds.session.script_text import recognisable

EPILOG = """\b
Examples:
  stepcreds exec migrate -- alembic upgrade head
  stepcreds exec migrate --also cache -- ./deploy.sh
\b
Exit codes: the command's own; 128+n if signal n ended it; 124 max_ttl reached; 125 stepcreds failed or refused before
the command ran; 126 not runnable; 127 not found; 121 the credential is not proven dead.
"""


class CommandAfterProfile(click.Command):
    """Options may stand before and after PROFILE; from the command's first word on everything is the command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._separated(args))

    def _separated(self, args: list[str]) -> list[str]:
        with_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        positional = False
        position = 0
        while position < len(args):
            arg = args[position]
            if arg == "--":
                break
            if not arg.startswith("-"):
                if positional:
                    return [*args[:position], "--", *args[position:]]
                positional = True
            position += 2 if arg in with_value else 1
        return args


@click.command(cls=CommandAfterProfile, epilog=EPILOG, name="exec")
@click.argument("profile", shell_complete=complete_profile)
@click.argument("command_line", metavar="COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--also",
    multiple=True,
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="A further profile, for a command that needs two.",
)
@click.option(
    "--inherit",
    type=click.Choice(["all", "clean"]),
    default="all",
    show_default=True,
    help="What of the environment goes on to the command: all but identity and older credentials, or an allow-list.",
)
@click.option(
    "--grace",
    callback=as_seconds,
    metavar="DURATION",
    default="4s",
    show_default=True,
    help="Time between the signal that ends the command and SIGKILL.",
)
@click.option(
    "--redact/--no-redact",
    default=None,
    help="Replace the credential in its output. Default: yes, unless the CI masks it or stdout is a terminal.",
)
@click.option(
    "--leak-scan/--no-leak-scan",
    default=True,
    help="Look for the credential in files that the command changed (one second at most). Default: yes.",
)
@click.option(
    "--summary/--no-summary",
    default=True,
    help="Add a table of the step's credentials to the page of the run, where the CI has one. Default: yes.",
)
@click.option("--reason", metavar="TEXT", help="Why this step needs the credential, for the ledger.")
@id_token_option
@operator_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@config_option
def command(
    profile: str,
    command_line: tuple[str, ...],
    also: tuple[str, ...],
    inherit: Literal["all", "clean"],
    grace: float,
    redact: bool | None,
    leak_scan: bool,
    summary: bool,
    reason: str | None,
    id_token_file: Path | None,
    as_operator: bool,
    quiet: bool,
    config_path: Path | None,
) -> Order:
    """Run one COMMAND with the credential of PROFILE, and end with it.

    The credential is issued for this command alone, given to no other process, revoked when the command ends, and
    proven dead before stepcreds does.
    """
    if not command_line:
        raise click.UsageError("No command to run. Write it after the profile: stepcreds exec PROFILE -- COMMAND")
    config, environment = load(config_path, SystemClock())
    request = Request(
        profiles=profiles_of(config, (profile, *also)),
        argv=command_line,
        recorded=recognisable(command_line, environment),
        inherit=inherit,
        grace=grace,
        redact=redact,
        reason=reason,
        id_token_file=id_token_file,
        leak_scan=leak_scan,
        summary=summary,
    )
    token = operator_token(environment, config.vault).reveal() if as_operator else None
    return Order(request, config, new_uid(), quiet, token)
