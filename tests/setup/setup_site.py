"""A database with hostile names, an OpenBao that knows nothing, and `stepcreds setup` between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from stepcreds.devstack import installed
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import dsse

DATABASE = 'acme "x" $(id) ${y} %{z} `w`'
SCHEMA = "b'oo\"k\\s ü:x--"
ENVIRONMENT = 'prod ${x} %{y} "z"\'s'
PASSWORD = "one pass\"word\\ ${x}'s"
SEAL = {"key": "seals/keys/acme", "role": "Acme-Seal"}
OWNER, GROUP = f"{SCHEMA}_owner", f"{SCHEMA}_ro"
TICKED = SCHEMA.replace('"', '""')


class Site:
    """`folder` has a stepcreds.yml whose Vault is at `address`, and a program `bao`."""

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        address: str,
        common: Mapping[str, object] | None = None,
        namespace: str | None = None,
    ) -> None:
        """`common` is what the profiles `migrate` and `verify` say alike; by default, where the database below is."""
        self.stack = stack
        self.folder = folder
        self.address = address
        server = stack.postgresql
        url = f"postgresql://{server.host}:{server.port}/{quote(DATABASE, safe='')}?sslmode=disable"
        common = common or {"database": url, "schemas": [SCHEMA]}
        config = {
            "version": 1,
            "vault": {
                "address": address,
                "auth": {"mount": "ci/jwt"},
                **({"namespace": namespace} if namespace else {}),
            },
            "ledger": {"path": ".stepcreds", "key": "transit/keys/acme-{repository_id}", "seal": SEAL},
            "profiles": {
                "migrate": {"role": "Acme-Migrate", "creds": "databases/acme/creds/m", "access": "ddl", **common},
                "verify": {"role": "acme-verify", "creds": "databases/acme/creds/v", "access": "read-only", **common},
            },
        }
        (folder / "stepcreds.yml").write_text(json.dumps(config))
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / "bao").symlink_to(installed.bao())

    def run(self, *command: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.stack.environment()
        environment["PATH"] = f"{self.folder}/bin{os.pathsep}{environment['PATH']}"
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**environment, **variables},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,  # no terminal: psql then reads the password on stdin
        )

    def stepcreds(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "stepcreds", *arguments, **variables)

    def write(self, form: str, *more: str) -> list[Path]:
        """`setup --format FORM`, as files."""
        answers = ["--ci", "github", "--issuer", self.stack.issuer.url, "--repository-id", "71717171"]
        answers += ["--environment", f"migrate={ENVIRONMENT}", "--owner", OWNER, "--group", GROUP, *more]
        answers += ["--repository-id", "ledger.seal=4242", "--branch", "ledger.seal=main"]
        done = self.stepcreds("setup", "--format", form, "--out", form, *answers)
        assert (done.returncode, done.stderr) == (0, "")
        return [self.folder / line.removeprefix("Written: ") for line in done.stdout.splitlines()]

    def psql(self, file: Path, typed: str = f"{PASSWORD}\n{PASSWORD}\n") -> subprocess.CompletedProcess[str]:
        server = self.stack.postgresql
        return self.run(
            str(installed.psql()),
            "--no-psqlrc",
            "--quiet",
            f"--file={file}",
            text=typed,
            PGHOST=server.host,
            PGPORT=str(server.port),
            PGUSER=SUPERUSER,
            PGPASSWORD=server.password.reveal(),
            PGDATABASE=DATABASE,
            PGOPTIONS="-c client_min_messages=warning",
        )

    def assert_works(self) -> None:
        """A DDL credential makes a table that a read-only one reads and cannot change."""
        with _claims(self.stack, environment=ENVIRONMENT):
            made = self.step("migrate", f'CREATE TABLE "{TICKED}".fresh AS SELECT 1 AS one')
        read = self.step("verify", f'TABLE "{TICKED}".fresh')
        changed = self.step("verify", f'SET TRANSACTION READ WRITE; TRUNCATE "{TICKED}".fresh')
        assert (made.returncode, made.stdout) == (0, "SELECT 1\n"), made.stderr
        assert (read.returncode, read.stdout) == (0, "1\n"), read.stderr
        assert "ERROR:  permission denied for table fresh" in changed.stderr
        other = self.step("migrate", "SELECT 1")
        assert (other.returncode, other.stdout) == (125, "")
        assert "environment" in other.stderr  # that of another job
        self.assert_signed(made, read, changed)
        self.assert_seals()

    def assert_signed(self, *runs: subprocess.CompletedProcess[str]) -> None:
        """Each of these steps has two checkpoints of the job's own repository; who signs them is tested elsewhere."""
        assert "not signed" not in "".join(run.stderr for run in runs)
        files = (self.folder / ".stepcreds").glob("*.checkpoints")
        lines = [line for file in files for line in file.read_bytes().splitlines()]
        keys = [signature.keyid for line in lines for signature in dsse.loads(line).signatures]
        assert keys == ["transit/keys/acme-71717171:1"] * 2 * len(runs)

    def assert_seals(self) -> None:
        """The job that seals can, and the jobs whose ledgers it seals cannot."""
        command = ["ledger", "seal", ".stepcreds", "--to", "sealed"]
        refused = self.stepcreds(*command)
        assert (refused.returncode, "repository_id" in refused.stderr) == (1, True), refused.stderr
        with _claims(self.stack, repository_id="4242", ref="refs/heads/main"):
            sealed = self.stepcreds(*command)
        assert (sealed.returncode, sealed.stdout[:8]) == (0, "seal 1: "), sealed.stderr
        envelope = dsse.loads((self.folder / "sealed" / "seal-000001.json").read_bytes().rstrip(b"\n"))
        assert [each.keyid for each in envelope.signatures] == ["seals/keys/acme:1"]

    def step(self, profile: str, sql: str) -> subprocess.CompletedProcess[str]:
        psql = [str(installed.psql()), "--no-psqlrc", "--no-align", "--tuples-only", "--command", sql]
        return self.stepcreds("exec", profile, "--", *psql)


@contextmanager
def _claims(stack: Stack, **changed: object) -> Iterator[None]:
    before = dict(stack.issuer.claims)
    stack.issuer.claims.update(changed)
    yield
    stack.issuer.claims.clear()
    stack.issuer.claims.update(before)


@contextmanager
def database(stack: Stack) -> Iterator[None]:
    """The database, with its schema and the owner of that, as an application has them; and nothing left of it."""
    name, owner = '"' + DATABASE.replace('"', '""') + '"', f'"{TICKED}_owner"'
    with closing(stack.postgresql.connect()) as server:
        server.run(f"CREATE DATABASE {name}")
        try:
            with closing(stack.postgresql.connect(SUPERUSER, stack.postgresql.password, DATABASE)) as connection:
                connection.run(f"CREATE ROLE {owner}")
                connection.run(f'CREATE SCHEMA "{TICKED}" AUTHORIZATION {owner}')
            yield
        finally:
            server.run(f"DROP DATABASE {name} WITH (FORCE)")
            for role in ("stepcreds_vault", f"{TICKED}_ro", f"{TICKED}_owner"):
                if server.run("SELECT FROM pg_roles WHERE rolname = :name", name=role.replace('""', '"')):
                    server.run(f'DROP OWNED BY "{role}"')
                    server.run(f'DROP ROLE "{role}"')


def texts(value: object) -> Iterator[str]:
    """Every text in nested lists and mappings, names too."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value
