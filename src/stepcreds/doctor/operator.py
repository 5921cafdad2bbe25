"""Reads a JWT role with the operator's own Vault token; it changes nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.doctor.link import NotLookedAtError
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.setup.live.operator import ForbiddenError, Live

TIMEOUT = 10.0  # seconds for one call: somebody waits for the answer


def read_role(
    settings: VaultSettings, address: str, token: Secret, role: str, clock: Clock
) -> tuple[Mapping[str, object], object]:
    """What `auth/<mount>/role/<role>` answers, and the bound_issuer of the mount (None where it may not be read).

    Raises `NotLookedAtError` with the reason where the role cannot be read.
    """
    there = settings._replace(addresses=(address,), timeout=min(settings.timeout or TIMEOUT, TIMEOUT))
    with Live(there, token, clock) as vault:
        found = _read(vault, f"auth/{settings.mount}/role/{role}")
        try:
            issuer = _read(vault, f"auth/{settings.mount}/config").get("bound_issuer")
        except NotLookedAtError:
            issuer = None
    return found, issuer


def _read(vault: Live, path: str) -> Mapping[str, object]:
    try:
        found = vault.read(path)
    except ForbiddenError:
        raise NotLookedAtError(f"not read: your Vault token may not read {path}") from None
    except VaultError as error:
        unknown = "Vault does not know your token (any longer)"
        raise NotLookedAtError(f"not read: {unknown if error.status == 403 else one_line(error.what)}") from None
    if found is None:
        raise NotLookedAtError(f"not read: there is no {path}")
    return found
