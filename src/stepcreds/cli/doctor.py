"""`stepcreds doctor`: flags become one examination; 0 when every link holds, 1 when one is broken, 2 for the config."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from stepcreds.cli.doctor_text import JsonReport, TextReport
from stepcreds.cli.messages import coloured
from stepcreds.cli.operator import VARIABLES, operator_token
from stepcreds.cli.options import complete_profile, config_option, id_token_option, load, profiles_of
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.doctor.examination import examine
from stepcreds.doctor.link import Link, Report
from stepcreds.errors import ConfigError
from stepcreds.ledger.record import new_uid

EPILOG = """\b
Examples:
  stepcreds doctor migrate
  VAULT_TOKEN=… stepcreds doctor migrate   also reads the role and compares it, line by line
\b
Exit codes: 0 every link holds; 1 one is broken; 2 usage or configuration.
"""


@click.command("doctor", epilog=EPILOG)
@click.argument("profile", required=False, shell_complete=complete_profile)
@click.option(
    "--operator",
    is_flag=True,
    help="Read the JWT role with the Vault token that you logged in with (~/.vault-token). VAULT_TOKEN and BAO_TOKEN "
    "are used for that without being asked.",
)
@id_token_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@config_option
@click.pass_context
def command(
    context: click.Context,
    profile: str | None,
    operator: bool,
    id_token_file: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> int:
    """Look at every link between this job and its credential, and say what to change at the first that is broken.

    Issues one credential for each profile (or for PROFILE), tries it, revokes it and proves it dead, as a step would.
    """
    clock = SystemClock()
    report: Report = JsonReport(sys.stdout) if as_json else TextReport(sys.stdout, coloured(sys.stdout))
    try:
        config, environment = load(config_path, clock)
    except ConfigError as error:
        report.link(Link("config", "failed", error.what, error))
        report.finish(1)
        context.exit(error.exit_code)
    names = (profile,) if profile is not None else tuple(config.profiles)
    profiles = profiles_of(config, names)
    given = operator or any(environment.get(name) for name in VARIABLES)
    return examine(
        surroundings(config, environment, clock, new_uid(), started_by=os.getppid()),
        profiles,
        report=report,
        id_token_file=id_token_file,
        operator_token=operator_token(environment, "--operator") if given else None,
    )
