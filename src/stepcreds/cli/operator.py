"""`--as-operator`: a person's own Vault token instead of a CI's identity, found where the Vault CLI keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.errors import UsageError
from stepcreds.secret import Secret

Command = TypeVar("Command", bound=Callable[..., object])

VARIABLES = ("VAULT_TOKEN", "BAO_TOKEN")
FILES = (".vault-token", ".bao-token")
LIMIT = 16 * 1024  # bytes


def operator_option(command: Command) -> Command:
    """`--as-operator`, handed on as `as_operator: bool`."""
    return click.option(
        "--as-operator",
        is_flag=True,
        help="On your own machine: use the Vault token that you logged in with; the ledger says so.",
    )(command)


def operator_token(environment: Mapping[str, str], flag: str = "--as-operator") -> Secret:
    """The caller's token: VAULT_TOKEN, BAO_TOKEN, else ~/.vault-token. Raises `UsageError` if there is none.

    `flag` is what asked for it.

    https://developer.hashicorp.com/vault/docs/commands/token-helper
    """
    for name in VARIABLES:
        if environment.get(name):
            return Secret(environment[name].strip())
    home = environment.get("HOME", "")
    for name in FILES if home else ():
        try:
            with (Path(home) / name).open("rb") as file:
                text = file.read(LIMIT).decode("ascii", "replace").strip()
        except OSError:
            continue
        if text:
            return Secret(text)
    raise UsageError(
        f"{flag} needs a Vault token, and there is none",
        cause="Neither VAULT_TOKEN nor BAO_TOKEN is set, and ~/.vault-token does not exist.",
        fix="Log in first: vault login (or bao login)",
        docs="as-operator",
    )
