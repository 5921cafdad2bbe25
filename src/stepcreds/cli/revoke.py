"""`stepcreds revoke`: flags become one order; 0 when everything is proven dead, 1 when something is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import click

from stepcreds import recovery
from stepcreds.cli.operator import operator_option, operator_token
from stepcreds.cli.options import config_option, id_token_option, load
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.ledger.record import new_uid
from stepcreds.recovery.handed_out import forget

EPILOG = """\b
Examples:
  stepcreds revoke                  # what the last step of this job left
  stepcreds revoke --all            # what any step of this run attempt left; closes this job's chain
  stepcreds revoke --lease database/creds/app-migrate/Q0y5…
\b
In .gitlab-ci.yml:
  after_script:
    - stepcreds revoke --all
\b
Exit codes: 0 all of it is proven dead, or there was nothing; 1 something is not proven dead; 2 usage or configuration.
"""


@click.command(epilog=EPILOG, name="revoke")
@click.option("--lease", metavar="ID", help="End this lease, whichever step it was issued to.")
@click.option("--all", "everything", is_flag=True, help="End what any step of this run attempt left.")
@id_token_option
@operator_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but problems.")
@config_option
def command(
    lease: str | None,
    everything: bool,
    id_token_file: Path | None,
    as_operator: bool,
    quiet: bool,
    config_path: Path | None,
) -> int:
    """End what a killed `stepcreds exec` left behind, and prove it dead.

    The ledger tells what was requested and never proven dead. The password is lost, so the proof is by Vault's lookup
    and by a witness: a fresh credential on the same server sees neither the role nor a session of it.
    """
    if lease and everything:
        raise click.UsageError("--lease and --all exclude each other: --all ends every lease of this run attempt")
    clock = SystemClock()
    config, environment = load(config_path, clock)
    token = operator_token(environment, config.vault) if as_operator else None
    around = surroundings(
        config, environment, clock, new_uid(), quiet=quiet, started_by=os.getppid(), operator_token=token
    )
    reach: Literal["run", "step"] = "run" if everything else "step"
    task = recovery.Task(lease, reach, id_token_file=id_token_file, close=everything)

    def conclude(report: recovery.Report) -> int:
        forget(around, report)
        return recovery.exit_code(report)

    return recovery.run(task, around, conclude)
