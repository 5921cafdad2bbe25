"""Reads roles and limits with the operator's own Vault token; it changes nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.clock import Clock
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile, VaultSettings
from stepcreds.doctor.link import NotLookedAtError
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.setup.live.operator import ForbiddenError, Live

TIMEOUT = 10.0  # seconds for one call: somebody waits for the answer
_OF_TOKENS = ("token_ttl", "token_max_ttl", "token_period", "token_explicit_max_ttl")


class Operator:
    """What one operator's token may read at `address`."""

    def __init__(self, settings: VaultSettings, address: str, token: Secret, clock: Clock) -> None:
        self.settings = settings._replace(addresses=(address,), timeout=min(settings.timeout or TIMEOUT, TIMEOUT))
        self.token = token
        self.clock = clock

    def jwt_role(self, name: str) -> tuple[Mapping[str, object], object]:
        """What `auth/<mount>/role/<name>` answers, and the mount's bound_issuer (None where it may not be read).

        Raises `NotLookedAtError` with the reason where the role cannot be read.
        """
        with Live(self.settings, self.token, self.clock) as vault:
            found = _read(vault, f"auth/{self.settings.mount}/role/{name}")
            try:
                issuer = _read(vault, f"auth/{self.settings.mount}/config").get("bound_issuer")
            except NotLookedAtError:
                issuer = None
        return found, issuer

    def role_of(self, creds: str) -> Mapping[str, object]:
        """What the engine's role behind `creds` says. Raises `NotLookedAtError`."""
        mount, _, name = creds.rpartition("/creds/")
        with Live(self.settings, self.token, self.clock) as vault:
            return _read(vault, f"{mount}/roles/{name}")

    def key(self, name: str) -> Mapping[str, object]:
        """What Transit says of the key `<mount>/keys/<name>`. Raises `NotLookedAtError`."""
        with Live(self.settings, self.token, self.clock) as vault:
            return _read(vault, name)

    def limits(self, profile: Profile) -> list[str]:
        """What lets lease and token of `profile` end when they do, a line for each place that may be read."""
        mount, _, name = profile.creds.rpartition("/creds/")
        auth = self.settings.mount
        places = (
            (f"{mount}/roles/{name}", ("default_ttl", "max_ttl")),
            (f"sys/mounts/{mount}/tune", ("max_lease_ttl",)),
            (f"auth/{auth}/role/{profile.role}", _OF_TOKENS),
            (f"sys/auth/{auth}/tune", ("max_lease_ttl",)),
        )
        lines = []
        with Live(self.settings, self.token, self.clock) as vault:
            for path, names in places if mount else places[2:]:
                try:
                    found = _read(vault, path)
                except NotLookedAtError:
                    continue
                told = [f"{each} {in_words(value)}" for each in names if isinstance(value := found.get(each), int)]
                lines.append(f"  {one_line(path)}: {', '.join(told)}")
        return ["Your token reads:", *lines] if lines else []


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
