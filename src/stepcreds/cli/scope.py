"""`stepcreds scope`: flags become one look; 0 within, 1 for excess, or nothing to say for sure, 2 for wrong usage."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import cast

import click

from stepcreds.cli.operator import VARIABLES, operator_option, operator_token
from stepcreds.cli.options import complete_profile, config_option, id_token_option, load, profiles_of, working_folder
from stepcreds.cli.scope_report import Report
from stepcreds.cli.scope_table import Progress
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.config.model import Access
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.ledger.record import new_uid
from stepcreds.printable import one_line
from stepcreds.survey import existing, looking
from stepcreds.survey.comparison import Earlier

EPILOG = """\b
Examples:
  stepcreds scope verify
  stepcreds scope --all
  stepcreds scope verify --json > scope.json        and a week later:
  stepcreds scope verify --compare scope.json       only what changed
  VAULT_TOKEN=… stepcreds scope verify              also its policies, and which other roles this job can take
  stepcreds scope --as-user DATABASE_URL --access read-write --schemas app
\b
Exit codes: 0 within; 1 excess, not measurable, or not proven dead (with --compare also: something new that is more
than worth knowing, or something that became worse); 2 usage or configuration. docs/scope.md explains the report.
"""


@click.command("scope", epilog=EPILOG)
@click.argument("profile", required=False, shell_complete=complete_profile)
@click.option("--all", "everything", is_flag=True, help="Every profile, as a table.")
@click.option(
    "--as-user",
    metavar="VARIABLE",
    help="Look at a credential that exists already: the name of an environment variable with its URL. Needs no Vault "
    "and no stepcreds.yml, and revokes nothing.",
)
@click.option(
    "--access",
    type=click.Choice(["read-only", "read-write", "ddl"]),
    help="With --as-user: what it should be. Default: read-only.",
)
@click.option("--schemas", multiple=True, metavar="NAMES", help="With --as-user: where, separated by commas.")
@click.option("--databases", multiple=True, metavar="NAMES", help="With --as-user: where, separated by commas.")
@click.option(
    "--all-databases", "everywhere", is_flag=True, help="Look into each other database that lets it in (PostgreSQL)."
)
@click.option(
    "--compare",
    "earlier_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show only what changed since FILE, an earlier output of --json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --all a list of them.")
@click.option(
    "--operator",
    is_flag=True,
    help="Read policies and JWT roles with the Vault token that you logged in with (~/.vault-token). VAULT_TOKEN and "
    "BAO_TOKEN are used for that without being asked.",
)
@id_token_option
@operator_option
@config_option
def command(
    *,
    profile: str | None,
    everything: bool,
    as_user: str | None,
    access: str | None,
    schemas: tuple[str, ...],
    databases: tuple[str, ...],
    everywhere: bool,
    earlier_file: Path | None,
    as_json: bool,
    operator: bool,
    id_token_file: Path | None,
    as_operator: bool,
    config_path: Path | None,
) -> int:
    """Report what the credential of PROFILE can really do: its blast radius.

    Issues one, as a step would, measures it instead of handing it over, revokes it and proves it dead. The first line
    is the verdict; then comes the worst that it can do, each thing it can do and why, and what nobody looked at.
    """
    _check(profile, everything, as_user, access, (*schemas, *databases), operator or as_operator)
    report = Report(str(earlier_file or ""), as_json, everything)
    try:
        earlier = report.earlier = Earlier.read(earlier_file) if earlier_file is not None else None
        if as_user is None:
            names = None if everything else (str(profile),)
            return _issued(report, names, everywhere, id_token_file, operator, as_operator, config_path)
        if earlier is not None:
            earlier.check(as_user)
        survey = existing.look(
            as_user,
            environment(),
            working_folder(),
            SystemClock(),
            access=cast("Access", access or "read-only"),
            schemas=_names(schemas),
            databases=_names(databases),
            everywhere=everywhere,
        )
    except StepcredsError as error:
        report.refuse(error)
        raise
    return report.conclude([survey], True)


def _issued(
    report: Report,
    names: tuple[str, ...] | None,
    everywhere: bool,
    id_token_file: Path | None,
    operator: bool,
    as_operator: bool,
    config_path: Path | None,
) -> int:
    """Look at what is issued for each profile of these `names`, by default for all. Raises `StepcredsError`."""
    clock = SystemClock()
    config, variables = load(config_path, clock)
    profiles = profiles_of(config, tuple(config.profiles) if names is None else names)
    if not profiles:
        raise UsageError(
            f"There is no profile in {one_line(str(config.source))}",
            cause="It is the configuration of a job that seals ledgers, and asks for no credential.",
            fix="Name the stepcreds.yml of the steps: --config PATH",
            docs="configuration",
        )
    if report.earlier is not None:
        for profile in profiles:
            report.earlier.check(profile.name)
    own = operator_token(variables, config.vault) if as_operator else None
    given = operator or any(variables.get(name) for name in VARIABLES)
    report.progress = progress = Progress(sys.stderr, len(profiles))
    unasked = "" if operator else "scope"
    asking = own or (operator_token(variables, config.vault, "--operator", unasked=unasked) if given else None)
    return looking.look(
        looking.Order(profiles, everywhere, id_token_file, asking),
        surroundings(config, variables, clock, new_uid(), quiet=True, started_by=os.getppid(), operator_token=own),
        lambda next_one: progress.next(next_one.name),
        report.conclude,
        report.refuse,
    )


def _check(
    profile: str | None,
    everything: bool,
    as_user: str | None,
    access: str | None,
    places: tuple[str, ...],
    needs_vault: bool,
) -> None:
    """What excludes what. No message repeats what may be a password."""
    if profile is not None and "://" in profile:
        raise UsageError(
            "PROFILE is the name of a profile, and not a URL",
            cause="What stands on a command line is seen by every process of the machine, and kept by the shell.",
            fix="Put the URL into a variable, and give its name: stepcreds scope --as-user DATABASE_URL\n"
            "If there was a password in it, change it.",
            docs="as-user",
        )
    asked = [
        name for name, is_asked in (("PROFILE", profile), ("--all", everything), ("--as-user", as_user)) if is_asked
    ]
    if len(asked) != 1 and as_user != "":
        raise click.UsageError(
            f"{' and '.join(asked)} exclude each other" if asked else "Say what to look at: PROFILE, --all or --as-user"
        )
    if as_user is None and (access is not None or places):
        raise click.UsageError("--access, --schemas and --databases go with --as-user: a profile says them itself")
    if as_user is not None and needs_vault:
        raise click.UsageError("--operator and --as-operator are about Vault, which --as-user does not ask")


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())
