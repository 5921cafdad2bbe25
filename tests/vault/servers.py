"""The two servers of the contract suite, set up alike: the fake, and OpenBao with PostgreSQL behind it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fake_vault import FakeVault, Role
from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault

MOUNT = "contract"
CREDS = "contract/creds/app"
MISSING = "contract/creds/missing"  # a role that the engine does not have
STUCK = "cannot drop what is not there"

SETTINGS = VaultSettings(
    addresses=(),
    namespace=None,
    ca_cert=None,
    client_cert=None,
    client_key=None,
    skip_verify=False,
    mount=MOUNT,
    audience="https://vault.example",
)


def settings(*addresses: str, **other: Any) -> VaultSettings:
    return SETTINGS._replace(addresses=addresses, **other)


class Fake:
    """A `FakeVault` with the roles of the suite."""

    def __init__(self) -> None:
        self.fake = FakeVault()
        self.fake.mount = MOUNT
        self.fake.engine_roles = {CREDS}
        self.fake.namespaces = {"", "platform"}
        creds = (CREDS, MISSING)
        self.fake.roles = {
            "full": Role(creds),
            "operator": Role(creds, create=True),
            "issue-only": Role(creds, revocable=()),
            "nothing": Role(revocable=()),
            "poor": Role(creds, own=False),
            "batch": Role(creds, token_type="batch"),
            "bound": Role(creds, bound_claims={"environment": "production"}),
        }
        self.settings = settings(self.fake.address)

    def jwt(self, audience: str | None = None, **claims: object) -> Secret:
        return self.fake.jwt(audience, **claims)

    def lease_exists(self, lease_id: str) -> bool:
        return lease_id in self.fake.leases

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Meanwhile revocation fails in the database."""
        for lease in self.fake.leases.values():
            lease.revoke_error = STUCK
        yield
        for lease in self.fake.leases.values():
            lease.revoke_error = ""

    def close(self) -> None:
        self.fake.close()


@contextmanager
def prepared_fake() -> Iterator[FakeVault]:
    """A fake by itself, for what a real server does not do on demand."""
    made = Fake()
    yield made.fake
    made.close()


@contextmanager
def logged_in(fake: FakeVault, clock: Clock) -> Iterator[Vault]:
    """A client of `fake` that waits 1 s between tries, logged in as `full`, with nothing on record yet."""
    made = Vault(settings(fake.address), clock, patience=30, pause=lambda attempt: 1.0)
    made.login("full", fake.jwt())
    fake.requests.clear()
    yield made
    made.close()


_CREATION = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"]
_REVOCATION = ['DROP ROLE "{{name}}"']
_ISSUE = f'path "{CREDS}" {{ capabilities = ["read"] }}\npath "{MISSING}" {{ capabilities = ["read"] }}\n'
_REVOKE = """path "sys/leases/revoke" {
  capabilities = ["update"]
  allowed_parameters = { "lease_id" = ["contract/creds/*"], "sync" = [] }
}
"""
_CREATE = 'path "auth/token/create" { capabilities = ["update"] }\n'
_ACCESSOR = 'path "auth/token/revoke-accessor" { capabilities = ["update"] }\n'


class Real:
    """OpenBao with mounts of its own beside those of the shared stack, or in a namespace of its own."""

    def __init__(self, stack: Stack, namespace: str | None = None) -> None:
        self._stack = stack
        self._namespace = namespace
        self.settings = settings(stack.address, namespace=namespace)
        with stack.client() as root:
            root.write_data("sys/namespaces/platform", data={})
        password = secrets.token_urlsafe(16)
        stack.sql(f"CREATE ROLE contract_manager LOGIN CREATEROLE PASSWORD '{password}'")
        stack.sql("GRANT CONNECT ON DATABASE shop TO contract_manager")
        self._write(f"sys/auth/{MOUNT}", type="jwt")
        issuer = stack.issuer.url
        self._write(f"auth/{MOUNT}/config", oidc_discovery_url=issuer, bound_issuer=issuer)
        self._write(f"sys/mounts/{MOUNT}", type="database")
        where = f"{stack.postgresql.host}:{stack.postgresql.port}/shop?sslmode={stack.database.sslmode}"
        self._write(
            f"{MOUNT}/config/db",
            plugin_name="postgresql-database-plugin",
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}",
            username="contract_manager",
            password=password,
            password_authentication="scram-sha-256",
            allowed_roles="*",
        )
        self._database_role(_REVOCATION)
        policies = {
            "full": _ISSUE + _REVOKE + _ACCESSOR,
            "operator": _ISSUE + _REVOKE + _CREATE,
            "issue-only": _ISSUE,
            "nothing": "",
            "poor": _ISSUE + _REVOKE,
            "batch": _ISSUE,
            "bound": _ISSUE,
        }
        for name, policy in policies.items():
            self._write(f"sys/policies/acl/contract-{name}", policy=policy or 'path "none" { capabilities = [] }')
            self._write(
                f"auth/{MOUNT}/role/{name}",
                role_type="jwt",
                user_claim="repository",
                bound_audiences=[SETTINGS.audience],
                bound_claims={"environment": "production"} if name == "bound" else {},
                token_policies=[f"contract-{name}"],
                token_no_default_policy=name == "poor",
                token_type="batch" if name == "batch" else "service",
                token_ttl=120,
            )

    def jwt(self, audience: str | None = None, **claims: object) -> Secret:
        return self._stack.issuer.token(audience or SETTINGS.audience, **claims)

    def lease_exists(self, lease_id: str) -> bool:
        with self._root() as root:
            answer = root.list(f"sys/leases/lookup/{CREDS}")
        return answer is not None and lease_id.removeprefix(f"{CREDS}/") in answer["data"]["keys"]

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Meanwhile revocation fails in the database."""
        self._database_role([f"DO $$ BEGIN RAISE EXCEPTION '{STUCK}'; END $$"])
        yield
        self._database_role(_REVOCATION)

    def close(self) -> None:
        with self._root() as root:
            root.delete(f"sys/mounts/{MOUNT}")
            root.delete(f"sys/auth/{MOUNT}")
            for name in root.list("sys/policies/acl")["data"]["keys"]:
                if name.startswith("contract-"):
                    root.delete(f"sys/policies/acl/{name}")
        with self._stack.client() as root:
            root.delete("sys/namespaces/platform")
        self._stack.sql("DROP OWNED BY contract_manager")
        self._stack.sql("DROP ROLE contract_manager")

    def _database_role(self, revocation: list[str]) -> None:
        self._write(
            f"{MOUNT}/roles/app",
            db_name="db",
            creation_statements=_CREATION,
            revocation_statements=revocation,
            default_ttl=120,
            max_ttl=600,
        )

    def _write(self, path: str, **data: object) -> None:
        with self._root() as root:
            root.write_data(path, data=data)

    @contextmanager
    def _root(self) -> Iterator[Any]:
        with self._stack.client() as root:
            root.adapter.namespace = self._namespace
            yield root
