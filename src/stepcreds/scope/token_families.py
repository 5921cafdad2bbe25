"""Which paths of Vault mean power, and how much: a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stepcreds.config.model import Profile
from stepcreds.measurement import Level
from stepcreds.scope.path_patterns import overlaps

# Code -> its level, and what it means; the worst first.
CODES: Final[Mapping[str, tuple[str, str]]] = {
    "VAULT.ROOT": ("admin", "It may do everything, as a root token may."),
    "VAULT.CREDS": ("that profile's, else admin", "It may issue a credential other than the profile's own."),
    "VAULT.ROLE": (
        "that role's; info where a profile has it",
        "This job can also log in as another JWT role. No boundary of this profile where another profile of the same "
        "stepcreds.yml has that role: a step is none.",
    ),
    "VAULT.POLICY": ("admin, info to read", "It may change policies, its own among them."),
    "VAULT.AUTH": ("admin, info to read", "It may change who may log in, and as what."),
    "VAULT.TOKEN": ("admin or write, info to read", "It may make tokens, or end those of others."),
    "VAULT.MOUNT": ("admin, info to read", "It may mount, move and unmount engines."),
    "VAULT.ENGINE": ("admin, info to read", "It may redefine what an engine issues, or how Vault logs in there."),
    "VAULT.IDENTITY": ("admin, info to read", "It may change entities and groups, which carry policies."),
    "VAULT.SYSTEM": ("admin, info to read", "It may change the server itself: storage, seal, audit, plugins."),
    "VAULT.LEASE": ("write, info to list", "It may end the credentials of others, many at once."),
    "VAULT.SECRET": ("write or read, info to list", "It may use stored secrets (kv)."),
    "VAULT.TRANSIT": ("write or read, info to list", "It may use or change keys of transit."),
    "VAULT.PATH": ("write or read, info to list", "It may use any other path."),
}

CHANGING: Final = frozenset({"create", "update", "patch", "delete"})
READING: Final = frozenset({"read"})


class Place(NamedTuple):
    """What a token is judged against, and what is known of the server."""

    profile: Profile
    profiles: Mapping[str, Profile]  # all of the configuration, by name
    today: str  # the UTC date, YYYY-MM-DD: until when something is allowed depends on it
    engines: tuple[str, ...] = ()  # paths of database engines, without a slash at the end
    stores: tuple[str, ...] = ()  # of kv
    transits: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # paths that issue credentials and exist
    key: str = ""  # the ledger's: "transit/keys/ledger", or one with "{repository_id}"
    repository_id: str = ""  # that of the job; "" where nobody knows

    def of_another(self) -> Place:
        """The same server, for a token of which no profile says what it is for."""
        return self._replace(profile=self.profile._replace(creds=""))


class Family(NamedTuple):
    """Paths that mean the same power."""

    code: str
    paths: tuple[str, ...]
    capabilities: frozenset[str]  # any of these gives it
    level: Level
    phrase: str  # what follows "it can", with {path}
    segments: tuple[str, ...] = ()  # of a path at a mount that nobody knows: "anything/creds/app"

    def holds(self, path: str) -> bool:
        """Whether a policy's `path` gives a path of this family."""
        if self.code == "VAULT.AUTH" and path.startswith("auth/token/"):
            return False  # tokens have a family of their own
        first, *rest = path.split("/")
        if first not in ("sys", "auth", "identity") and any(segment in self.segments for segment in rest):
            return True
        return any(overlaps(path, pattern) for pattern in self.paths)


