"""The flags that `setup`, `setup apply` and `setup check` share; what they mean is decided in `setup_answers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.setup.answers import DEFAULT_CONNECTIONS, DEFAULT_HEADER, DEFAULT_MANAGER
from stepcreds.setup.answers.issuers import BY_NAME
from stepcreds.setup.answers.questions import SYSTEM_CAS

Command = TypeVar("Command", bound=Callable[..., object])

EVERY = "*"  # what `--guard` without a profile says
_OPTIONS = (
    click.option("--ci", type=click.Choice(list(BY_NAME)), help="Default: what the repository's files say."),
    click.option("--issuer", metavar="URL", help="Who signs the jobs' tokens. Default: the CI's own."),
    click.option(
        "--issuer-ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The CA of the issuer's certificate, if Vault's machine does not trust it.",
    ),
    click.option("--repository-id", multiple=True, metavar="[PROFILE=]ID", help="Whose jobs, by the number or ID."),
    click.option("--repository", multiple=True, metavar="[PROFILE=]NAME", help="Whose jobs, by name."),
    click.option("--environment", multiple=True, metavar="[PROFILE=]NAME", help="Only jobs of this environment."),
    click.option(
        "--no-environment",
        multiple=True,
        metavar="PROFILE",
        help="Every job of the repository may have a credential that changes something.",
    ),
    click.option("--branch", multiple=True, metavar="[PROFILE=]NAME", help="Only jobs of this branch."),
    click.option("--ref", multiple=True, metavar="[PROFILE=]REF", help="Only jobs of this ref, refs/tags/v1."),
    click.option(
        "--workflow",
        multiple=True,
        metavar="[PROFILE=]NAME",
        help="Only jobs of this workflow (job_workflow_ref; on other CIs see docs/setup.md).",
    ),
    click.option(
        "--claim",
        multiple=True,
        metavar="[PROFILE=]NAME=VALUE",
        help="Any other claim. An empty value takes a claim out again.",
    ),
    click.option("--user-claim", metavar="NAME", help="What makes jobs one entity at Vault; it fixes the repository."),
    click.option(
        "--owner", multiple=True, metavar="[PROFILE=]ROLE", help="The tables' owner. Default: DATABASE_SCHEMA_owner."
    ),
    click.option(
        "--group",
        multiple=True,
        metavar="[PROFILE=]ROLE",
        help="For the others. Default: DATABASE_SCHEMA_ro, DATABASE_SCHEMA_rw.",
    ),
    click.option(
        "--connection",
        multiple=True,
        metavar="[PROFILE=]NAME",
        help="Vault's connection to the database. Default: named after it.",
    ),
    click.option(
        "--connection-limit",
        multiple=True,
        metavar="[PROFILE=]N",
        help=f"Connections of one credential at a time. Default: {DEFAULT_CONNECTIONS}.",
    ),
    click.option(
        "--guard",
        multiple=True,
        is_flag=False,
        flag_value=EVERY,
        metavar="[PROFILE]",
        help="A ddl profile may neither drop nor grant anything, nor make code that runs as another.",
    ),
    click.option("--outputs", multiple=True, metavar="PROFILE", help="Also a role for handing out as outputs."),
    click.option("--manager", metavar="NAME", help=f"The database user that Vault is. Default: {DEFAULT_MANAGER}."),
    click.option("--audit-header", metavar="NAME", help=f"What the audit log is to keep. Default: {DEFAULT_HEADER}."),
    click.option(
        "--no-lease-audit",
        is_flag=True,
        help="Leave it to others whether the audit log says which lease a request was about.",
    ),
    click.option(
        "--vault-reaches",
        multiple=True,
        metavar="SERVER=HOST:PORT",
        help="Where Vault reaches a database, if not where the jobs do.",
    ),
    click.option(
        "--vault-ca",
        multiple=True,
        metavar="SERVER=PATH",
        help=f"The file on Vault's machine with the CA of a PostgreSQL; {SYSTEM_CAS}: that machine's own CAs.",
    ),
    click.option(
        "--answers",
        "answers_path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Answers as YAML, with the names of these flags in snake_case. Flags win.",
    ),
    click.option(
        "--save-answers",
        "save_path",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the answers there, for the next time. They hold no secret.",
    ),
)


def answers_options(command: Command) -> Command:
    """All of them, handed on under the names that `setup_answers.answers_of` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
