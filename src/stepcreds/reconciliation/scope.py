"""Which of all that a Vault does is to be in a ledger: whose paths, roles and keys, and of when; it reads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# What of a token's metadata tells one run of a job from another. The names are those of the claims
# (setup/answers/issuers.py), which are also the CI's own in `claims` of a chain's first record.
RUN = ("run_id", "run_attempt", "pipeline_id", "pipelineUuid", "job_id", "stepUuid")
IDENTITY = (*RUN, "repository_id", "repository", "project_id", "project_path", "repositoryUuid", "pipeline_slug")


class Window(NamedTuple):
    """Epoch seconds; None: no bound."""

    since: float | None = None
    until: float | None = None

    def has(self, moment: float | None) -> bool:
        """Whether it lies in the window. What has no time is in none that has a bound."""
        if moment is None:
            return self.since is None and self.until is None
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


class Wanted(NamedTuple):
    """What somebody who compares has asked for; the empty tuples stand for what the ledgers name."""

    roles: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()  # of engines that issue
    window: Window = Window()

    def has_creds(self, creds: str) -> bool:
        """Whether what this path issues is asked for."""
        return not self.mounts or any(creds == mount or creds.startswith(f"{mount}/") for mount in self.mounts)

    def has_role(self, role: str) -> bool:
        return not self.roles or role.lower() in self.roles


class Scope(NamedTuple):
    """What is looked for in an audit log."""

    wanted: Wanted
    creds: frozenset[str]  # paths that issue
    roles: frozenset[str]  # of the JWT method, in lower case
    logins: frozenset[str]  # paths of logins
    keys: frozenset[str]  # "<mount>/keys/<name>"
    leaseless: frozenset[str]  # paths among `creds` that give no lease

    def issues(self, creds: str, role: str, step_uid: str) -> bool:
        """Whether an issue by the path `creds` is to be in a ledger; `role` is its token's, "" where it has none."""
        if not self.wanted.has_creds(creds) or (self.wanted.roles and role and role not in self.roles):
            return False
        named = bool(self.wanted.mounts and not self.wanted.roles)
        return named or creds in self.creds or role in self.roles or bool(step_uid)

    @property
    def issuing(self) -> list[str]:
        """How the paths begin that issue."""
        engines = {creds if creds in self.leaseless else f"{creds.rpartition('/')[0]}/" for creds in self.creds}
        return [*engines, *(f"{mount}/" for mount in self.wanted.mounts)]

    @property
    def others(self) -> list[str]:
        """How the paths of all other requests begin whose answers have to be read."""
        signing = [f"{mount}/sign/{name}" for mount, _, name in (key.rpartition("/keys/") for key in self.keys)]
        return [
            *(self.logins or ["auth/"]),
            *signing,
            *("sys/leases/re", "sys/revoke", "sys/renew"),  # renew, revoke, revoke-prefix, revoke-force
            *("auth/token/revoke", "auth/token/create", "sys/wrapping/unwrap"),
        ]


def contradiction(claims: Mapping[str, object], metadata: Mapping[str, str]) -> str:
    """What of a token's `metadata` differs from the `claims` of a chain: "run_id 1, not 2"; "" where nothing does."""
    differing = [
        f"{name} {metadata[name]}, not {claims[name]}"
        for name in IDENTITY
        if name in metadata and isinstance(claims.get(name), str) and claims[name] != metadata[name]
    ]
    return " and ".join(differing)


def whose(metadata: Mapping[str, str]) -> str:
    """Whose a token is, by its metadata: "role app-verify, repository acme/shop, run_id 4711"; "" where it has none."""
    names = ("role", "repository", "project_path", "repositoryUuid", *RUN)
    return ", ".join(f"{name} {metadata[name]}" for name in names if metadata.get(name))
