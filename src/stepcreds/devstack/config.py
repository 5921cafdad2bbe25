"""The shop's profiles, as values and as the stepcreds.yml that says the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepcreds.config.model import Access, Config, DatabaseURL, LedgerSettings, Profile, VaultSettings
from stepcreds.devstack import provision
from stepcreds.devstack.postgresql import PostgreSQL


def database(server: PostgreSQL) -> DatabaseURL:
    """Where the shop's database is, and how it proves who it is."""
    return DatabaseURL(
        engine="postgresql",
        scheme="postgresql",
        host=server.host,
        port=server.port,
        database=provision.DATABASE,
        sslmode="verify-full" if server.tls else "disable",
        sslrootcert=server.ca_cert,
    )


def location(url: DatabaseURL) -> str:
    """`host:port/database?parameters`."""
    authority = "" if url.sslrootcert is None else f"&sslrootcert={url.sslrootcert}"
    return f"{url.host}:{url.port}/{url.database}?sslmode={url.sslmode}{authority}"


def profiles(url: DatabaseURL) -> dict[str, Profile]:
    """`migrate`, which may do DDL for half an hour, and `verify`, which may read for ten minutes."""
    return {
        "migrate": _profile("migrate", "ddl", url, max_ttl=1800.0),
        "verify": _profile("verify", "read-only", url, max_ttl=600.0),
    }


def configuration(address: str, of: Mapping[str, Profile], folder: Path, key: str | None = None) -> Config:
    """What `text` says, as a value."""
    settings = VaultSettings((address,), None, None, None, None, False, provision.MOUNT, address)
    return Config(folder / "stepcreds.yml", settings, LedgerSettings(folder / ".stepcreds", key), of)


def text(address: str, of: Mapping[str, Profile], ledger: Path | str, key: str | None = None) -> str:
    """A stepcreds.yml for these profiles and the OpenBao at `address`."""
    signed = "" if key is None else f'  key: "{key}"\n'
    header = f"""\
version: 1
vault:
  address: {address}
  auth:
    mount: {provision.MOUNT}
    audience: {address}
ledger:
  path: {ledger}
{signed}profiles:
"""
    return header + "".join(map(_profile_text, of.values()))


def _profile(name: str, access: Access, url: DatabaseURL, *, max_ttl: float) -> Profile:
    return Profile(
        name=name,
        role=f"app-{name}",
        creds=f"database/creds/app-{name}",
        database=url,
        access=access,
        schemas=(provision.SCHEMA,),
        max_ttl=max_ttl,
    )


def _profile_text(profile: Profile) -> str:
    where = "" if profile.database is None else location(profile.database)
    return f"""\
  {profile.name}:
    role: {profile.role}
    creds: {profile.creds}
    database: postgresql://{where}
    access: {profile.access}
    schemas: [{", ".join(profile.schemas)}]
    ttl: {profile.ttl:g}s
    max_ttl: {profile.max_ttl:g}s
"""
