"""How long a lease lives from the start: shortened to the profile's `ttl`, or made to last `max_ttl` where nobody will
be there to renew it.

The creds path ignores a ttl. `sys/leases/renew` and `auth/token/renew-self` take the `increment` from now on, up to the
max_ttl of the role, and shorten as well: https://developer.hashicorp.com/vault/docs/concepts/lease#lease-durations-and-renewal
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stepcreds.clock import Clock, rfc3339
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile
from stepcreds.errors import VaultError
from stepcreds.model import Lease, Login
from stepcreds.vault.client import Vault

TOLERANCE = 2.0  # seconds: a lease is renewed a moment after it was made, and Vault counts whole ones


def shorten(vault: Vault, profile: Profile, lease: Lease, clock: Clock) -> float | None:
    """The new end of a lease (epoch seconds) that was longer than the profile's ttl; None where it was not.

    Raises `VaultError`.
    """
    ttl = profile.ttl
    if not lease.lease_id or lease.duration <= ttl:
        return None
    try:
        return clock.now() + vault.renew_lease(lease.lease_id, ttl)
    except VaultError as error:
        raise VaultError(
            f"The lease of {profile.creds} lasts {lease.duration:.0f} s and could not be shortened to the "
            f"profile's ttl of {ttl:.0f} s: {error.what}",
            status=error.status,
            errors=error.errors,
            cause="The role's policy does not allow sys/leases/renew, or this engine's leases cannot be renewed.",
            fix='Allow it (path "sys/leases/renew" { capabilities = ["update"] }); or set default_ttl of the creds '
            f"role to {ttl:.0f}s; or raise profiles.{profile.name}.ttl.",
            docs="lease-not-shortened",
        ) from None


class _Part(NamedTuple):
    """The lease or the token of a credential that is to last."""

    what: str
    duration: float  # seconds from now
    refusal: str  # what Vault said to a renewal, "" where it did it


def stretch(vault: Vault, profile: Profile, login: Login, lease: Lease, clock: Clock) -> float:
    """The end (epoch seconds) of a credential that nobody will renew: `max_ttl` from now, of its token too.

    Raises `VaultError` where Vault does not let it last so long. The credential is alive then.
    """
    wanted, now = profile.max_ttl, clock.now()
    token = _renewed("the token", vault.renew_token, wanted, login.time + login.ttl - now)
    parts = [token]
    if lease.lease_id:
        held = lease.lease_id
        parts.append(
            _renewed("the lease", lambda s: vault.renew_lease(held, s), wanted, lease.time + lease.duration - now)
        )
    shortest = min(part.duration for part in parts)
    if shortest < wanted - TOLERANCE:
        raise _too_short(profile, parts, now + shortest, now + wanted)
    return now + shortest


def _renewed(what: str, renew: Callable[[float], float], wanted: float, left: float) -> _Part:
    try:
        return _Part(what, renew(wanted), "")
    except VaultError as error:
        return _Part(what, left, error.what)


def _too_short(profile: Profile, parts: list[_Part], end: float, wanted: float) -> VaultError:
    maximum, whole = in_words(profile.max_ttl), f"{profile.max_ttl:.0f}s"
    short = [part for part in parts if part.duration < profile.max_ttl - TOLERANCE]
    causes = [f"{part.what} ends after {part.duration:.0f} s" for part in short]
    refusals = [f"{part.what} cannot be renewed: {part.refusal}" for part in short if part.refusal]
    lines = {
        "the token": f"auth/<mount>/role/{profile.role}: token_ttl={whole} token_max_ttl={whole}",
        "the lease": f"{_role_of(profile.creds)}: default_ttl={whole} max_ttl={whole}",
    }
    lasting = f"{profile.role.removesuffix('-outputs').lower()}-outputs"
    flag = f" --outputs {profile.name}, and then in the profile role: {lasting}"
    flag = flag if any(part.what == "the token" for part in short) else ""
    return VaultError(
        f"The credential of profile {profile.name} would end at {rfc3339(end)}, and as an output it has to last its "
        f"max_ttl of {maximum}, until {rfc3339(wanted)}",
        cause="No process lives that could renew it, so Vault has to let it last from the start; "
        + " and ".join(causes)
        + ("; " + "; ".join(refusals) if refusals else "")
        + ".",
        fix=f"Where setup made the roles: stepcreds setup apply{flag}\n"
        "Else give the profile roles of its own in Vault, and let these last:\n"
        + "".join(f"  {lines[part.what]}\n" for part in short)
        + f"Or lower profiles.{profile.name}.max_ttl to what they allow; or use run: or shell:, which need neither.",
        docs="outputs-ttl",
    )


def _role_of(creds: str) -> str:
    """`database/creds/app` is issued by `database/roles/app`, as in most engines."""
    mount, word, name = creds.rpartition("/creds/")
    return f"{mount}/roles/{name}" if word else f"the role of {creds}"
