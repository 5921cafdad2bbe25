"""`stepcreds doctor`: flags become one examination; 0 with nothing to change, 1 when something is, 2 for the config."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import click

from stepcreds.ci.detect import detect
from stepcreds.cli.doctor_bundle import BundlingReport, bundle_path
from stepcreds.cli.doctor_text import JsonReport, TextReport
from stepcreds.cli.messages import coloured
from stepcreds.cli.operator import VARIABLES, operator_token
from stepcreds.cli.options import complete_profile, config_option, id_token_option, load, profiles_of
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.doctor.bundle import bundle as make_bundle
from stepcreds.doctor.examination import examine
from stepcreds.doctor.link import Link, Report
from stepcreds.errors import ConfigError
from stepcreds.ledger.record import new_uid

EPILOG = """\b
Examples:
  stepcreds doctor migrate
  VAULT_TOKEN=… stepcreds doctor migrate   also reads the roles: whom they let in, and how they revoke
  stepcreds doctor migrate --bundle        and a file for whoever is to help, without secrets
\b
Exit codes: 0 every link that was looked at holds; 1 one is broken, or there is a warning; 2 usage or configuration.
"""


@click.command("doctor", epilog=EPILOG)
@click.argument("profile", required=False, shell_complete=complete_profile)
@click.option(
    "--operator",
    is_flag=True,
    help="Read the roles at Vault with the token that you logged in with (~/.vault-token). VAULT_TOKEN and BAO_TOKEN "
    "are used for that without being asked.",
)
@click.option(
    "--bundle",
    "bundle",
    is_flag=False,
    flag_value=".",
    type=click.Path(path_type=Path),
    metavar="[FILE]",
    help="Also write a support file, a new .tar.gz without secrets; FILE may be a folder. Without FILE it is made here "
    "with the time in its name: then put --bundle last.",
)
@id_token_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@config_option
@click.pass_context
def command(
    context: click.Context,
    profile: str | None,
    operator: bool,
    bundle: Path | None,
    id_token_file: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> int:
    """Look at every link between this job and its credential, and say what to change.

    That is what is broken and, as warnings, what would make a failure worse than it has to be.

    Issues one credential for each profile (or for PROFILE), tries it, revokes it and proves it dead, as a step would.
    """
    clock = SystemClock()
    report: Report = JsonReport(sys.stdout) if as_json else TextReport(sys.stdout, coloured(sys.stdout))
    shown = report
    path = bundle_path(bundle, clock) if bundle is not None else None
    says = sys.stderr if as_json else sys.stdout
    try:
        config, variables = load(config_path, clock)
    except ConfigError as error:
        if path is not None:
            found = environment(tolerant=True)
            make = partial(make_bundle, config=None, variables=found, ci=detect(found).name, clock=clock)
            report = BundlingReport(shown, path, make, says)
        report.link(Link("config", "failed", error.what, error))
        report.finish()
        context.exit(error.exit_code)
    names = (profile,) if profile is not None else tuple(config.profiles)
    profiles = profiles_of(config, names)
    given = operator or any(variables.get(name) for name in VARIABLES)
    unasked = "" if operator else "doctor"
    token = operator_token(variables, config.vault, "--operator", unasked=unasked) if given else None
    around = surroundings(config, variables, clock, new_uid(), started_by=os.getppid())
    secrets = [token] if token is not None else []
    if path is not None:
        make = partial(make_bundle, config=config, variables=variables, ci=around.ci.name, clock=clock, secrets=secrets)
        report = BundlingReport(shown, path, make, says)
    return examine(around, profiles, report=report, id_token_file=id_token_file, operator_token=token, secrets=secrets)
