"""Configurations for the tests of the loader and of the JSON Schema, and what they need on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepcreds.config.load import load_config
from stepcreds.config.model import Config
from stepcreds.errors import ConfigError

TODAY = 1_795_336_000.0  # 2026-11-22

HEAD = "version: 1\nvault: {address: https://vault.example.com:8200}\nprofiles:\n"

CONTRACT = """\
version: 1
vault:
  address: https://vault.example.com:8200
  namespace: platform
  ca_cert: deploy/vault-ca.pem
  auth:
    mount: jwt
    audience: https://vault.example.com
ledger:
  path: .stepcreds
  key: transit/keys/stepcreds-ledger
profiles:
  migrate:
    role: app-migrate
    creds: database/creds/app-migrate
    database: postgresql://db.internal:5432/app?sslmode=verify-full&sslrootcert=deploy/db-ca.pem
    access: ddl
    schemas: [app]
    ttl: 2m
    max_ttl: 30m
    on_excess: fail
    measure: on
    on_revoke_failure: fail
    revocation: lease
    env:
      DATABASE_URL: "{url}"
    files: {}
    keep: []
  verify:
    role: app-verify
    creds: database/creds/app-verify
    database: postgresql://db.internal:5432/app?sslmode=verify-full&sslrootcert=deploy/db-ca.pem
    access: read-only
    schemas: [app]
"""

# The text of a whole file, by what it shows. Each is taken by the loader and by the schema.
VALID = {
    "contract": CONTRACT,
    "small": HEAD + '  cloud: {creds: aws/creds/deploy, env: {AWS_ACCESS_KEY_ID: "{access_key}"}}\n',
    "addresses": "version: 1\nvault:\n  address: [https://a.example.com, 'https://b.example.com:8200/']\n"
    + 'profiles: {a: {creds: aws/creds/a, env: {A: "{a}"}}}\n',
    "kv": HEAD + '  a: {creds: secret/data/a, revocation: none, env: {A: "{data.token}"}}\n',
    "allowance": HEAD + "  a:\n    creds: database/creds/a\n    database: postgresql://db/app\n    access: read-only\n"
    "    allow:\n      - {what: TEMPORARY, reason: vendor, expires: 2026-11-22}\n",
    "durations": HEAD + "  a: {creds: aws/creds/a, ttl: 90, max_ttl: 1h30m, env: {A: '{a}'}}\n"
    "  b: {creds: aws/creds/b, ttl: '90', max_ttl: 24h, files: {'{dir}/b': '{b}'}}\n",
    "empty template": HEAD + "  a: {creds: aws/creds/a, env: {A: '', B: '{b}'}}\n",
    "mysql": HEAD + "  a: {creds: database/creds/a, database: 'mysql://db/app', access: ddl, databases: [app]}\n",
    # The sealing job asks for no credential.
    "seal": "version: 1\nvault: {address: https://vault.example.com:8200}\nledger: {seal: {key: transit/keys/seal}}\n",
    "json": '{"version": 1, "vault": {"address": "https://v.example.com"},'
    ' "profiles": {"a": {"creds": "aws/creds/a", "env": {"A": "{a}"}}}}',
}

# Each is refused by the loader and by the schema.
INVALID_SHAPE = {
    "no version": "vault: {address: https://v.example.com}\nprofiles: {a: {creds: aws/creds/a, env: {A: x}}}\n",
    "version 2": HEAD.replace("1", "2", 1) + "  a: {creds: aws/creds/a, env: {A: x}}\n",
    "version as text": HEAD.replace("1", "'1'", 1) + "  a: {creds: aws/creds/a, env: {A: x}}\n",
    "no profiles": "version: 1\nvault: {address: https://v.example.com}\n",
    "no profiles beside another ledger": HEAD.replace("profiles:", "ledger: {key: transit/keys/steps}"),
    "no profile beside a seal": HEAD.replace("profiles", "ledger: {seal: {key: a/keys/b}}\nprofiles").rstrip()
    + " {}\n",
    "no profile": HEAD.rstrip() + " {}\n",
    "unknown key": HEAD + "  a: {creds: aws/creds/a, tttl: 2m, env: {A: x}}\n",
    "no creds": HEAD + "  a: {env: {A: x}}\n",
    "null": HEAD + "  a: {creds: aws/creds/a, role: , env: {A: x}}\n",
    "empty text": HEAD + "  a: {creds: '', env: {A: x}}\n",
    "number as text": HEAD + "  a: {creds: aws/creds/a, role: 12, env: {A: x}}\n",
    "true as choice": HEAD + "  a: {creds: aws/creds/a, measure: true, env: {A: x}}\n",
    "choice": HEAD + "  a: {creds: aws/creds/a, on_excess: ignore, env: {A: x}}\n",
    "duration": HEAD + "  a: {creds: aws/creds/a, ttl: 2 minutes, env: {A: x}}\n",
    "short duration": HEAD + "  a: {creds: aws/creds/a, ttl: 9, env: {A: x}}\n",
    "text as list": HEAD + "  a: {creds: aws/creds/a, keep: PGAPPNAME, env: {A: x}}\n",
    "twice in a list": HEAD + "  a: {creds: aws/creds/a, keep: [A, A], env: {A: x}}\n",
    "mapping as template": HEAD + "  a: {creds: aws/creds/a, env: {A: {url}}}\n",
    "name of a profile": HEAD + "  Migrate: {creds: aws/creds/a, env: {A: x}}\n",
    "name of a variable": HEAD + "  a: {creds: aws/creds/a, env: {A-B: x}}\n",
    "address": "version: 1\nvault: {address: vault.example.com}\nprofiles: {a: {creds: aws/creds/a, env: {A: x}}}\n",
    "no addresses": "version: 1\nvault: {address: []}\nprofiles: {a: {creds: aws/creds/a, env: {A: x}}}\n",
    "no access": HEAD + "  a: {creds: database/creds/a, database: 'postgresql://db/app'}\n",
    "access without database": HEAD + "  a: {creds: aws/creds/a, access: ddl, env: {A: x}}\n",
    "no reason": HEAD + "  a: {creds: database/creds/a, database: 'mysql://db', access: ddl, "
    "allow: [{what: x, expires: 2027-01-31}]}\n",
    "no date": HEAD + "  a: {creds: database/creds/a, database: 'mysql://db', access: ddl, "
    "allow: [{what: x, reason: y, expires: tomorrow}]}\n",
    "transit key": HEAD.replace("profiles", "ledger: {key: stepcreds}\nprofiles") + "  a: {creds: a/b, env: {A: x}}\n",
    "a list": "- version: 1\n",
    "a text": "version 1\n",
}


class FixedClock:
    """2026-11-22, for ever."""

    def now(self) -> float:
        return TODAY

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the loader does not sleep")


def folder(path: Path, text: str | bytes) -> Path:
    """`path` with `text` as its stepcreds.yml, and the certificates that the examples name."""
    (path / "deploy").mkdir(exist_ok=True)
    for name in ("vault-ca", "db-ca", "ci", "ci-key"):
        (path / "deploy" / f"{name}.pem").touch()
    (path / "stepcreds.yml").write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load(path: Path, text: str | bytes, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration `text`, loaded in `path`."""
    return load_config(None, environment or {}, folder(path, text), FixedClock())


def problems(path: Path, text: str | bytes, environment: Mapping[str, str] | None = None) -> list[tuple[str, ...]]:
    """What is wrong with `text`: where, key, what and fix of each problem; an empty list if nothing is."""
    try:
        load(path, text, environment)
    except ConfigError as error:
        return [(p.where, p.key, p.what, p.fix) for p in error.problems]
    return []
