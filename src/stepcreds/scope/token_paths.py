"""Which paths of Vault mean power, and how much; a table, and the comparison of two patterns of paths.

A path in a policy may end in `*` (anything follows) and hold `+` (any one segment):
https://openbao.org/docs/concepts/policies/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stepcreds.config.model import Profile
from stepcreds.measurement import Level

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
    key: str = ""  # the ledger's: "transit/keys/ledger"

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
_HARMLESS: Final = (
    *("sys/leases/revoke", "sys/leases/lookup", "sys/leases/renew", "sys/renew", "sys/revoke"),
    *("auth/token/renew-self", "auth/token/revoke-self", "auth/token/lookup-self", "auth/token/revoke-accessor"),
    *("sys/capabilities-self", "sys/internal/ui/*", "sys/wrapping/*", "sys/tools/*", "sys/control-group/*"),
    *("cubbyhole/*", "identity/oidc/provider/+/authorize", "sys/health", "sys/seal-status", "sys/leader"),
    "auth/+/login",
)


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


def is_harmless(path: str, capabilities: frozenset[str], place: Place) -> bool:
    """Whether a step needs it, or everybody has it."""
    own = place.profile.creds
    if path == own or (own and path.startswith((f"sys/leases/revoke/{own}/", f"sys/leases/renew/{own}/"))):
        return True
    if path.startswith("identity/entity/") and capabilities <= READING:
        return True  # of its own entity, by the default policy
    mount, _, name = place.key.partition("/keys/")
    if name and path in (f"{mount}/sign/{name}", f"{mount}/keys/{name}", f"{mount}/verify/{name}"):
        return capabilities <= {"read", "create", "update"}
    if path.endswith("*"):
        return any(path.startswith(known[:-1]) for known in _HARMLESS if known.endswith("*"))
    return any(overlaps(path, known) for known in _HARMLESS)


def probes(place: Place) -> tuple[str, ...]:
    """The paths worth asking about: a policy for exactly one of these, or for all below it, shows."""
    paths = [path for family in families(place) for path in family.paths if "+" not in path]
    paths += ["auth/jwt/role/*", "auth/approle/role/*", "auth/kubernetes/role/*", "auth/userpass/users/*"]
    paths += [*place.known, *(profile.creds for profile in place.profiles.values())]
    return tuple(dict.fromkeys(path for path in paths if path != place.profile.creds))


def overlaps(one: str, other: str) -> bool:
    """Whether some path fits both patterns."""
    ours, theirs = one.removesuffix("*").split("/"), other.removesuffix("*").split("/")
    our_glob, their_glob = one.endswith("*"), other.endswith("*")
    for position in range(max(len(ours), len(theirs))):
        if position >= len(ours) or position >= len(theirs):
            return False
        mine, its = ours[position], theirs[position]
        our_end = our_glob and position == len(ours) - 1
        their_end = their_glob and position == len(theirs) - 1
        if our_end and their_end:
            return mine.startswith(its) or its.startswith(mine)
        if our_end or their_end:
            start, whole = (mine, its) if our_end else (its, mine)
            return whole == "+" or whole.startswith(start)
        if mine != its and "+" not in (mine, its):
            return False
    return True
