"""The link "lifetime": whether lease and token can be kept alive until `max_ttl`, and end soon if nobody does."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from stepcreds.clock import Clock
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile
from stepcreds.doctor.link import Link, Remark, remarked
from stepcreds.doctor.token import GLOB, Reach
from stepcreds.errors import VaultError
from stepcreds.model import TOKEN_MARGIN, Lease
from stepcreds.vault.advice import Login
from stepcreds.vault.client import Vault

TOLERANCE = 2.0  # seconds that Vault's whole ones hide


def spell(seconds: float) -> str:
    """A duration as people write it, to the nearest second."""
    return in_words(round(seconds))


def lifetime(
    profile: Profile,
    mount: str,
    *,
    token: Reach,
    lease: Lease,
    vault: Vault,
    limits: Sequence[str],
    clock: Clock,
    lasts_until: Callable[[float], None],
) -> Link:
    """What Vault grants when it is asked for `max_ttl`. `limits` is what an operator's token shows of the reasons.

    The lease is renewed once to the most it may get and back to the profile's ttl; meanwhile it lasts no longer than
    its token. `lasts_until` is told when the lease ends (epoch seconds), beforehand where that is later.

    Raises `VaultError`: the lease may last for `max_ttl` then, and is to be ended at once.
    """
    longest, refusal = _longest(vault, profile, lease, clock, lasts_until)
    limit, margin = profile.max_ttl, TOKEN_MARGIN
    role = _Role(profile, mount)
    remarks = []
    if refusal:
        remarks.append(role.lease(f"The lease cannot be renewed ({refusal}): it ends after {spell(longest)}."))
    elif longest < limit - TOLERANCE:
        remarks.append(role.lease(f"The lease can be renewed until {spell(longest)} after it was issued."))
    if token.refusal:
        remarks.append(role.token(f"The token cannot be renewed ({token.refusal}): it ends after", token.longest))
    elif token.periodic and token.longest < profile.ttl - TOLERANCE:
        remarks.append(role.token("The token is periodic, and each renewal keeps it for", token.longest))
    elif not token.periodic and token.longest < limit + margin - TOLERANCE:
        remarks.append(role.token("The token can be renewed until the login is past by", token.longest))
    if token.first < profile.ttl - TOLERANCE and not token.periodic:
        remarks.append(role.token("At first the token lasts", token.first))
    alone = min(lease.duration, token.first)
    if alone > profile.ttl + margin + TOLERANCE:
        remarks.append(role.too_long(lease.duration, token.first))
    if remarks:
        remarks[-1] = remarks[-1]._replace(cause="\n".join([remarks[-1].cause, *limits]))
    ends = f"{spell(profile.ttl)} without a renewal, {spell(limit)} with"
    return remarked("lifetime", f"the credential lasts {ends}" if not remarks else _short(longest, token), remarks)


def _short(lease: float, token: Reach) -> str:
    return (
        f"renewed as far as Vault lets them, the lease lasts {spell(lease)}, the token "
        + (f"{spell(token.longest)} at a time" if token.periodic else spell(token.longest))
        + f"; at first the token lasts {spell(token.first)}"
    )


def _longest(
    vault: Vault, profile: Profile, lease: Lease, clock: Clock, lasts_until: Callable[[float], None]
) -> tuple[float, str]:
    asked = clock.now()
    lasts_until(asked + profile.max_ttl)
    try:
        longest = vault.renew_lease(lease.lease_id, profile.max_ttl)
    except VaultError as error:
        if error.status not in (400, 403):
            raise
        lasts_until(min(lease.time + lease.duration, asked + profile.ttl))
        return lease.duration, error.what
    since = clock.now() - lease.time
    try:
        lasts_until(clock.now() + vault.renew_lease(lease.lease_id, profile.ttl))
    except VaultError as error:
        raise VaultError(
            f"The lease could not be shortened again to {spell(profile.ttl)}: {error.what}",
            status=error.status,
            errors=error.errors,
            cause=f"It had been renewed to {spell(longest)}, to see whether Vault allows that. The credential is ended "
            f"at once. {error.cause}".rstrip(),
            fix=error.fix,
            docs=error.docs,
        ) from None
    return longest + since, ""


class _Role:
    """What is wrong with one of the two roles of a profile, and the lines to paste."""

    def __init__(self, profile: Profile, mount: str) -> None:
        self.profile = profile
        self.login = Login(profile.role, mount, "", {}, "")
        self.mount = mount
        self.ttl = int(profile.ttl)
        self.limit = int(profile.max_ttl)

    def lease(self, what: str) -> Remark:
        profile = self.profile
        return Remark(
            f"{what} max_ttl of the profile is {spell(self.limit)}: a command that takes longer than the lease "
            "loses its credential in the middle.",
            f"Let the lease last:\n  {write_role(profile.creds, f'max_ttl={self.limit}s')}\n"
            f"  bao read {tune_of(profile.creds)}   (its max_lease_ttl is a limit too)\n"
            f"Or lower profiles.{profile.name}.max_ttl.",
            "lifetime",
        )

    def token(self, what: str, seconds: float) -> Remark:
        settings = {
            "token_ttl": int(self.ttl + TOKEN_MARGIN),
            "token_max_ttl": int(self.limit + TOKEN_MARGIN),
            "token_explicit_max_ttl": 0,
            "token_period": 0,
        }
        return Remark(
            f"{what} {spell(seconds)}, and the lease dies with it. A step wants {spell(self.ttl)} (ttl) to begin "
            f"with, {spell(self.limit)} (max_ttl) at most, and {TOKEN_MARGIN:.0f} s to revoke and prove.",
            f"Let the token last:\n  {self.login.write(**settings)}\n"
            f"  bao read {shlex.quote(f'sys/auth/{self.mount}/tune')}   (its max_lease_ttl is a limit too)\n{GLOB}",
            "lifetime",
        )

    def too_long(self, lease: float, token: float) -> Remark:
        return Remark(
            f"As it is issued the lease lasts {spell(lease)}, and its token {spell(token)}; stepcreds shortens "
            f"it to {spell(self.ttl)} (ttl) a moment later. A step that is killed in between leaves a credential "
            "that lives for as long as the shorter of the two.",
            f"Issue it no longer than it is to live:\n  {write_role(self.profile.creds, f'default_ttl={self.ttl}s')}",
            "lifetime",
        )


def write_role(creds: str, settings: str) -> str:
    """The command that changes `settings` of the role that `creds` issues from, as in most engines."""
    mount, word, name = creds.rpartition("/creds/")
    return f"bao write {shlex.quote(f'{mount}/roles/{name}') if word else 'the role of ' + creds} {settings}"


def tune_of(creds: str) -> str:
    return shlex.quote(f"sys/mounts/{creds.rpartition('/creds/')[0] or creds.partition('/')[0]}/tune")