_SYSTEM: Final = (
    *("sys/raw", "sys/raw/*", "sys/seal", "sys/step-down", "sys/rekey/*", "sys/rotate", "sys/rotate/*"),
    *("sys/audit/*", "sys/storage/*", "sys/plugins/*", "sys/config/*", "sys/namespaces/*", "sys/generate-root/*"),
    *("sys/replication/*", "sys/quotas/*"),
)
_LOGINS: Final = (
    *("sys/auth", "sys/auth/*", "auth/+/role/*", "auth/+/roles/*", "auth/+/config", "auth/+/config/*"),
    *("auth/+/users/*", "auth/+/groups/*", "auth/+/map/*", "auth/+/certs/*"),
)
_FIXED: Final = (
    Family(
        "VAULT.POLICY",
        ("sys/policies/*", "sys/policy", "sys/policy/*"),
        CHANGING,
        "admin",
        "change the policies at {path}, its own among them",
    ),
    Family("VAULT.AUTH", _LOGINS, CHANGING, "admin", "change who may log in, and as what, at {path}"),
    Family(
        "VAULT.MOUNT",
        ("sys/mounts", "sys/mounts/*", "sys/remount"),
        CHANGING,
        "admin",
        "mount and unmount engines at {path}",
    ),
    Family(
        "VAULT.TOKEN",
        ("auth/token/create-orphan", "auth/token/create/*", "auth/token/roles/*"),
        CHANGING,
        "admin",
        "make tokens that outlive it or have other policies, at {path}",
    ),
    Family("VAULT.TOKEN", ("auth/token/create",), CHANGING, "write", "make tokens of its own at {path}"),
    Family(
        "VAULT.TOKEN",
        ("auth/token/revoke", "auth/token/revoke-orphan", "auth/token/renew", "auth/token/renew-accessor"),
        CHANGING,
        "write",
        "end tokens of others, or keep them alive, at {path}",
    ),
    Family(
        "VAULT.TOKEN",
        ("auth/token/lookup", "auth/token/lookup-accessor", "sys/capabilities", "sys/capabilities-accessor"),
        CHANGING,
        "info",
        "look at tokens of others at {path}",
    ),
    Family(
        "VAULT.TOKEN",
        ("auth/token/accessors", "auth/token/accessors/*"),
        frozenset({"list"}),
        "write",
        "list the accessors of all tokens at {path}, and so end each of them",
    ),
    Family(
        "VAULT.IDENTITY",
        ("identity/*",),
        CHANGING,
        "admin",
        "change entities and groups, which carry policies, at {path}",
    ),
    Family("VAULT.SYSTEM", _SYSTEM, CHANGING, "admin", "change the server itself at {path}"),
    Family(
        "VAULT.SYSTEM",
        ("sys/raw", "sys/raw/*", "sys/storage/*"),
        READING,
        "admin",
        "read the server's storage at {path}",
    ),
    Family(
        "VAULT.LEASE",
        ("sys/leases/revoke-prefix/*", "sys/leases/revoke-force/*", "sys/revoke-prefix/*", "sys/revoke-force/*"),
        CHANGING,
        "write",
        "end every credential below a path, whosever it is, at {path}",
    ),
    Family(
        "VAULT.LEASE",
        ("sys/leases/revoke/*", "sys/leases/renew/*", "sys/revoke/*", "sys/renew/*"),
        CHANGING,
        "write",
        "end credentials of others, or keep them alive, at {path}",
    ),
    Family("VAULT.LEASE", ("sys/leases/lookup/*",), frozenset({"list"}), "info", "list leases at {path}"),
)


# What a step needs, and what the `default` policy gives to everybody; https://openbao.org/docs/concepts/policies/
def families(place: Place) -> list[Family]:
    """All of them, as far as the mounts are known; of the others by their usual names."""
    issuing = [f"{engine}/{kind}/*" for engine in place.engines for kind in ("creds", "static-creds")]
    defining = [
        f"{engine}/{kind}/*"
        for engine in place.engines
        for kind in ("config", "roles", "static-roles", "rotate-root", "rotate-role", "reset")
    ]
    stores = tuple(f"{store}/*" for store in dict.fromkeys((*place.stores, "secret", "kv")))
    transits = tuple(f"{transit}/*" for transit in dict.fromkeys((*place.transits, "transit")))
    return [
        Family(
            "VAULT.CREDS",
            tuple(issuing),
            CHANGING | READING,
            "admin",
            "issue other credentials at {path}",
            ("creds", "static-creds", "sts"),
        ),
        Family(
            "VAULT.ENGINE",
            tuple(defining),
            CHANGING,
            "admin",
            "redefine what is issued, or how Vault logs in, at {path}",
        ),
        Family("VAULT.SECRET", stores, CHANGING, "write", "change the secrets at {path}", ("data",)),
        Family("VAULT.SECRET", stores, READING, "read", "read the secrets at {path}", ("data",)),
        Family("VAULT.TRANSIT", transits, CHANGING, "write", "use or change the keys at {path}"),
        Family("VAULT.TRANSIT", transits, READING, "read", "look at, or export, the keys at {path}"),
        *_FIXED,
    ]
