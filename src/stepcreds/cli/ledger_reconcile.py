"""`stepcreds ledger reconcile`: the ledgers beside Vault's own audit log; it changes nothing and asks no server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_reconcile_text import as_json, as_text
from stepcreds.cli.messages import coloured, render_error
from stepcreds.cli.options import as_seconds, config_option
from stepcreds.cli.progress import progress
from stepcreds.clock import SystemClock
from stepcreds.printable import json_text
from stepcreds.reconciliation.audit_file import audit_files, size
from stepcreds.reconciliation.reconciling import LATE, Reconciled, reconcile
from stepcreds.reconciliation.scope import Wanted, Window
from stepcreds.review.selection import moment, of_day

DAY = 86_400.0
MEGABYTE = 1_000_000


@click.command(
    "reconcile",
    epilog="""\b
Examples:
  stepcreds ledger reconcile --audit /var/log/openbao/audit.log
  stepcreds ledger reconcile --audit 'node-*/audit.log*' --since 2026-11-22 --until 2026-11-22 artifacts/
  zcat audit-*.gz | stepcreds ledger reconcile --audit - --role app-migrate s3://ledgers/shop

Exits with 0 when nothing was found, 1 for findings, 2 for wrong usage, and for a log of another Vault or another time.
""",
)
@places_argument
@click.option(
    "--audit",
    "audit",
    multiple=True,
    required=True,
    metavar="FILE",
    help="An audit log: a file, a folder, a pattern, or - for standard input; also of gzip. Again for more.",
)
@config_option
@click.option(
    "--since", metavar="TIME", help="Only what was issued then or later: 2026-11-22T14:02:00Z, 2026-11-22, 3d."
)
@click.option("--until", metavar="TIME", help="Only what was issued by then; a day is meant to its end.")
@click.option(
    "--role", "roles", multiple=True, metavar="NAME", help="Only this role at Vault, also where no ledger has it."
)
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="PATH",
    help="Only this secrets engine (database), and all that it issues, also by paths that no ledger has.",
)
@click.option(
    "--late",
    default=f"{LATE:.0f}s",
    show_default=True,
    callback=as_seconds,
    metavar="TIME",
    help="How long after a step's command its credential may be revoked.",
)
@trust_option
@json_option
def command(
    *,
    places: tuple[str, ...],
    audit: tuple[str, ...],
    config_path: Path | None,
    since: str | None,
    until: str | None,
    roles: tuple[str, ...],
    mounts: tuple[str, ...],
    late: float,
    trust_path: Path | None,
    json_output: bool,
) -> int:
    """Compare ledgers with Vault's audit log: what was issued, revoked and signed, and who has it on record.

    Finds what the ledgers alone cannot show: a job that wrote nothing down, credentials that were taken out of a ledger
    or invented, leases that nobody revoked. What the log cannot tell is said as well, with the setting that would tell
    it. An expiry is never called a revocation.
    """
    now = SystemClock().now()
    wanted = Wanted(
        tuple(role.lower() for role in roles), tuple(mount.strip("/") for mount in mounts), _window(since, until, now)
    )
    trust = trusted(trust_path)
    files = audit_files(audit)
    with ledgers(places, config_path) as sources, progress("Reading the audit log: megabytes") as tell:
        result = reconcile(sources, files, wanted, trust=trust, late=late, progress=_summed(files, tell))
    if json_output:
        click.echo(json_text(as_json(result)))
    else:
        click.echo(as_text(result, coloured(sys.stdout)))
    for error in result.errors:
        click.echo(render_error(error, coloured(sys.stderr)), err=True)
    return _code(result)


def _code(result: Reconciled) -> int:
    return 1 if result.findings or result.errors else 0


def _window(since: str | None, until: str | None, now: float) -> Window:
    end = None if until is None else moment(until, now) + (DAY if of_day(until) else 0.0)
    return Window(None if since is None else moment(since, now), end)


def _summed(files: list[str], tell: Callable[[int, int], None]) -> Callable[[str, int], None]:
    """Progress over all files."""
    total = sum(map(size, files)) // MEGABYTE
    read: dict[str, int] = {}

    def add(file: str, behind: int) -> None:
        read[file] = behind
        tell(sum(read.values()) // MEGABYTE, total)

    return add
