"""`stepcreds scope`: flags become one look; 0 within, 1 for excess, or nothing to say for sure, 2 for wrong usage."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from stepcreds.cli.operator import VARIABLES, operator_option, operator_token
from stepcreds.cli.options import config_option, id_token_option, load, profiles_of, working_folder
from stepcreds.cli.scope_table import Progress, print_json, table
from stepcreds.cli.scope_text import Page
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.config.model import Access
from stepcreds.errors import UsageError
from stepcreds.ledger.record import new_uid
from stepcreds.printable import one_line
from stepcreds.survey import existing, looking
from stepcreds.survey.comparison import Changes, Earlier
from stepcreds.survey.document import document
from stepcreds.survey.result import Survey

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
@click.argument("profile", required=False)
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
    earlier = Earlier.read(earlier_file) if earlier_file is not None else None
    clock = SystemClock()
    report = _Report(earlier, str(earlier_file or ""), as_json, everything)
    if as_user is not None:
        if earlier is not None:
            earlier.check(as_user)
        survey = existing.look(
            as_user,
            environment(),
            working_folder(),
            clock,
            access=cast("Access", access or "read-only"),
            schemas=_names(schemas),
            databases=_names(databases),
            everywhere=everywhere,
        )
        return report.conclude([survey], True)
    config, variables = load(config_path, clock)
    names = tuple(config.profiles) if everything else (str(profile),)
    profiles = profiles_of(config, names)
    if earlier is not None:
        for name in names:
            earlier.check(name)
    own = operator_token(variables) if as_operator else None
    given = operator or any(variables.get(name) for name in VARIABLES)
    progress = Progress(sys.stderr, len(profiles))
    report.progress = progress
    return looking.look(
        looking.Order(
            profiles,
            everywhere,
            id_token_file,
            own or (operator_token(variables, "--operator") if given else None),
        ),
        surroundings(config, variables, clock, new_uid(), quiet=True, started_by=os.getppid(), operator_token=own),
        lambda next_one: progress.next(next_one.name),
        report.conclude,
    )


class _Report:
    """Prints what was found, in the form that was asked for, and decides over the exit code."""

    def __init__(self, earlier: Earlier | None, file: str, as_json: bool, several: bool) -> None:
        self.earlier = earlier
        self.file = file
        self.as_json = as_json
        self.several = several
        self.progress: Progress | None = None

    def conclude(self, surveys: Sequence[Survey], complete: bool) -> int:
        if self.progress is not None:
            self.progress.clear()
        changes = [self.earlier.changes(survey) if self.earlier is not None else None for survey in surveys]
        try:
            self.write(surveys, changes)
        except OSError:  # nobody reads it (any longer), or it cannot be written; what was issued is dead by now
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)  # for what is still in the buffer
            return 1
        clean = all(survey.clean for survey in surveys) and all(each is None or each.is_clean for each in changes)
        return 0 if complete and clean else 1

    def write(self, surveys: Sequence[Survey], changes: Sequence[Changes | None]) -> None:
        if not self.as_json:
            self.print(surveys)
            return
        documents = [document(*pair) for pair in zip(surveys, changes, strict=True)]
        if self.several or documents:
            print_json(sys.stdout, documents if self.several else documents[0])

    def print(self, surveys: Sequence[Survey]) -> None:
        page = Page(sys.stdout)
        if self.several:
            table(page, surveys)
        for survey in surveys:
            if self.earlier is not None:
                self.compare(page, survey, self.earlier.changes(survey))
            elif not self.several:
                page.report(survey)

    def compare(self, page: Page, survey: Survey, changes: Changes) -> None:
        """Of several those alone of which there is something to tell."""
        if not self.several:
            page.changes(survey, changes, self.file)
        elif not changes.is_empty:
            page.line("")
            page.changes(survey, changes, self.file)
        elif survey.measured is not None:
            page.line(f"{one_line(survey.profile.name)}: nothing changed")


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
