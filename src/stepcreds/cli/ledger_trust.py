"""`stepcreds ledger trust`: pins the public keys of Vault's Transit engine in a file, and shows what is pinned."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from stepcreds.cli.ledger_options import TRUST_FILE, json_option, named_trust_file, trust_option
from stepcreds.cli.operator import operator_token
from stepcreds.cli.options import config_option, load, working_folder
from stepcreds.clock import SystemClock
from stepcreds.config.model import Config
from stepcreds.errors import UsageError
from stepcreds.ledger.dsse import from_base64
from stepcreds.printable import json_text, one_line
from stepcreds.setup.live.operator import Live
from stepcreds.trust.file import create, load_trust, replace
from stepcreds.trust.keys import Trust, TrustedKey
from stepcreds.trust.update import updated
from stepcreds.trust.vault_keys import Asked, Found, read_keys

HEADERS = ("FOR", "REPOSITORY", "KEY", "FROM", "UNTIL", "SHA-256", "VAULT")


@click.group("trust")
def command() -> None:
    """Pin whose signatures count: the public keys with which Vault signs ledgers, from when until when."""


@command.command(
    "export",
    epilog="""\b
Examples:
  export VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=…
  stepcreds ledger trust export
  stepcreds ledger trust export --key 'transit/keys/stepcreds-{repository_id}' --seal-key transit/keys/stepcreds-seal
  stepcreds ledger trust export --update      # after a rotation, or a new repository
\b
Your token needs `read` on <mount>/keys/<name>, and `list` on <mount>/keys for more than one. Exits with 0 when the file
is written or needs no change, 1 when Vault refuses, 2 for wrong usage or configuration.
""",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(TRUST_FILE),
    metavar="FILE",
    show_default=True,
    help="Where to write it. A file that is there is left alone, but for --update.",
)
@click.option("--update", is_flag=True, help="Bring the file up to date, and say what changes. Nothing is taken out.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Keys that sign checkpoints: transit/keys/NAME, transit/keys/PREFIX*, or with {repository_id} in the name, "
    "which then says whose key each is. Default: ledger.key.",
)
@click.option(
    "--seal-key", "seal_keys", multiple=True, metavar="KEY", help="Keys that sign seals. Default: ledger.seal.key."
)
@config_option
def export(
    *, output: Path, update: bool, keys: tuple[str, ...], seal_keys: tuple[str, ...], config_path: Path | None
) -> int:
    """Write down every version of the keys that Vault signs ledgers with, and when each may have signed.

    Uses your own Vault token: VAULT_TOKEN, BAO_TOKEN or ~/.vault-token. Keep the file where no CI job can write to it,
    and compare the fingerprints (`ledger trust show`) with somebody who asked Vault from another machine.
    """
    clock = SystemClock()
    config, variables = load(config_path, clock)
    asked = _asked(config, keys, seal_keys)
    old = load_trust(output) if update else None
    address = config.vault.addresses[0]
    with Live(config.vault, operator_token(variables, config.vault, "ledger trust export"), clock) as live:
        found = read_keys(live, address, asked)
    if old is None:
        create(output, Trust(str(output), found.keys))
        click.echo(f"{one_line(str(output))}: {_count(found.keys)} of {address}")
    else:
        _update(output, old, found, asked, address)
    for text in found.left_out:
        click.echo(f"left out: {text}")
    for key in found.keys:
        if key.purpose == "checkpoint" and key.repository_id is None:
            click.echo(f"{key.keyid}: may sign for any repository; {{repository_id}} in --key says whose each key is")
    if old is None:
        click.echo(f"It counts where it is named: --trust {one_line(str(output))}, or STEPCREDS_TRUST")
    return 0


@command.command(
    "show",
    epilog="""\b
Examples:
  stepcreds ledger trust show
  stepcreds ledger trust show --trust /etc/stepcreds-trust.json --json
""",
)
@trust_option
@json_option
def show(trust_path: Path | None, json_output: bool) -> int:
    """Print the keys that are pinned: what each may sign, for whom, from when until when, and its fingerprint.

    SHA-256 is that of the key's 32 bytes. An UNTIL of "-" is the newest version.
    """
    named = named_trust_file(trust_path)
    if named is None and not (working_folder() / TRUST_FILE).exists():
        raise UsageError(
            "No key is pinned: there is no trust file here",
            fix="Write one from Vault: stepcreds ledger trust export\nOr name it: --trust FILE, or STEPCREDS_TRUST",
            docs="ledger-trust",
        )
    trust = load_trust(named or working_folder() / TRUST_FILE)
    if json_output:
        keys = [{**vars(key), "sha256": _fingerprint(key)} for key in trust.keys]
        click.echo(json_text({"file": trust.source, "keys": keys}))
        return 0
    from tabulate import tabulate

    rows = [
        (
            key.purpose,
            one_line(key.repository_id or "any", 60),
            key.keyid,
            key.not_before,
            key.not_after or "-",
            _fingerprint(key)[:16],
            one_line(key.vault_addr, 80),
        )
        for key in trust.keys
    ]
    click.echo(f"{one_line(trust.source)}: {_count(trust.keys)}")
    click.echo(tabulate(rows, headers=HEADERS, tablefmt="plain", disable_numparse=True))
    return 0


def _asked(config: Config, keys: tuple[str, ...], seal_keys: tuple[str, ...]) -> list[Asked]:
    usual = (config.ledger.key,) if config.ledger.key else ()
    usual_seal = (config.ledger.seal.key,) if config.ledger.seal else ()
    asked = [Asked.parse(text, "seal") for text in seal_keys or usual_seal]
    asked += [Asked.parse(text, "checkpoint") for text in keys or usual]
    if not asked:
        raise UsageError(
            "stepcreds.yml names no key that signs the ledger",
            fix="Set ledger.key there; or name the keys: --key 'transit/keys/stepcreds-{repository_id}'",
            docs="ledger-trust",
        )
    return asked


def _update(output: Path, old: Trust, found: Found, asked: list[Asked], address: str) -> None:
    def was_asked(key: TrustedKey) -> bool:
        mount, _, name = key.name.rpartition("/keys/")
        return key.vault_addr == address and any(
            (each.mount, each.purpose) == (mount, key.purpose) and each.fits(name) for each in asked
        )

    result = updated(old, found.keys, was_asked)
    if result.changes:
        replace(output, result.trust)
    click.echo(f"{one_line(str(output))}: " + (f"{len(result.changes)} changed" if result.changes else "no change"))
    for text in result.changes:
        click.echo(f"  {one_line(text)}")
    for text in result.kept:
        click.echo(f"  kept: {one_line(text)}")


def _count(keys: tuple[TrustedKey, ...]) -> str:
    return "1 key" if len(keys) == 1 else f"{len(keys)} keys"


def _fingerprint(key: TrustedKey) -> str:
    return hashlib.sha256(from_base64(key.public_key)).hexdigest()
