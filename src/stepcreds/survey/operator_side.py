"""What the operator's token sees of a step's token and job: mounts, policies as they are written, other JWT roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stepcreds.config.model import Config
from stepcreds.errors import VaultError
from stepcreds.measurement import Finding
from stepcreds.printable import one_line
from stepcreds.scope import token, token_paths
from stepcreds.scope.token import Rule
from stepcreds.scope.token_families import Place
from stepcreds.setup.live.operator import ForbiddenError
from stepcreds.survey.asking import Asking, Job
from stepcreds.vault.jwt_role import compare
from stepcreds.vault.policy_text import PolicyTextError, read_policy

UNKNOWN = (
    "what only an operator sees: Vault does not know the token that you gave (any longer): it has expired or was "
    "revoked. Log in again: vault login (or bao login)"
)
MOST_ROLES = 500  # of one auth mount
# What Vault's own engines are; every other kind is taken for one that issues credentials.
_STORES, _TRANSITS = ("kv", "generic"), ("transit",)
_OTHERS = ("system", "identity", "cubbyhole", "ns_system", "ns_identity", "ns_cubbyhole")


class Operator:
    """What the operator's token sees; what it may not see is collected in `unseen`."""

    def __init__(self, vault: Asking, job: Job, config: Config) -> None:
        self.vault = vault
        self.job = job
        self.config = config
        self.unseen: list[str] = []
        self.texts: dict[str, list[Rule]] = {}

    def read(self, path: str, what: str) -> Mapping[str, Any]:
        """The data at `path`, empty where there is nothing or it may not be read."""
        try:
            return self.vault.read(path) or {}
        except VaultError as error:
            self.miss(what, path, error)
            return {}

    def names(self, path: str, what: str) -> tuple[str, ...]:
        try:
            return self.vault.names(path)
        except VaultError as error:
            self.miss(what, path, error)
            return ()

    def mounts(self, listing: str, what: str) -> Mapping[str, str]:
        """Path -> type of what is mounted."""
        try:
            found = self.vault.mounts(listing)
        except VaultError as error:
            self.miss(what, listing, error)
            return {}
        return {path: str(mount.get("type")) for path, mount in found.items() if isinstance(mount, dict)}

    def miss(self, what: str, path: str, error: VaultError) -> None:
        if error.status == 403 and not isinstance(error, ForbiddenError):
            self.unseen.append(UNKNOWN)
            return
        reason = f"your token may not use {path}" if error.status == 403 else one_line(error.what)
        self.unseen.append(f"{what}: {reason}")

    def place(self, place: Place) -> Place:
        """`place`, with what is mounted, and the roles that there are."""
        mounts = self.mounts("sys/mounts", "what is mounted, so only the usual names are looked for")
        engines = tuple(path for path, kind in mounts.items() if kind not in (*_STORES, *_TRANSITS, *_OTHERS))
        known: list[str] = []
        databases = [path for path, kind in mounts.items() if kind == "database"]
        for engine in databases or place.engines:
            known += [f"{engine}/creds/{name}" for name in self.names(f"{engine}/roles", f"which roles {engine} has")]
        return place._replace(
            engines=tuple(dict.fromkeys((*place.engines, *engines))),
            stores=tuple(path for path, kind in mounts.items() if kind in _STORES),
            transits=tuple(path for path, kind in mounts.items() if kind in _TRANSITS),
            known=tuple(known),
        )

    def policies(self, place: Place) -> tuple[str, ...]:
        """Of the token, with those that its identity brings; or of the role, where the token is not a job's."""
        if not self.job.own:
            path = f"auth/{self.config.vault.mount}/role/{place.profile.role}"
            return _policies(self.read(path, "which policies a job gets"))
        try:
            told = self.vault.ask("auth/token/lookup-accessor", accessor=self.job.accessor).get("identity_policies")
        except VaultError as error:
            self.miss("policies that the job's identity brings", "auth/token/lookup-accessor", error)
            told = None
        return tuple(dict.fromkeys((*self.job.policies, *map(str, told if isinstance(told, list) else ()))))

    def rules(self, policies: Iterable[str]) -> list[Rule]:
        """All paths of `policies`, as they are written."""
        return [rule for name in policies for rule in self.text(name)]

    def text(self, name: str) -> list[Rule]:
        if name == "root":
            return [Rule("*", frozenset({"root"}), "policy root")]
        if name not in self.texts:
            self.texts[name] = []
            text = self.read(f"sys/policies/acl/{name}", f"the policy {one_line(name)}").get("policy")
            try:
                if isinstance(text, str):
                    self.texts[name] = [Rule(*rule, f"policy {name}") for rule in read_policy(text)]
            except PolicyTextError as error:
                self.unseen.append(f"the policy {one_line(name)}: its text cannot be read: {error}")
        return self.texts[name]

    def asked(self, place: Place) -> list[Rule]:
        """What the server itself says of this token at the paths that matter."""
        if not self.job.own:
            return []
        try:
            told = self.vault.may(self.job.accessor, token_paths.probes(place))
        except VaultError as error:
            self.miss("what Vault itself says of the token", "sys/capabilities-accessor", error)
            return []
        return [Rule(path, capabilities, asked=True) for path, capabilities in told.items()]

    def roles(self, place: Place) -> list[Finding]:
        """The other JWT roles that this job could log in with."""
        if not self.job.claims:
            self.unseen.append("which other JWT roles a job can take: there are no claims of a job to compare")
            return []
        mount = self.config.vault.mount
        listed = self.mounts("sys/auth", f"auth mounts other than {mount}")
        mounts = dict.fromkeys((mount, *(path for path, kind in listed.items() if kind in ("jwt", "oidc"))))
        return [finding for each in mounts for finding in self.roles_of(each, place)]

    def roles_of(self, mount: str, place: Place) -> list[Finding]:
        settings = self.read(f"auth/{mount}/config", f"whose tokens auth/{mount} takes")
        issuer = str(self.job.claims.get("iss") or "")
        discovery = settings.get("oidc_discovery_url")
        if isinstance(discovery, str) and discovery and discovery.rstrip("/") != issuer.rstrip("/"):
            return []  # it takes another CI's tokens
        names = self.names(f"auth/{mount}/role", f"the JWT roles at auth/{mount}")
        if len(names) > MOST_ROLES:
            self.unseen.append(f"{len(names) - MOST_ROLES} more JWT roles at auth/{mount}")
        found = []
        for name in names[:MOST_ROLES]:
            path = f"auth/{mount}/role/{name}"
            if (mount, name) == (self.config.vault.mount, place.profile.role):
                continue
            role = self.read(path, f"the JWT role {path}")
            rows = compare(role, self.job.claims, settings.get("bound_issuer")) if role else ()
            bad = {row.setting for row in rows if row.verdict in ("differs", "missing")}
            audiences = role.get("bound_audiences")
            if not rows or bad - {"bound_audiences"} or (bad and not audiences):
                continue
            # A job asks its CI for whatever audience it likes: that keeps nobody out.
            note = (
                f", with the audience {one_line(str(audiences[0]), 100)}" if bad and isinstance(audiences, list) else ""
            )
            policies = _policies(role)
            gives = token.judge(self.rules(policies), place.of_another())
            found.append(token.stand(token.other_role(path, policies, gives, place, note=note), place))
        return found


def _policies(role: Mapping[str, Any]) -> tuple[str, ...]:
    """What a token of this role has."""
    told = role.get("token_policies") or role.get("policies") or ()
    policies = [str(each) for each in told] if isinstance(told, list) else []
    if role and role.get("token_no_default_policy") is not True:
        policies.append("default")
    return tuple(dict.fromkeys(policies))
