"""`stepcreds setup apply` and `stepcreds setup check`: the plan against what is there; made so, or only compared."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from stepcreds.cli.messages import coloured
from stepcreds.cli.operator import operator_token
from stepcreds.cli.options import config_option, load, working_folder
from stepcreds.cli.setup_answers import answers_of
from stepcreds.cli.setup_options import answers_options
from stepcreds.cli.setup_text import Text, as_json
from stepcreds.clock import SystemClock
from stepcreds.config.model import Config
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.setup.answers import Answers
from stepcreds.setup.building import build
from stepcreds.setup.live import apply as applying
from stepcreds.setup.live import check as checking
from stepcreds.setup.live import permissions
from stepcreds.setup.live.administrator import Administrator
from stepcreds.setup.live.administrators import DEFAULT_VARIABLE, administrators
from stepcreds.setup.live.examination import examine
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.rotation import rotations
from stepcreds.setup.live.survey import Survey, survey
from stepcreds.setup.plan import Plan

Command = TypeVar("Command", bound=Callable[..., object])

FINDING = 1
APPLY_EPILOG = """\b
Examples:
  export VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=…
  export STEPCREDS_DATABASE_ADMIN_URL=postgresql://postgres:…@db.example.com:5432/
  stepcreds setup apply --answers setup.yml --dry-run
  stepcreds setup apply --answers setup.yml
\b
Exit codes: 0 all is as it should be; 1 refused, failed, something differs (--dry-run: there is something to do), or
something was not looked at; 2 usage or configuration.
"""
CHECK_EPILOG = """\b
Examples:
  stepcreds setup check --answers setup.yml
