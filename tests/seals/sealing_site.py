"""A sealing job on the shared servers: a Transit key for seals, a role that may sign with it, and ledgers to be sealed.

with SealingSite(stack, tmp_path) as site:
    site.life()                     # one more chain in site.ledgers, with a whole life in it; returns its file
    site.seal("--json")             # `stepcreds ledger seal` as a scheduled job runs it
    site.log()                      # what the seals say, by the keys that Vault has
"""

from __future__ import annotations

import base64
import functools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import yaml
from ledger_site import Scribe, Signer, job_of, write_job

from stepcreds.clock import rfc3339
from stepcreds.config.model import Profile
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.view import epoch_of
from stepcreds.seals.log import Log, read_log
from stepcreds.seals.place import Folder
from stepcreds.setup import vault
from stepcreds.trust.file import dumps
from stepcreds.trust.keys import Trust, TrustedKey
from warm import Warm

EXAMPLES = Path(__file__).parents[2] / "examples"
MOUNT = "sealing"
KEY = f"{MOUNT}/keys/stepcreds-seal"
ROLE = f"stepcreds-{MOUNT}"
POLICY = """\
path "%s/sign/stepcreds-seal" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
"""


@functools.cache
def warm() -> Warm:
    """One for all tests of a process; it ends when that does."""
    return Warm(
        "stepcreds.cli.ledger_seal", "stepcreds.cli.ledger_verify", "stepcreds.cli.ledger_query", "duckdb", "s3fs"
    )


class SealingSite:
    def __init__(self, stack: Stack, folder: Path, *, signed: bool = True, mount: str = MOUNT) -> None:
        self.stack = stack
        self.mount, self.key, self.role = mount, f"{mount}/keys/stepcreds-seal", f"stepcreds-{mount}"
        self.folder = folder
        self.ledgers = folder / "ledgers"
        self.seals = folder / "seals"
        self.trust_file = folder / "stepcreds-trust.json"
        self._chance = random.Random(7)  # noqa: S311 - the same chains each time
        self._signer = Signer("transit/keys/stepcreds-ledger-9000000") if signed else None
        self._runs = 0

    def __enter__(self) -> SealingSite:
        stack = self.stack
        with stack.client() as client:
            client.write_data(f"sys/mounts/{self.mount}", data={"type": "transit"})
            client.write_data(self.key, data={"type": "ed25519"})
            client.write_data(f"sys/policies/acl/{self.role}", data={"policy": POLICY % self.mount})
            role = vault.jwt_role(
                Profile("seal", self.role, "", None, None),
                audience=stack.address,
                bound_claims={"repository_id": stack.issuer.claims["repository_id"]},
                policies=[self.role],
            )
            client.write_data(f"auth/{provision.MOUNT}/role/{self.role}", data=role)
        document = yaml.safe_load(stack.config_text(self.ledgers))
        document["ledger"]["seal"] = {"key": self.key, "role": self.role, "to": str(self.seals)}
        self.config = self.folder / "stepcreds.yml"
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))
        self.ledgers.mkdir()
        self.pin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.stack.client() as client:
            for path in (
                f"auth/{provision.MOUNT}/role/{self.role}",
                f"sys/policies/acl/{self.role}",
                f"sys/mounts/{self.mount}",
            ):
                client.delete(path)

    def life(self, kind: str = "proven", *, when: float | None = None) -> Path:
        """A chain of one job, closed, as if it had been written at `when`, an hour or two ago."""
        when = when or self.stack_now() - 7200
        scribe = Scribe(job_of(0, self._runs, "deploy", 1.0), self._chance, self._signer, when)
        self._runs += 1
        list(write_job(scribe, 0, kind, self._chance))
        return scribe.save(self.ledgers)

    def shorten(self, chain: Path, records: int) -> Callable[[], None]:
        """Have `chain` as it was when it had that many records; what makes it what it is now again."""
        signed = checkpoint.beside(chain)
        files = {path: path.read_bytes() for path in (chain, signed)}
        chain.write_bytes(b"".join(files[chain].splitlines(keepends=True)[:records]))
        lines = files[signed].splitlines(keepends=True)
        kept = [line for line in lines if checkpoint.loads(dsse.loads(line[:-1]).payload).size <= records]
        signed.write_bytes(b"".join(kept))

        def whole() -> None:
            for path, data in files.items():
                path.write_bytes(data)

        return whole

    def stack_now(self) -> float:
        from stepcreds.clock import SystemClock

        return SystemClock().now()

    def seal(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        return self.run("seal", *arguments, **variables)

    def run(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        """`stepcreds ledger` with these arguments."""
        return warm()("ledger", *arguments, cwd=self.folder, env=self.environment(**variables))

    def shell(self, script: str, **variables: str) -> int:
        """The exit code of what a CI's shell makes of these lines."""
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment(STEPCREDS_TRUST=None, PATH=path, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=240,
            check=False,
        )
        return done.returncode

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own, whose log the CI reads."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """As the sealing job's signer does, with the root token: for what is tried without a process."""
        data = base64.b64encode(dsse.pae(payload_type, payload)).decode()
        with self.stack.client() as client:
            said = client.write_data(self.key.replace("/keys/", "/sign/"), data={"input": data})["data"]
        sig = base64.b64decode(said["signature"].rpartition(":")[2])
        signature = dsse.Signature(f"{self.key}:{said['key_version']}", sig)
        return dsse.dumps(dsse.Envelope(payload_type, payload, (signature,)))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "stepcreds", "ledger", "seal", *arguments]

    def environment(self, **variables: str | None) -> dict[str, str]:
        merged = {**self.stack.environment(), "STEPCREDS_TRUST": str(self.trust_file), **variables}
        return {name: value for name, value in merged.items() if value is not None}

    def keys(self) -> list[TrustedKey]:
        """Every version of the key for seals, as Vault tells it."""
        with self.stack.client() as client:
            versions = client.read(self.key)["data"]["keys"]
        made = {int(number): _time(said["creation_time"]) for number, said in versions.items()}
        return [
            TrustedKey(
                "seal",
                self.stack.address,
                self.key,
                number,
                versions[str(number)]["public_key"],
                made[number],
                made.get(number + 1),
            )
            for number in sorted(made)
        ]

    def pin(self) -> None:
        """Write the trust file anew."""
        self.trust_file.write_text(dumps(self.trust()))

    def trust(self) -> Trust:
        """The keys that Vault has for seals, and that of the repository whose chains these are."""
        return Trust("", (*self.keys(), *([self._signer.trusted("checkpoint", "9000000")] if self._signer else [])))

    def rotate(self) -> None:
        with self.stack.client() as client:
            client.write_data(f"{self.key}/rotate", data={})
        self.pin()

    def log(self, trust: Trust | None = None) -> Log:
        return read_log(Folder(self.seals), trust or self.trust())


def _time(text: str) -> str:
    """Vault's own, of nanoseconds, as a trust file has it."""
    seconds = epoch_of(f"{text[:19]}.{(text[19:].strip('.Z') + '000')[:3]}Z")
    assert seconds is not None
    return rfc3339(seconds)
