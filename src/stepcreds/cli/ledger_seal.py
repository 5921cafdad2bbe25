"""`stepcreds ledger seal`: makes the next seal of the ledgers that are named; it changes none of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from stepcreds.cli.ledger_findings import finding_line
from stepcreds.cli.ledger_options import json_option, ledgers, places_argument, trust_option, trusted
from stepcreds.cli.operator import operator_option, operator_token
from stepcreds.cli.options import config_option, id_token_option, load
from stepcreds.cli.progress import progress
from stepcreds.cli.surroundings import surroundings
from stepcreds.clock import SystemClock
from stepcreds.config.model import Config, SealSettings
from stepcreds.errors import UsageError
from stepcreds.ledger.record import new_uid
from stepcreds.printable import json_text, one_line
from stepcreds.review.attestation import SigningState
from stepcreds.review.sources import Source
from stepcreds.review.verification import weight
from stepcreds.sealing.chains import Seen
from stepcreds.sealing.making import Made, Order, make
from stepcreds.sealing.signer import Signer
from stepcreds.seals.place import opened
from stepcreds.seals.seal import content

_SIGNING: Mapping[SigningState, str] = {
    "partly signed": "signed in part",
    "not checked": "signatures not checked",
    "unsigned": "unsigned",
}


@click.command(
    "seal",
    epilog="""\b
Examples:
  stepcreds ledger seal
  stepcreds ledger seal ledgers/ --to seals/ --parquet
  stepcreds ledger seal s3://audit-ledgers/chains --to s3://audit-ledgers/seals --json
\b
Run it in a scheduled job of its own, with ledger.seal.key in stepcreds.yml: docs/seal.md. Exits with 0 when all is
sealed, 1 when a chain is not as it was, or the seals are not; 2 for wrong usage or configuration.
""",
)
@places_argument
@click.option("--to", metavar="PLACE", help="Where the seals are: a folder, or a URL. Default: ledger.seal.to.")
@click.option("--parquet", is_flag=True, help="Also write what is sealed, and in no Parquet file yet, into one.")
@id_token_option
@operator_option
@config_option
@trust_option
@json_option
def command(
    *,
    places: tuple[str, ...],
    to: str | None,
    parquet: bool,
    id_token_file: Path | None,
    as_operator: bool,
    config_path: Path | None,
    trust_path: Path | None,
    json_output: bool,
) -> int:
    """Seal ledgers: sign one root over every chain, as long as it is now, and over all that was sealed before.

    A chain that is new, or has grown, is added. One that was changed since it was sealed is not: it is a finding. Where
    nothing is new there is a seal as well, which says that. Seals are never overwritten; each names the one before it.
    """
    clock = SystemClock()
    config, variables = load(config_path, clock)
    settings = _settings(config)
    trust = trusted(trust_path)
    own = operator_token(variables, config.vault) if as_operator else None
    around = surroundings(config, variables, clock, new_uid(), quiet=True, started_by=os.getppid(), operator_token=own)
    results: list[Made] = []
    with (
        ledgers(places, config_path) as sources,
        opened(to or settings.to) as place,
        Signer(around, settings.key, settings.role, id_token_file) as signer,
        _progress(sources) as tick,
    ):
        order = Order(sources, place, trust, parquet)
        for made in make(order, signer.sign, clock, tick):
            results.append(made)
            if not json_output:
                click.echo(_text(made))
    if json_output:
        click.echo(json_text([_json(made) for made in results]))
    return 1 if any(made.wrong or made.odd for made in results) else 0


@contextmanager
def _progress(sources: Sequence[Source]) -> Iterator[Callable[[int], None]]:
    """How to tell of work done, in what `weight` counts."""
    total, done = sum(map(weight, sources)), 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        tell(min(done, total), total)

    with progress("Reading") as tell:
        yield tick


def _settings(config: Config) -> SealSettings:
    if config.ledger.seal is None:
        raise UsageError(
            f"{config.source} does not say who seals: there is no ledger.seal",
            cause="A seal is signed by a key of its own, which no step can sign with.",
            fix="Add to stepcreds.yml:\n"
            "  ledger:\n    seal:\n      key: transit/keys/stepcreds-seal\n      role: stepcreds-seal",
            docs="ledger-seal",
        )
    return config.ledger.seal


def _text(made: Made) -> str:
    seal, count = made.seal, len(made.added)
    added = "nothing is new" if not count else f"{_number(count, 'chain')} added"
    lines = [f"seal {seal.seq}: {added}, {_number(seal.tree_size, 'leaf', 'leaves')} in all, root {seal.root}"]
    lines += [f"  {one_line(each.leaf.name)}: {_records(each)}" for each in made.added]
    if made.wrong:
        lines.append(f"not sealed: {_number(len(made.wrong), 'ledger')}, because of what was found")
    lines += [finding_line(finding) for each in made.wrong for finding in each.wrong]
    if made.missing:
        lines.append(f"not here: {_number(made.missing, 'chain')} that earlier seals have (ledger verify --seals)")
    if made.untabled:
        lines.append(f"not here, and not to its end in a Parquet file: {_number(made.untabled, 'chain')}")
    lines += [f"{one_line(each.file)}: {finding_line(each).strip()}" for each in made.odd]
    if seal.parquet is not None:
        also = len(seal.parquet.also)
        older = f", of {_number(also, 'chain')} that earlier seals have as well" if also else ""
        lines.append(f"{_number(seal.parquet.rows, 'record')} in {one_line(seal.parquet.name)}{older}")
    return "\n".join([*lines, f"written to {one_line(made.file)}, SHA-256 {made.digest}"])


def _records(each: Seen) -> str:
    size = each.leaf.size
    new = _number(size, "record") if not each.sealed else f"{_number(size, 'record')}, {size - each.sealed} of them new"
    return new if each.signing == "signed" else f"{new}, {_SIGNING[each.signing]}"


def _number(count: int, word: str, words: str = "") -> str:
    return f"1 {word}" if count == 1 else f"{count} {words or word + 's'}"


def _json(made: Made) -> dict[str, object]:
    """What is signed, and what the job knows beside it."""
    return {
        "file": made.file,
        "sha256": made.digest,
        **content(made.seal),
        "unsigned": [each.leaf.name for each in made.added if each.signing == "unsigned"],
        "missing": made.missing,
        "findings": [asdict(finding) for finding in (*made.odd, *(one for each in made.wrong for one in each.wrong))],
    }