\b
Exit codes: 0 nothing has drifted; 1 something has, or could not be compared; 2 usage or configuration.
"""


def admin_options(command: Command) -> Command:
    """`--database-admin`, as `database_admin: tuple[str, ...]`, and `--without-databases`, as `without_databases`."""
    command = click.option(
        "--without-databases",
        is_flag=True,
        help="Leave all databases to others: they are not looked at, and that counts as nothing wrong.",
    )(command)
    return click.option(
        "--database-admin",
        multiple=True,
        metavar="[SERVER=]VARIABLE",
        help="The environment variable with the URL, user and password included, of a database's administrator. "
        f"Default: {DEFAULT_VARIABLE}. SERVER: the profile's host:port, where the URL has another address.",
    )(command)


@click.command("apply", epilog=APPLY_EPILOG)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.option("--rotate-manager", is_flag=True, help="Give the database user that Vault is a new password.")
@click.option("--print-policy", is_flag=True, help="Print the policy that your Vault token needs for this, and stop.")
@admin_options
@answers_options
@config_option
def apply_command(
    dry_run: bool,
    yes: bool,
    rotate_manager: bool,
    print_policy: bool,
    database_admin: tuple[str, ...],
    without_databases: bool,
    config_path: Path | None,
    **flags: object,
) -> int:
    """Make Vault and the databases what stepcreds.yml needs; what is so already stays untouched.

    Shows first what it would do, asks, does it, and compares again. Uses your own Vault token: VAULT_TOKEN, BAO_TOKEN
    or ~/.vault-token; a root token is not needed (--print-policy).
    """
    setup = _setup(config_path, flags)
    if print_policy:
        click.echo(permissions.policy(permissions.everything(setup.plan)), nl=False)
        return 0
    # A CI that cancels sends SIGTERM, and wants to know as well what was done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with setup.vault("setup apply") as live:
        whose = setup.administrators(database_admin, without_databases)
        found = survey(setup.plan, live, whose, setup.clock)
        rotated = rotations(found, asked=rotate_manager)
        text = Text(coloured(sys.stdout))
        click.echo(text.plan(found, rotated, setup.config.vault.addresses[0], setup.plan.notes))
        applying.require(found, rotated)
        steps = applying.steps(found, rotated, live, setup.clock)
        if dry_run:
            unseen = None in whose and not without_databases
            return FINDING if steps or unseen else 0
        if steps and not yes:
            _confirm()
        _run(steps, text)
        if steps:
            click.echo("")
            found = survey(setup.plan, live, whose, setup.clock)
        report = setup.compare(found, live, without_databases)
        click.echo(text.report(report))
    return 0 if report.clean else FINDING


@click.command("check", epilog=CHECK_EPILOG)
@click.option("--print-policy", is_flag=True, help="Print the policy, read only, that a Vault token needs for this.")
@click.option("--json", "as_object", is_flag=True, help="Print the comparison as one JSON object.")
@admin_options
@answers_options
@config_option
def check_command(
    print_policy: bool,
    as_object: bool,
    database_admin: tuple[str, ...],
    without_databases: bool,
    config_path: Path | None,
    **flags: object,
) -> int:
    """Compare Vault and the databases with stepcreds.yml: what has drifted, why it matters, and what mends it.

    Changes nothing. What cannot be looked at, a database without an administrator's URL for one, is told, and ends it
    with 1: nobody knows whether it is right.
    """
    setup = _setup(config_path, flags)
    if print_policy:
        click.echo(permissions.policy(permissions.reading(setup.plan)), nl=False)
        return 0
    with setup.vault("setup check") as live:
        found = survey(setup.plan, live, setup.administrators(database_admin, without_databases), setup.clock)
        report = setup.compare(found, live, without_databases)
    click.echo(as_json(report) if as_object else Text(coloured(sys.stdout)).report(report))
    return 0 if report.clean else FINDING


class _Setup(NamedTuple):
    """What both commands work with."""

    config: Config
    environment: Mapping[str, str]
    answers: Answers
    plan: Plan
    clock: SystemClock

    def vault(self, command: str) -> Live:
        return Live(self.config.vault, operator_token(self.environment, self.config.vault, command), self.clock)

    def administrators(self, named: Sequence[str], without_databases: bool) -> tuple[Administrator | None, ...]:
        if without_databases and named:
            raise UsageError(
                "--without-databases and --database-admin contradict each other",
                fix="Say one of them.",
                docs="setup-administrator",
            )
        if without_databases:
            return (None,) * len(self.plan.databases)
        return administrators(self.plan, named, self.environment, working_folder())

    def compare(self, found: Survey, live: Live, without_databases: bool) -> checking.Report:
        examined = examine(found, self.config.profiles.values(), self.answers, self.clock)
        notes, not_seen = checking.look_around(self.plan, live, found)
        return checking.report(
            found,
            examined=examined.drift,
            notes=(*notes, *examined.notes),
            not_examined=not_seen,
            without_databases=without_databases,
        )


def _setup(config_path: Path | None, flags: Mapping[str, object]) -> _Setup:
    clock = SystemClock()
    config, environment = load(config_path, clock)
    answers = answers_of(config, environment, flags)
    return _Setup(config, environment, answers, build(config, answers), clock)


def _confirm() -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "Nobody can be asked here whether this is to be done, and nothing was",
            fix="Look at it with --dry-run, and then say --yes.",
            docs="setup-apply",
        )
    click.echo("", err=True)
    if not click.confirm("Do it?", default=False, err=True):
        raise StepcredsError("Nothing was changed", docs="setup-apply")


def _run(steps: Sequence[applying.Step], text: Text) -> None:
    """Do one after the other. Whatever ends it, it is said what was done and what was not."""
    for position, step in enumerate(steps):
        try:
            step.run()
        except (StepcredsError, KeyboardInterrupt) as error:
            sure = isinstance(error, StepcredsError)
            left = [each.what for each in steps[position:]]
            _say(text.left(left if sure else [f"{left[0]} (it may have been)", *left[1:]]))
            _say("What was done stays; the next `stepcreds setup apply` does the rest.")
            raise
        _say(text.done(step.what))


def _say(text: str) -> None:
    with suppress(OSError):  # whoever reads the output is gone; what was begun is done all the same
        click.echo(text)
