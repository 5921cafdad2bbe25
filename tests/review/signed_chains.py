"""Chains that a real OpenBao has signed: by steps of stepcreds, and by hand, as whoever attacks them would.

`Notary(stack, "transit/keys/…")`  a Transit key, and what can be done with it by somebody who may sign with it
`Copy(folder, chain)`              a chain and its checkpoints, to be changed: `.lines`, `.envelopes`, `.save()`
`write(folder, notary, …)`         a chain written through a journal and signed as a step signs it
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ledger_samples import JOB, STEP, UIDS, closed, issued, requested

from stepcreds.clock import Clock, SystemClock, rfc3339
from stepcreds.config.model import LedgerSettings, VaultSettings
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import Event, Record
from stepcreds.model import Job
from stepcreds.review.sources import opened
from stepcreds.review.verification import Verified, verify
from stepcreds.setup.live.operator import Live
from stepcreds.trust.keys import Trust
from stepcreds.vault.client import Vault

CLOCK = SystemClock()
# What was found: layer, code, line, certainty.
Found = tuple[str, str, int, str]


def settings(stack: Stack) -> VaultSettings:
    return VaultSettings((stack.address,), None, None, None, None, False, "jwt", stack.address)


def live(stack: Stack) -> Live:
    """The OpenBao as its operator sees it."""
    return Live(settings(stack), stack.openbao.root_token, CLOCK)


class Notary:
    """A key of its own at OpenBao, made when it is not there, and a token that may sign with it."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        self._stack = stack
        mount, _, self._key = name.partition("/keys/")
        with stack.client() as client:
            if f"{mount}/" not in client.sys.list_mounted_secrets_engines()["data"]:
                client.sys.enable_secrets_engine("transit", path=mount)
            client.write_data(name, data={"type": "ed25519"})
        self._vault = Vault(settings(stack), CLOCK)
        self._vault.use(stack.openbao.root_token)

    def __enter__(self) -> Notary:
        return self

    def __exit__(self, *_: object) -> None:
        self._vault.close()

    def rotate(self) -> None:
        with self._stack.client() as client:
            client.write_data(f"{self.name}/rotate", data={})

    def sign(self, payload: bytes, payload_type: str = checkpoint.PAYLOAD_TYPE, *, says: str | None = None) -> bytes:
        """An envelope's line; `says`: the type that it says it is of, where that is another than what was signed."""
        made = self._vault.sign(self.name, dsse.pae(payload_type, payload))
        signature = dsse.Signature(f"{self.name}:{made.version}", made.sig)
        return dsse.dumps(dsse.Envelope(says or payload_type, payload, (signature,)))

    def certify(self, entry: Record, job: Job = JOB, **changes: object) -> bytes:
        """The line of a checkpoint of the chain whose last record is `entry`, and that says `changes` of it."""
        said = checkpoint.of(entry, _told(job), CLOCK.now())
        return self.sign(checkpoint.dumps(said._replace(**changes)))  # type: ignore[arg-type]


def _told(job: Job) -> dict[str, object]:
    return {"repository_id": job.repository_id, "run_id": job.run_id, "run_attempt": job.run_attempt}


class Copy:
    """A chain and its checkpoints in a folder of their own; nothing is written before `save`."""

    def __init__(self, folder: Path, chain: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / chain.name
        self.lines = chain.read_bytes().splitlines(keepends=True)
        beside = checkpoint.beside(chain)
        self.envelopes = beside.read_bytes().splitlines(keepends=True) if beside.exists() else []

    def save(self, name: str | None = None) -> Path:
        path = self.path if name is None else self.path.with_name(name)
        path.write_bytes(b"".join(self.lines))
        if self.envelopes:
            checkpoint.beside(path).write_bytes(b"".join(self.envelopes))
        return path

    def drop(self, *sizes: int) -> None:
        """Take out the checkpoints of these sizes."""
        self.envelopes = [line for line in self.envelopes if said(line).size not in sizes]


def said(line: bytes) -> Checkpoint:
    """What the checkpoint in a line says."""
    return checkpoint.loads(dsse.loads(line.rstrip(b"\n")).payload)


def write(
    folder: Path,
    notary: Notary,
    vault_addr: str,
    job: Job = JOB,
    *,
    lives: int = 2,
    close: bool = True,
    clock: Clock = CLOCK,
    event_after: Callable[[Journal], None] = lambda journal: None,
) -> Path:
    """A chain of `lives` credentials, one after the other: 1 + 3 * lives records, one more when closed."""
    where = LedgerSettings(folder, notary.name)
    journal = Journal.open(where, job, step_uid=STEP, claims={}, vault_addr=vault_addr, clock=clock)
    for number, uid in enumerate(UIDS[:lives]):
        for event in (requested(uid), issued(uid), closed(uid)):
            entry = journal.append(_of_step(event, number))
            if event.kind != "credential.requested":
                checkpoint.keep(notary.certify(entry, job, time=rfc3339(clock.now())), journal.path, clock)
    event_after(journal)
    if close:
        journal.close(STEP)
    return journal.path


def _of_step(event: Event, number: int) -> Event:
    """Each credential is of a step of its own."""
    return event._replace(step_uid=f"{STEP[:-1]}{number + 1}")


def review(folder: Path, trust: Trust | None, *, require_signed: bool = False) -> list[Verified]:
    with opened([str(folder)]) as sources:
        return list(verify(sources, trust, require_signed=require_signed))


def found(results: Iterable[Verified]) -> list[Found]:
    return [(each.layer, each.code, each.line, each.certainty) for result in results for each in result.findings]


def copy_all(source: Path, folder: Path) -> Path:
    return Path(shutil.copytree(source, folder))
