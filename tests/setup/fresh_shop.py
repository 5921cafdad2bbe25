"""A shop's database that nobody has set up yet, a stepcreds.yml for it, and `stepcreds setup` as its platform engineer.

`fresh`  makes one on the shared servers, with names of its own at OpenBao, at PostgreSQL and in the configuration
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import hvac
import pytest

from stepcreds.cli.setup_answers import answers_of
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack.issuer import Issuer
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.postgresql import SUPERUSER, PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup.answers import Answers
from stepcreds.setup.building import build
from stepcreds.setup.live.administrators import DEFAULT_VARIABLE, administrators
from stepcreds.setup.live.apply import steps
from stepcreds.setup.live.check import Report, look_around, report
from stepcreds.setup.live.examination import examine
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.rotation import rotations
from stepcreds.setup.live.survey import survey
from stepcreds.setup.plan import Plan
from warm import Warm

# ruff: noqa: S608 - the names in SQL are ours

_numbers = count(1)


@functools.cache
def warm() -> Warm:
    """One for all tests of a process; it ends when that does."""
    return Warm("stepcreds.cli.setup", "stepcreds.cli.setup_apply", "stepcreds.setup.postgresql")


class Servers(Protocol):
    """The servers that a shop is on; `devstack.stack.Stack` has them too."""

    @property
    def openbao(self) -> OpenBao: ...

    @property
    def postgresql(self) -> PostgreSQL: ...

    @property
    def issuer(self) -> Issuer: ...


class Shop:
    """One database with a schema, its owner and two tables; nothing else is there before `setup apply`."""

    key = "schemas"  # of a profile, which names the place of the tables

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        self.folder = folder
        self.name = f"s{next(_numbers)}p{os.getpid()}"  # of the database and the schema
        self.mount, self.engine = f"jwt-{self.name}", f"db-{self.name}"
        self.manager = f"vault_{self.name}"
        self.owner, self.group = f"{self.name}_owner", f"{self.name}_ro"
        self.address = servers.openbao.address
        self.token = servers.openbao.root_token
        self.fill()
        self.configure()
        (folder / "setup.yml").write_text(f"""\
