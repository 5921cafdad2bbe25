"""Reads a JWT role with the operator's own Vault token, through hvac; it changes nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.doctor.link import NotLookedAtError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.vault.transport import Transport

TIMEOUT = 10.0  # seconds


def read_role(
    settings: VaultSettings, address: str, token: Secret, role: str, clock: Clock
) -> tuple[Mapping[str, object], object]:
    """What `auth/<mount>/role/<role>` answers, and the bound_issuer of the mount (None where it may not be read).

    Raises `NotLookedAtError` with the reason where the role cannot be read.
    """
    try:
        import hvac
    except ImportError:
        raise NotLookedAtError("not read: hvac is not installed (pip install 'stepcreds[operator]')") from None
    transport = Transport(settings, clock)
    try:
        client = hvac.Client(
            url=address,
            token=token.reveal(),
            namespace=settings.namespace,
            timeout=TIMEOUT,
            proxies={address.partition("://")[0]: settings.proxies[address]} if address in settings.proxies else {},
            # hvac follows redirects with the token in hand, and takes certificates from the environment.
            allow_redirects=False,
            session=transport.session(address),
            verify=not settings.skip_verify,
            cert="",
        )
        found = _read(client, f"auth/{settings.mount}/role/{role}")
        try:
            issuer = _read(client, f"auth/{settings.mount}/config").get("bound_issuer")
        except NotLookedAtError:
            issuer = None
        return found, issuer
    finally:
        transport.close()


def _read(client: Any, path: str) -> Mapping[str, object]:
    import hvac
    import requests

    reason = ""
    try:
        # Not auth.jwt.read_role: that one tells a role which is not there by an exception, this one by None.
        answer = client.read(path)
    except hvac.exceptions.Forbidden:
        reason = f"not read: your Vault token may not read {path}"
    except (hvac.exceptions.VaultError, requests.RequestException, OSError, ValueError) as error:
        reason = f"not read: {one_line(type(error).__name__)} at {path}"
    if reason:
        raise NotLookedAtError(reason)
    if answer is None:
        raise NotLookedAtError(f"not read: there is no {path}")
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise NotLookedAtError(f"not read: {path} answered something else than a role")
    return data
