"""`stepcreds init`: flags become one plan; what it writes and says is decided in `starter`."""

from __future__ import annotations

import click

from stepcreds.cli.options import working_folder
from stepcreds.starter import systems, tools

EPILOG = """\b
Examples:
  stepcreds init --dry-run
  stepcreds init --vault https://vault.example.com:8200 --database postgresql://db.example.com:5432/app
  stepcreds init --ci gitlab --tool alembic
\b
Exit codes: 0 written (or printed); 2 a file is there already, or usage.
"""


@click.command("init", epilog=EPILOG)
@click.option(
    "--ci",
    "system",
    type=click.Choice([*systems.BY_NAME, "none"]),
    help="The CI to write a pipeline for. Default: the one whose files are here, or where the remote is.",
)
@click.option(
    "--tool",
    type=click.Choice(list(tools.BY_NAME)),
    help="What migrates the database. Default: what the files here say; else a script of your own.",
)
@click.option("--vault", "address", metavar="ADDRESS", help="The address of Vault or OpenBao.")
@click.option("--database", metavar="URL", help="Where the database is: a URL without user and password.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
def command(system: str | None, tool: str | None, address: str | None, database: str | None, dry_run: bool) -> int:
    """Write a first stepcreds.yml and a first pipeline, commented, for what is found in this repository.

    It looks at files, asks nothing and no server, and never overwrites: where one of its files is there already, it
    writes none. The pipeline migrates and then verifies, in two jobs with a credential each. It calls the tool where
    its files are: of several such folders, the one that init is called in.
    """
    from stepcreds.starter.plan import Asked, plan
    from stepcreds.starter.repository import survey
    from stepcreds.starter.writing import write

    repository = survey(working_folder())
    made = plan(repository, Asked(system or "", tool or "", address or "", database or ""))
    if dry_run:
        click.echo("\n".join(made.found))
        for file in made.files:
            click.echo(f"\n==> {file.path} <==\n{file.text}", nl=False)
        return 0
    write(repository.root, made.files)
    click.echo("\n".join(made.found) + "\n")
    for file in made.files:
        click.echo(f"Written: {file.path}")
    click.echo("\nNext:")
    for number, step in enumerate(made.next, 1):
        click.echo(f"  {number}. " + step.replace("\n", "\n     "))
    return 0