ci: github
issuer: {servers.issuer.url}
repository_id: '{servers.issuer.claims["repository_id"]}'
environment: production
manager: {self.manager}
audit_header: X-{self.name}
""")

    @property
    def url(self) -> str:
        """The database as the profiles have it."""
        return f"postgresql://127.0.0.1:{self.servers.postgresql.port}/{self.name}?sslmode=disable"

    @property
    def administrator(self) -> Secret:
        """The URL of the database's administrator."""
        password = self.servers.postgresql.password.reveal()
        return Secret(
            f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.servers.postgresql.port}/postgres?sslmode=disable"
        )

    def fill(self) -> None:
        """What is there before anybody hears of stepcreds."""
        with closing(self.servers.postgresql.connect()) as connection:
            connection.run(f"CREATE DATABASE {self.name}")
        self.sql(
            f"CREATE ROLE {self.owner} NOLOGIN",
            f"CREATE SCHEMA {self.name} AUTHORIZATION {self.owner}",
            f"SET ROLE {self.owner}",
            f"CREATE TABLE {self.name}.orders (id int PRIMARY KEY, note text)",
            f"INSERT INTO {self.name}.orders SELECT n, 'order ' || n FROM generate_series(1, 10) n",
            f"CREATE TABLE {self.name}.customers (id int PRIMARY KEY)",
        )

    def drop(self) -> None:
        """The database, and what else of ours is at its server."""
        with closing(self.servers.postgresql.connect()) as connection:
            connection.run(f"DROP DATABASE {self.name} WITH (FORCE)")
            ours = f"rolname LIKE '%{self.name}%' AND rolname NOT LIKE 'v-%'"
            for (role,) in connection.run(f"SELECT rolname FROM pg_roles WHERE {ours}"):
                connection.run(f'DROP OWNED BY "{role}"')
            for (role,) in connection.run(f"SELECT rolname FROM pg_roles WHERE {ours}"):
                connection.run(f'DROP ROLE "{role}"')

    def configure(self, **changes: str) -> None:
        """Write stepcreds.yml; `changes` are lines of the profile `verify`."""
        verify = {"database": self.url, "access": "read-only", self.key: f"[{self.name}]", "max_ttl": "10m", **changes}
        lines = "".join(f"    {name}: {value}\n" for name, value in verify.items())
        (self.folder / "stepcreds.yml").write_text(f"""\
version: 1
vault:
  address: {self.address}
  auth:
    mount: {self.mount}
    audience: {self.address}
ledger:
  path: {self.folder}/.stepcreds
profiles:
  migrate:
    role: {self.name}-migrate
    creds: {self.engine}/creds/{self.name}-migrate
    database: {self.url}
    access: ddl
    {self.key}: [{self.name}]
  verify:
    role: {self.name}-verify
    creds: {self.engine}/creds/{self.name}-verify
{lines}""")

    def environment(self, **variables: str | None) -> dict[str, str]:
        """The platform engineer's: a token for Vault, and the administrator's URL."""
        every = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "VAULT_ADDR": self.address,
            "VAULT_TOKEN": self.token.reveal(),
            DEFAULT_VARIABLE: self.administrator.reveal(),
            **variables,
        }
        return {name: value for name, value in every.items() if value is not None}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "stepcreds", "setup", *arguments, "--answers", "setup.yml"]

    def setup(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        """`stepcreds setup …` as the platform engineer, whose secrets are in no byte of what it says."""
        words = self.command(*arguments)[3:]
        run = warm()(*words, cwd=self.folder, env=self.environment(**variables))
        self.assert_no_secret(run.stdout + run.stderr)
        return run

    def assert_no_secret(self, text: str) -> None:
        for secret in (self.token, self.servers.postgresql.password, self.servers.openbao.root_token):
            assert secret.reveal() not in text

    def step(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """stepcreds as a step of a GitHub job of the shop would call it."""
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        return subprocess.run(
            [sys.executable, "-m", "stepcreds", *arguments],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", **self.servers.issuer.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def sql(self, *statements: str) -> list[list[Any]]:
        """Run each as superuser in the shop's database; the rows of the last."""
        rows: list[list[Any]] = []
        with closing(self.servers.postgresql.connect(database=self.name)) as connection:
            for statement in statements:
                rows = connection.run(statement) or []
        return rows

    @contextmanager
    def vault(self, token: Secret | None = None) -> Iterator[Any]:
        """An `hvac.Client`, by default with the root token."""
        secret = token or self.servers.openbao.root_token
        client = hvac.Client(url=self.address, token=secret.reveal(), timeout=60)
        try:
            yield client
        finally:
            client.adapter.close()

    def write(self, path: str, **body: object) -> None:
        with self.vault() as client:
            client.write_data(path, data=body)

    def read(self, path: str) -> Any:
        """The data at `path`, None where there is nothing."""
        with self.vault() as client:
            answer = client.read(path)
        return None if answer is None else answer["data"]

    def operator(self, policy: str) -> Secret:
        """A token that may do what `policy` says, and nothing that others may: not even the policy `default`."""
        with self.vault() as client:
            client.sys.create_or_update_policy(f"operator-{self.name}", policy)
            made = client.auth.token.create(
                policies=[f"operator-{self.name}"], no_default_policy=True, no_parent=True, ttl="10m"
            )
        return Secret(made["auth"]["client_token"])

    def password(self) -> str:
        """What PostgreSQL keeps of the management user's password; it changes whenever that does."""
        rows = self.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{self.manager}'")
        return str(rows[0][0]) if rows else ""

    def plan(self) -> tuple[Plan, Answers]:
        config = load_config(self.folder / "stepcreds.yml", {}, self.folder, SystemClock())
        answers = answers_of(config, {}, {"answers_path": self.folder / "setup.yml"})
        return build(config, answers), answers

    def check(self, *, mend: bool = False, first: int | None = None) -> Report:
        """What `setup check` finds, after `setup apply` with `mend`; without a process of its own.

        `first`: only so many steps of it, as if it had been killed then.
        """
        clock = SystemClock()
        config = load_config(self.folder / "stepcreds.yml", {}, self.folder, clock)
        plan, answers = self.plan()
        with Live(config.vault, self.servers.openbao.root_token, clock) as live:
            whose = administrators(plan, (), {DEFAULT_VARIABLE: self.administrator.reveal()}, self.folder)
            found = survey(plan, live, whose, clock)
            if mend:
                for step in steps(found, rotations(found, asked=False), live, clock)[:first]:
                    step.run()
                found = survey(plan, live, whose, clock)
            examined = examine(found, config.profiles.values(), answers, clock)
            notes, _ = look_around(plan, live, found)
        return report(found, examined=examined.drift, notes=(*notes, *examined.notes))

    def remove(self) -> None:
        """Everything of it, so that the shared servers are as they were."""
        with self.vault() as client:
            for lease in (client.list(f"sys/leases/lookup/{self.engine}/creds") or {"data": {"keys": []}})["data"][
                "keys"
            ]:
                client.adapter.put(f"/v1/sys/leases/revoke-force/{self.engine}/creds/{lease}")
            for path in (
                f"sys/mounts/{self.engine}",
                f"sys/auth/{self.mount}",
                f"sys/policies/acl/operator-{self.name}",
            ):
                client.delete(path)
            for profile in ("migrate", "verify"):
                client.delete(f"sys/policies/acl/{self.name}-{profile}")
            client.delete(f"sys/config/auditing/request-headers/X-{self.name}")
        self.drop()


@pytest.fixture
def shop(stack: Stack, tmp_path: Path) -> Iterator[Shop]:
    """One that nobody has set up."""
    made = Shop(stack, tmp_path)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def applied(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One that `setup apply` has been run for; a test leaves it so."""
    made = Shop(stack, tmp_path_factory.mktemp("applied"))
    run = made.setup("apply", "--yes")
    assert run.returncode == 0, run.stdout + run.stderr
    yield made
    made.remove()
