"""The links "login" and "policy": the token that a job gets, and whether its policies allow all that a step does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.duration import in_words
from stepcreds.config.model import Profile, VaultSettings
from stepcreds.doctor.link import Link, Remark, remarked
from stepcreds.doctor.role import fixes_repository
from stepcreds.errors import VaultError
from stepcreds.model import TOKEN_MARGIN, Login
from stepcreds.printable import one_line
from stepcreds.secret import Secret
from stepcreds.setup.live.operator import ForbiddenError, Live
from stepcreds.setup.vault import policy
from stepcreds.vault.advice import Login as LoginAdvice
from stepcreds.vault.advice import repository_claim
from stepcreds.vault.client import PROBE, Vault

LOOKUP = "auth/token/lookup-self"


class Reach(NamedTuple):
    """How long a token can be kept alive."""

    first: float  # seconds that it has at the login
    longest: float  # seconds, renewed for as long as it may be
    periodic: bool = False  # it may be renewed for ever, and gets so many seconds each time
    refusal: str = ""  # what Vault said to a renewal


def told(profile: Profile, mount: str, login: Login, remarks: list[Remark]) -> Link:
    """The link "login", of a login that worked."""
    policies = one_line(", ".join(login.policies)) or "none"
    found = f"{profile.role} at auth/{mount}: a service token for {in_words(login.ttl)}, policies: {policies}"
    return remarked("login", found, remarks)


def whose(
    settings: VaultSettings, profile: Profile, token: Secret, claims: Mapping[str, object], clock: Clock
) -> list[Remark]:
    """A remark where the token's display name shows that its user_claim is not one that fixes the repository.

    Vault makes that name of the mount's and of the claim's value. Only the `default` policy lets a token look at
    itself; without it there is nothing to say.
    """
    try:
        with Live(settings._replace(timeout=min(settings.timeout or 10.0, 10.0)), token, clock) as vault:
            seen = vault.read(LOOKUP) or {}
    except VaultError:
        return []
    name = str(seen.get("display_name") or "")
    value = name.removeprefix(settings.mount.replace("/", "-") + "-")
    same = [claim for claim, actual in claims.items() if isinstance(actual, str) and actual == value]
    if not same or any(fixes_repository({"user_claim": claim}, claims) for claim in same):
        return []
    change = LoginAdvice(profile.role, settings.mount, "", {}, "").write(user_claim=repository_claim(claims))
    return [
        Remark(
            f"To Vault this job is {one_line(name, 120)}, which is its claim {' or '.join(same)}: the role's "
            "user_claim does not fix the repository, jobs of other repositories are the same entity, and policies "
            "cannot tell them apart.",
            f"A user_claim that fixes it:\n  {change}\n{GLOB}",
            "role-too-wide",
        )
    ]


# Every write sets bound_claims_type anew.
GLOB = "If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string."


def allowed(
    vault: Vault,
    profile: Profile,
    login: Login,
    settings: VaultSettings,
    clock: Clock,
    *,
    ledger_key: str | None = None,
) -> tuple[Reach, Link]:
    """Try each call of a step that changes nothing: a policy may limit parameters, and only the attempt tells.

    The token is gone afterwards. Raises `VaultError` with the paths that are missing.
    """
    lease = f"{profile.creds}/{PROBE}"
    reach = Reach(login.ttl, login.ttl)

    def renew() -> None:
        nonlocal reach
        reach = _reach(vault, profile, login, clock)

    calls: dict[str, Callable[[], object]] = {
        "sys/leases/lookup": lambda: vault.lookup_lease(lease),
        "sys/leases/renew": lambda: vault.renew_lease(lease, profile.ttl),
        "sys/leases/revoke with sync=false": lambda: vault.queue_revocation(lease),
        "auth/token/renew-self": renew,
        "auth/token/revoke-accessor": lambda: vault.revoke_accessor(PROBE),
    }
    missing = [path for path, call in calls.items() if _applies(path, profile) and _forbidden(call)]
    blind = _cannot_see_itself(settings, login.token, profile, clock)
    if _forbidden(vault.revoke_self):
        missing.append("auth/token/revoke-self")
    if missing:
        raise VaultError(
            f"The policies of role {profile.role} do not allow {', '.join(missing)}",
            status=403,
            cause="A step looks its lease up to prove it dead, keeps lease and token alive while the command runs, "
            "and gives the token back; `stepcreds revoke` ends what was lost by its accessor; and what cannot be "
            "revoked at once is left to Vault's queue (sync=false).",
            fix="The least that this profile needs, as a policy:\n"
            + policy(profile, ledger_key=ledger_key, mount=settings.mount),
            docs="policy-missing",
        )
    return reach, remarked("policy", "look up, renew, give back", blind)


def _applies(path: str, profile: Profile) -> bool:
    return profile.revocation == "lease" or not path.startswith("sys/leases/")


def _forbidden(call: Callable[[], object]) -> bool:
    try:
        call()
    except VaultError as error:
        if error.status == 403:
            return True
        if error.status != 400:  # there is no such lease to renew
            raise
    return False


def _reach(vault: Vault, profile: Profile, login: Login, clock: Clock) -> Reach:
    """Vault grants as much of an increment as it may: https://openbao.org/docs/concepts/tokens/#token-time-to-live

    A periodic token gets its period, whatever it asks for.
    """
    try:
        longest = vault.renew_token(profile.max_ttl + TOKEN_MARGIN)
        since = clock.now() - login.time
        less = max(1.0, longest // 2)
        if vault.renew_token(less) > less + 1:
            return Reach(login.ttl, longest, periodic=True)
        return Reach(login.ttl, longest + since)
    except VaultError as error:
        if error.status != 400:
            raise
        return Reach(login.ttl, login.ttl, refusal=error.what)


def _cannot_see_itself(settings: VaultSettings, token: Secret, profile: Profile, clock: Clock) -> list[Remark]:
    try:
        with Live(settings, token, clock) as vault:
            vault.capabilities([profile.creds])
    except ForbiddenError:
        return [
            Remark(
                "The token may not ask what it may do (sys/capabilities-self), so `stepcreds scope` cannot tell "
                "whether that is more than this profile needs.",
                'Add to a policy of the role:\n  path "sys/capabilities-self" {\n    capabilities = ["update"]\n  }',
                "policy-missing",
            )
        ]
    except VaultError:
        pass  # nothing of a step depends on it
    return []
