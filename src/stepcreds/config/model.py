"""What a stepcreds.yml says, parsed once into frozen values; nothing here reads a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from stepcreds.config.store_url import StoreURL

NONE: Mapping[str, str] = {}  # nobody writes to it: the fields below are read only
Access = Literal["read-only", "read-write", "ddl"]


class DatabaseURL(NamedTuple):
    """Where a database is, and how it must prove who it is; never who logs in."""

    engine: str  # a name of databases.ENGINES: "postgresql", "mysql", "mariadb", "redis", …
    scheme: str  # as written in the URL
    host: str
    port: int
    database: str  # "" where the URL names none
    sslmode: str  # libpq's word: disable, allow, prefer, require, verify-ca, verify-full
    sslrootcert: Path | None  # absolute; None: the system's CAs
    options: Mapping[str, str] = NONE  # the other query parameters, handed to the child


class Allowance(NamedTuple):
    """One privilege beyond the declared access that somebody decided to accept."""

    what: str
    reason: str
    expires: str  # RFC 3339 date


class Profile(NamedTuple):
    """One credential that a step may ask for."""

    name: str
    role: str  # Vault JWT role
    creds: str  # path that is read to issue, without a leading slash
    database: DatabaseURL | None
    access: Access | None  # None only where there is no database
    schemas: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    allow: tuple[Allowance, ...] = ()
    ttl: float = 120.0  # seconds
    max_ttl: float = 1800.0  # seconds
    on_excess: Literal["fail", "warn"] = "fail"
    measure: Literal["on", "off"] = "on"
    on_revoke_failure: Literal["fail", "warn"] = "fail"
    revocation: Literal["lease", "none"] = "lease"
    env: Mapping[str, str] | None = None  # name -> template; None: the engine's default names
    files: Mapping[str, str] = NONE  # path template -> content template
    keep: tuple[str, ...] = ()  # inherited variables that would be removed


class VaultSettings(NamedTuple):
    """Which Vault or OpenBao, and how to reach it."""

    addresses: tuple[str, ...]  # https://host:port, without a trailing slash; tried in turn
    namespace: str | None
    ca_cert: Path | None  # a file or a folder of PEM certificates; None: the system's CAs
    client_cert: Path | None
    client_key: Path | None
    skip_verify: bool  # VAULT_SKIP_VERIFY; never settable in stepcreds.yml
    mount: str  # auth/<mount>/login
    audience: str
    proxies: Mapping[str, str] = NONE  # address -> proxy URL; may hold a password
    id_token_variable: str = "VAULT_ID_TOKEN"  # noqa: S105 - the name of a variable
    timeout: float | None = None  # seconds that one call may take, retries included; None: each call's own

    def __repr__(self) -> str:
        return f"VaultSettings({self.addresses!r}, …)"  # a proxy's URL may hold a password


ARTIFACT: Final = "artifact"


class SealSettings(NamedTuple):
    """Who seals the ledgers, and where the seals are."""

    key: str  # Transit key, "<mount>/keys/<name>"
    role: str  # Vault JWT role that may sign with it
    to: str  # an absolute folder, or the URL of one in an object store


class LedgerSettings(NamedTuple):
    """Where the record of every step is kept."""

    path: Path  # a folder
    key: str | None  # Transit key that signs checkpoints, "<mount>/keys/<name>"; may hold "{repository_id}"
    # Where a closed chain is copied: a folder, an artifact of the run, an object store.
    push: Path | Literal["artifact"] | StoreURL | None = None
    on_push_failure: Literal["fail", "warn"] = "warn"
    on_sign_failure: Literal["fail", "warn"] = "warn"
    seal: SealSettings | None = None


class Config(NamedTuple):
    """A whole stepcreds.yml with the environment's fallbacks applied."""

    source: Path
    vault: VaultSettings
    ledger: LedgerSettings
    profiles: Mapping[str, Profile]
