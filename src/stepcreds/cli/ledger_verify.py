"""`stepcreds ledger verify`: whether ledgers are whole and signed, and what is wrong with them; it changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from stepcreds.cli.ledger_findings import fails, finding_line
from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.ledger_seals import sealed, seals_option
from stepcreds.cli.ledger_verify_text import (
    MOST_LINES,
    Tally,
    as_json,
    result_line,
    seals_json,
    seals_lines,
)
from stepcreds.cli.messages import coloured
from stepcreds.cli.options import config_option
from stepcreds.errors import UsageError
from stepcreds.exit_codes import USAGE
from stepcreds.ledger.chain import CERTAINTIES, Certainty
from stepcreds.printable import json_text
from stepcreds.review.sources import Source
from stepcreds.review.verification import SMALL, Tick, Verified, verify, weight


@click.command(
    "verify",
    epilog="""\b
Examples:
  stepcreds ledger verify
  stepcreds ledger verify --trust stepcreds-trust.json --require-signed artifacts/
  stepcreds ledger verify --trust stepcreds-trust.json --seals seals/ ledgers/
  stepcreds ledger verify 'artifacts/*/4711-*.jsonl' --json | jq '.files[].findings[]'
\b
Exits with 0 when nothing was found that --fail-on asks for, 1 for findings, and 2 where nothing was verified: wrong
usage or configuration, nothing there, nothing that can be read, or a store that cannot be reached.
""",
)
@places_argument
@config_option
@trust_option
@seals_option
@click.option("--require-signed", is_flag=True, help="A chain that is not signed, or not checked, is a finding.")
@click.option(
    "--fail-on",
    type=click.Choice(CERTAINTIES),
    default=CERTAINTIES[-1],
    show_default=True,
    help="The least sure finding to exit with 1 for; all are printed. What could not be read to its end, or is another "
    "thing here than in its store, what --seals finds, and what --require-signed asks for always count.",
)
@click.option("-v", "--verbose", is_flag=True, help=f"List every file, also of more than {MOST_LINES}.")
@json_option
def command(
    *,
    places: tuple[str, ...],
    config_path: Path | None,
    trust_path: Path | None,
    seals_place: str | None,
    require_signed: bool,
    fail_on: Certainty,
    verbose: bool,
    json_output: bool,
) -> int:
    """Check that nothing was changed, removed, added or moved, and that every credential has an end on record.

    With a trust file (`stepcreds ledger trust export`) also that Vault signed each chain as it is. Without one, or for
    a chain that nobody signed, it says so: whoever can write to such a file can write a whole new chain.

    A chain that is not closed yet is "open", which is no finding.

    Findings are tampered (no stepcreds writes that), incomplete (a crash leaves the same) or unknown. A runner that was
    lost is incomplete for good: a job that runs every hour takes --fail-on tampered. Whoever removes a ledger or cuts
    its end does no more than that, nor does who rewrites the last step, or a whole ledger, and leaves it unsigned: hold
    the ledgers against --seals then, and --require-signed.
    """
    trust = trusted(trust_path)
    with ledgers(places, config_path) as sources:
        if not sources and seals_place is None:
            raise UsageError(
                "There is no ledger to verify",
                cause="No step has written one yet, or it was removed.",
                fix="Name the files or folders: stepcreds ledger verify PLACES",
                docs="ledger",
            )
        seals = sealed(seals_place, trust) if seals_place is not None else None
        tally = Tally(trust)
        results, seen, failed = [], set(), False
        with _progress(sources) as (tick, later):
            for result in verify(sources, trust, seals=seals, require_signed=require_signed, tick=tick):
                tally.add(result)
                failed |= any(fails(finding, fail_on) for finding in result.findings)
                seen.add(result.chain_uid)
                if json_output:
                    results.append(result)
                elif result.findings or verbose or len(sources) <= MOST_LINES:
                    _print(result, later)
        for line in later or ():
            click.echo(line)
    wrong = [*seals.findings, *seals.missing(seen)] if seals is not None else []
    if json_output:
        told = {"seals": seals_json(seals, wrong)} if seals is not None else {}
        click.echo(json_text({**as_json(results, trust), **told}))
    else:
        lines = seals_lines(seals, wrong, coloured(sys.stdout)) if seals is not None else []
        click.echo("\n".join([*lines, *tally.lines(coloured(sys.stdout))]))
    if tally.nothing_read:
        return USAGE
    return 1 if failed or any(fails(finding, fail_on) for finding in wrong) else 0


def _print(result: Verified, later: list[str] | None) -> None:
    colour = coloured(sys.stdout)
    lines = [result_line(result, colour)]
    lines += [finding_line(each, result.file, colour=colour) for each in result.findings]
    if later is None:
        click.echo("\n".join(lines))
    else:
        later += lines


@contextmanager
def _progress(sources: Sequence[Source]) -> Iterator[tuple[Tick, list[str] | None]]:
    """How to tell of work done: a bar, on a terminal and where it takes more than a moment."""
    total = sum(map(weight, sources))
    if total < SMALL or not sys.stderr.isatty():
        yield lambda done: None, None
        return
    later: list[str] = []
    with click.progressbar(length=total, label="Verifying", file=sys.stderr) as bar:
        yield bar.update, later
