"""Which paths of Vault every step may use, and which are worth asking about."""

from __future__ import annotations

import re
from typing import Final

from stepcreds.ledger.checkpoint import REPOSITORY
from stepcreds.scope.path_patterns import overlaps
from stepcreds.scope.token_families import READING, Place, families

_HARMLESS: Final = (
    *("sys/leases/revoke", "sys/leases/lookup", "sys/leases/renew", "sys/renew", "sys/revoke"),
    *("auth/token/renew-self", "auth/token/revoke-self", "auth/token/lookup-self", "auth/token/revoke-accessor"),
    *("sys/capabilities-self", "sys/internal/ui/*", "sys/wrapping/*", "sys/tools/*", "sys/control-group/*"),
    *("cubbyhole/*", "identity/oidc/provider/+/authorize", "sys/health", "sys/seal-status", "sys/leader"),
    "auth/+/login",
)


def is_harmless(path: str, capabilities: frozenset[str], place: Place) -> bool:
    """Whether a step needs it, or everybody has it."""
    own = place.profile.creds
    if path == own or (own and path.startswith((f"sys/leases/revoke/{own}/", f"sys/leases/renew/{own}/"))):
        return True
    if path.startswith("identity/entity/") and capabilities <= READING:
        return True  # of its own entity, by the default policy
    if _is_of_the_ledger(path, place, "sign") or _is_of_the_ledger(path, place, "verify"):
        return capabilities <= {"create", "update"}
    if _is_of_the_ledger(path, place, "keys"):
        return capabilities <= READING
    if path.endswith("*"):
        return any(path.startswith(known[:-1]) for known in _HARMLESS if known.endswith("*"))
    return any(overlaps(path, known) for known in _HARMLESS)


def _is_of_the_ledger(path: str, place: Place, call: str) -> bool:
    """Whether `path` is the ledger's key, and of several that of the job's own repository."""
    mount, _, name = place.key.rpartition("/keys/")
    start, end = f"{mount}/{call}/", name.split(REPOSITORY)
    if not name or not path.startswith(start):
        return False
    own = re.escape(place.repository_id)
    # As a policy says it, and as Vault lists it.
    either = rf"(?:\{{\{{identity\.entity\.aliases\.\w+\.metadata\.repository_id\}}\}}{f'|{own}' if own else ''})"
    return re.fullmatch(either.join(map(re.escape, end)), path.removeprefix(start)) is not None


def probes(place: Place) -> tuple[str, ...]:
    """The paths worth asking about: a policy for exactly one of these, or for all below it, shows."""
    paths = [path for family in families(place) for path in family.paths if "+" not in path]
    paths += ["auth/jwt/role/*", "auth/approle/role/*", "auth/kubernetes/role/*", "auth/userpass/users/*"]
    paths += [*place.known, *(profile.creds for profile in place.profiles.values())]
    return tuple(dict.fromkeys(path for path in paths if path != place.profile.creds))
