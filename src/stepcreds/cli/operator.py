"""`--as-operator`: a person's own Vault token instead of a CI's identity, found where the Vault CLI keeps it.

Such a token has no audience: it is worth the same to whoever gets it. So it goes to no server that stepcreds.yml alone
names, which anybody can change who can push a branch; the Vault CLI, too, takes the address from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.config.address import Address, AddressError, parse_address
from stepcreds.config.model import VaultSettings
from stepcreds.config.vault_settings import PINNED
from stepcreds.errors import UsageError
from stepcreds.secret import Secret

Command = TypeVar("Command", bound=Callable[..., object])

VARIABLES = ("VAULT_TOKEN", "BAO_TOKEN")
FILES = (".vault-token", ".bao-token")
ADDRESSES = (PINNED, "VAULT_ADDR", "BAO_ADDR")
UNSET = "https://127.0.0.1:8200"  # to the Vault CLI, where no variable names an address
LIMIT = 16 * 1024  # bytes


def operator_option(command: Command) -> Command:
    """`--as-operator`, handed on as `as_operator: bool`."""
    return click.option(
        "--as-operator",
        is_flag=True,
        help="On your own machine: use the Vault token that you logged in with; the ledger says so.",
    )(command)


def operator_token(
    environment: Mapping[str, str], vault: VaultSettings, flag: str = "--as-operator", *, unasked: str = ""
) -> Secret:
    """The caller's token: VAULT_TOKEN, BAO_TOKEN, else ~/.vault-token. `flag` is what asked for it.

    `unasked` is the name of the command where nothing did: it takes the token of a variable that is set.

    Raises `UsageError` if there is none, or if it would go to a server that the environment does not name.

    https://developer.hashicorp.com/vault/docs/commands/token-helper
    """
    token = _found(environment)
    if token is None:
        raise UsageError(
            f"{flag} needs a Vault token, and there is none",
            cause="Neither VAULT_TOKEN nor BAO_TOKEN is set, and ~/.vault-token does not exist.",
            fix="Log in first: vault login (or bao login)",
            docs="as-operator",
        )
    named = _places(" ".join(environment.get(name, "") for name in ADDRESSES).strip() or UNSET)
    for text in vault.addresses:
        if _place(parse_address(text)) not in named:
            variable = next((name for name in VARIABLES if environment.get(name)), "")
            gives = f"{flag} would give your own Vault token"
            if unasked:
                gives = f"{variable} is set, and {unasked} would give it"
            raise UsageError(
                f"{gives} to {text}, which stepcreds.yml names and your environment does not",
                cause="Whoever can change that file on a branch could have your token so. It goes only to a host and "
                f"port that {', '.join(ADDRESSES[:-1])} or {ADDRESSES[-1]} names; where none is set, to "
                f"{UNSET.removeprefix('https://')}.",
                fix=f"If that is your Vault:\n  export VAULT_ADDR={text}\nIf your token has no part in this:\n  "
                f"unset {' '.join(VARIABLES)}",
                docs="as-operator",
            )
    return token


def _found(environment: Mapping[str, str]) -> Secret | None:
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
    return None


def _places(text: str) -> set[tuple[str, int]]:
    """Those of the addresses in `text`; what is none names nothing."""
    found = set()
    for part in filter(None, re.split(r"[\s,]+", text)):
        try:
            found.add(_place(parse_address(part)))
        except AddressError:
            continue
    return found


def _place(address: Address) -> tuple[str, int]:
    """Host and port. All of loopback is one host; another port of it may be somebody else's, on a shared machine."""
    return "localhost" if address.is_loopback else address.host, address.port
