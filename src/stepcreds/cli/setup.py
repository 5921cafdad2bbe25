"""`stepcreds setup` prints or writes what the other side needs; `apply` and `check` are imported when called."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from stepcreds.cli.options import config_option, load
from stepcreds.cli.setup_answers import again, answers_of
from stepcreds.cli.setup_options import answers_options
from stepcreds.clock import SystemClock
from stepcreds.errors import UsageError
from stepcreds.setup.building import build
from stepcreds.setup.forms import FORMS, files, save

EPILOG = """\b
Examples:
  stepcreds setup --repository-id 71717171 --environment migrate=production
  stepcreds setup --format shell --out setup/ --answers setup.yml
  stepcreds setup --ci gitlab --issuer https://gitlab.example.com --repository-id 4711 --branch main
  stepcreds setup apply --answers setup.yml --dry-run
\b
Exit codes: 0 printed or written; 2 usage or configuration, or an answer is missing.
"""
_COMMANDS = ("apply", "check")  # of cli/setup_apply.py


class SetupCommands(click.Group):
    """The group, which prints when it is called without a command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        found = getattr(import_module("stepcreds.cli.setup_apply"), f"{cmd_name}_command")
        assert isinstance(found, click.Command)  # noqa: S101 - our own module's contract
        return found


@click.command("setup", cls=SetupCommands, invoke_without_command=True, epilog=EPILOG)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="What to print: an overview; policies and OpenBao's self-initialization; resources of the provider "
    "hashicorp/vault; a script with bao or vault; what the databases' administrators run.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files there instead of printing them. They hold no secret.",
)
@click.option("--force", is_flag=True, help="With --out: overwrite what is there.")
@answers_options
@config_option
@click.pass_context
def command(
    context: click.Context, /, form: str, folder: Path | None, force: bool, config_path: Path | None, **flags: object
) -> int:
    """Print everything that the profiles need at Vault and at the databases, with least privilege throughout.

    Made of stepcreds.yml and a few answers: whose jobs may have which credential. On a terminal, what is missing is
    asked for. No server is asked, nothing is changed, and no secret is printed. `setup apply` makes it so, and `setup
    check` finds what has changed since.
    """
    if context.invoked_subcommand is not None:
        _refuse_early_options(context)
        return 0
    config, variables = load(config_path, SystemClock())
    plan = build(config, answers_of(config, variables, flags))
    made = files(form, plan, config.vault, again(flags, config_path))
    if folder is not None:
        save(folder, made, force=force)
        click.echo("".join(f"Written: {folder / each.name}\n" for each in made), nl=False)
    else:
        several = len(made) > 1
        for each in made:
            click.echo((f"==> {each.name} <==\n" if several else "") + each.text + ("\n" if several else ""), nl=False)
    return 0


def _refuse_early_options(context: click.Context) -> None:
    """An option before the command would be read by nobody."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        name = context.invoked_subcommand
        raise UsageError(
            f"{' and '.join(given)} would have no effect before `{name}`",
            fix=f"Write options behind it: stepcreds setup {name} {given[0]} …",
            docs="setup-answers",
        )
