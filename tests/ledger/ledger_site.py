"""Many ledgers of many repositories, with something wrong in some of them, for whatever reads ledgers; no server is asked.

    site = make_site(tmp_path, repositories=3, runs=4)      # 3 repositories, 4 runs of each, the same for one seed
    site.ledgers        the folder: one folder for each repository in it, chains and their checkpoints in that
    site.trust          a stepcreds-trust.json with the key of each repository, and one for seals
    site.kinds          what happened to which credentials: {"proven": [credential_uid, …], "open": […], …}, all of `KINDS`

The records come from the builders that `exec` uses, and are linked and signed as a journal and Vault would have: nothing
in a site is tampered with. Keys are made of the seed: anybody can make them, so they are for tests alone.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepcreds.clock import rfc3339
from stepcreds.config.database_url import parse_database_url
from stepcreds.config.model import Access, Profile
from stepcreds.ledger import checkpoint, credential, dsse, record
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.folder import chain_name
from stepcreds.ledger.link import SCHEMA, ZERO, chain_uid, line_hash
from stepcreds.ledger.record import Event, Record
from stepcreds.measurement import Change, Finding, Level, Measured, Measurement, NotMeasured
from stepcreds.model import Ending, Job, Leak, Lease, Lock, Login, Outcome, Proof, Revocation
from stepcreds.secret import Secret
from stepcreds.trust.file import dumps
from stepcreds.trust.keys import Purpose, Trust, TrustedKey

START = 1_792_800_000.0  # 2026-10-24T00:00:00Z
VAULT = "https://vault.example.com:8200"
SEAL_KEY = "transit/keys/stepcreds-seal"
# What happens to a credential of a job that is not as it should be. "proven" is all the others.
KINDS = (
    "excess",  # refused: it could do more than declared, and was ended before its command
    "warned",  # it could do more than declared, and its command had it
    "open",  # issued, and the runner was lost
    "requested",  # asked for, and the runner was lost: nobody knows whether it was issued
    "unproven",  # revoked, and nobody proved it
    "expired",  # not revoked: it ended by itself
    "leaked",  # its command left it in GITHUB_ENV
    "overlapping",  # handed out as outputs: it lived while the next step ran
    "shared",  # the same lease and user as the step before it
    "not measured",  # measure: off
    "not issued",  # the login was refused
    "left",  # its command gave PUBLIC a grant
)
PROFILES = ("migrate", "verify", "seed", "report")


class Site(NamedTuple):
    ledgers: Path
    trust: Path
    chains: tuple[Path, ...]
    kinds: dict[str, list[str]]  # of KINDS, and "proven" -> credential_uid
    steps: int
    entries: int  # records in all chains
    start: float  # epoch seconds
    end: float


class Signer:
    """A key as Transit has it, made of a text."""

    def __init__(self, name: str, seed: object = 0) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest())

    def trusted(self, purpose: Purpose, repository_id: str | None = None) -> TrustedKey:
        public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()
        return TrustedKey(purpose, VAULT, self.name, 1, public, rfc3339(START - 86_400), None, repository_id)

    def envelope(self, payload_type: str, payload: bytes) -> bytes:
        """One line, without its newline."""
        sig = self._key.sign(dsse.pae(payload_type, payload))
        return dsse.dumps(dsse.Envelope(payload_type, payload, (dsse.Signature(f"{self.name}:1", sig),)))


class Scribe:
    """One chain in memory, as a journal would write it, and what was signed of it."""

    def __init__(self, job: Job, chance: random.Random, signer: Signer | None, now: float) -> None:
        self.job = job
        self.now = now  # epoch seconds, of the next record; moved by whoever writes
        self.size = 0  # records
        self.lines: list[bytes] = []  # of them; whoever writes a long chain may take them away
        self.envelopes: list[bytes] = []
        self.closed = False
        self._chance = chance
        self._signer = signer
        self._last: Record = {}
        self._prev = ZERO
        nonce = chance.randbytes(16).hex()
        self.uid = chain_uid(record.job_identity(job), nonce)
        repository = f"acme/shop-{job.repository_id[-2:]}"
        claims = {
            "actor": job.actor,
            "environment": "production",
            "event_name": "push",
            "iss": job.iss,
            "jti": self.new_uid(),
            "ref": job.ref,
            "repository": repository,
            "repository_id": job.repository_id,
            "run_attempt": job.run_attempt,
            "run_id": job.run_id,
            "sha": job.commit,
            "sub": f"repo:{repository}:environment:production",
            "workflow_ref": f"{repository}/.github/workflows/deploy.yml@{job.ref}",
        }
        key = signer.name if signer else None
        self.add(record.chain_opened(self.new_uid(), job, nonce=nonce, claims=claims, vault_addr=VAULT, key=key))

    def new_uid(self) -> str:
        text = self._chance.randbytes(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def add(self, event: Event, after: float = 0.002) -> None:
        """`after` seconds after the one before it."""
        self.now += after
        self._last = {
            "schema": SCHEMA,
            "seq": self.size,
            "prev": self._prev,
            "chain_uid": self.uid,
            "kind": event.kind,
            "time": rfc3339(self.now),
            "event_uid": self.new_uid(),
            "step_uid": event.step_uid,
            **event.fields,
        }
        line = canonical(self._last)
        self._prev = line_hash(line)
        self.lines.append(line)
        self.size += 1

    def sign(self) -> None:
        if self._signer is None:
            return
        payload = checkpoint.dumps(checkpoint.of(self._last, record.job_identity(self.job), self.now))
        self.envelopes.append(self._signer.envelope(checkpoint.PAYLOAD_TYPE, payload))

    def close(self) -> None:
        self.add(record.chain_closed(self.new_uid(), self.size + 1), 0.5)
        self.closed = True

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / chain_name(self.job, 1)
        path.write_bytes(b"".join(line + b"\n" for line in self.lines))
        if self.envelopes:
            checkpoint.beside(path).write_bytes(b"".join(line + b"\n" for line in self.envelopes))
        return path


class Life:
    """One credential of one step: what its stages would hand to the builders of records."""

    def __init__(self, scribe: Scribe, profile: Profile, name: str, chance: random.Random) -> None:
        self.scribe, self.profile, self.name, self.chance = scribe, profile, name, chance
        self.step_uid, self.uid = scribe.new_uid(), scribe.new_uid()
        self.lease_id = f"{profile.creds}/{chance.randbytes(12).hex()}"
        self.db_user = f"v-{chance.randbytes(6).hex()}-{profile.role}-{chance.randbytes(6).hex()}"
        self.delivery = "exec"
        self.measurement: Measurement = measured(profile, scribe.now)
        self.began = scribe.now  # epoch seconds, of the command
        self.expires = 0.0

    def request(self) -> None:
        event = credential.requested(
            self.step_uid,
            self.uid,
            self.profile,
            token_accessor=self.chance.randbytes(12).hex(),
            mount_point="auth/jwt",
            delivery=self.delivery,
            inherited=["AWS_SECRET_ACCESS_KEY"] if self.chance.random() < 0.1 else [],
        )
        self.scribe.add(event, 0.1)

    def issue(self) -> None:
        now = self.scribe.now + 0.01
        login = Login(Secret(""), "", (self.profile.role,), "entity-1", 1800.0, True, self.scribe.new_uid(), now)
        lease = Lease(self.lease_id, 120.0, True, {}, self.scribe.new_uid(), now)
        self.expires = now + 120
        event = credential.issued(self.step_uid, self.uid, login, lease, db_user=self.db_user, expire_time=self.expires)
        self.scribe.add(event, 0.012)
        self.scribe.sign()
        self.began = self.scribe.now + 0.03

    def end(self, ending: Callable[[float], Ending], *, exit_code: int | None = 0) -> None:
        """At the scribe's time; `exit_code` None: the command never ran."""
        now = self.scribe.now
        outcome = None
        if exit_code is not None and self.delivery == "exec":
            outcome = Outcome(exit_code, "exited", "", self.began, now, 0, ())
        event = credential.closed(
            self.step_uid,
            self.uid,
            profile=self.profile.name,
            step_name=self.name,
            command=["bash", "-e", f"{self.name}.sh"] if self.delivery == "exec" else None,
            outcome=outcome,
            measurement=self.measurement,
            ending=ending(now),
            expire_time=self.expires,
        )
        self.scribe.add(event, 0.15)
        self.scribe.sign()


def proven(now: float) -> Ending:
    proof = Proof("gone", "refused", "not_checked", "lease lookup and refused logins", now + 0.12)
    return Ending(Lock("locked", now + 0.03), Revocation("lease", "revoked", now + 0.1), proof)


def unproven(now: float) -> Ending:
    proof = Proof("gone", "unknown", "not_checked", "nothing answered", None, "the database did not answer")
    return Ending(Lock("unreachable", None), Revocation("lease", "revoked", now + 0.1), proof)


def expiring(now: float) -> Ending:
    proof = Proof("unknown", "unknown", "not_checked", "nothing answered", None, "Vault did not answer")
    return Ending(Lock("locked", now + 0.03), Revocation("lease", "failed", now + 0.1), proof)


def refused(now: float) -> Ending:
    proof = Proof("not_checked", "not_applicable", "not_checked", "nothing was issued", None)
    return Ending(Lock("not_applicable", None), Revocation("none", "not_issued", None), proof)


def profiles(number: int) -> dict[str, Profile]:
    """Those of one repository; `verify` and `report` only read."""
    url = parse_database_url(
        f"postgresql://db-{number % 8}.example.com:5432/shop{number:02d}?sslmode=verify-full", Path()
    )
    access: dict[str, Access] = {"migrate": "ddl", "verify": "read-only", "seed": "read-write", "report": "read-only"}
    roles = {name: f"shop{number:02d}-{name}" for name in PROFILES}
    return {
        name: Profile(name, roles[name], f"database/creds/{roles[name]}", url, access[name], ("app",))
        for name in PROFILES
    }


def measured(profile: Profile, now: float, *extra: Finding) -> Measured:
    levels: dict[str, Level] = {"ddl": "ddl", "read-only": "read", "read-write": "write"}
    level = levels[str(profile.access)]
    findings = [*extra, Finding("PG.TABLE.READ", "read", "SELECT from 14 tables of app", "app", number=14)]
    if level != "read":
        findings.append(Finding("PG.TABLE.WRITE", "write", "INSERT into 14 tables of app", "app", number=14))
    if level == "ddl":
        via = "SET ROLE app_owner"
        findings.append(Finding("PG.SCHEMA.OWN", "ddl", "drop the schema app with all that is in it", "app", via=via))
    digest = hashlib.sha256(repr([(each.code, each.subject) for each in findings]).encode()).hexdigest()
    return Measured(tuple(findings), (), "PostgreSQL 16.14", 0.024, 4, now, digest)


EXCESS = Finding(
    "PG.SCHEMA.OWN",
    "ddl",
    "drop the schema app with all that is in it",
    "app",
    via="SET ROLE app_owner",
    standing="excess",
    because="ddl, and the profile declares read-only",
)
CHANGE = Change("LEFT.GRANT", "PUBLIC may SELECT app.customers", "app.customers")


def job_of(number: int, run: int, name: str, when: float) -> Job:
    return Job(
        ci="github",
        iss="https://token.actions.githubusercontent.com",
        repository_id=str(9_000_000 + number),
        run_id=str(50_000_000 + run),
        run_attempt="1",
        job=name,
        step="",
        runner={"name": f"runner-{run % 7}", "os": "Linux", "arch": "X64"},
        actor=("octocat", "hubot", "mona")[run % 3],
        ref="refs/heads/main",
        commit=hashlib.sha1(f"{number} {run} {when}".encode(), usedforsecurity=False).hexdigest(),
    )


def write_job(scribe: Scribe, number: int, kind: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    """The steps of one job; of the second of them `kind` is told. Yields what happened, and to which credential."""
    known = profiles(number)
    names = [*PROFILES[:2], *chance.sample(PROFILES[2:], chance.randrange(3))]
    before: Life | None = None
    handed_out: Life | None = None
    for index, name in enumerate(names):
        life = Life(scribe, known[name], name, chance)
        told = kind if index == (0 if kind == "left" else 1) else "proven"
        if told == "not issued":
            life.measurement = NotMeasured("nothing was issued")
            life.end(refused, exit_code=None)
            yield told, life.uid
            break
        _set_up(life, told, before)
        life.request()
        if told != "requested":
            life.issue()
        if told in ("open", "requested"):
            yield told, life.uid
            return
        if told == "overlapping":
            scribe.add(credential.measured(life.step_uid, life.uid, life.profile.name, life.measurement))
            handed_out = life
            names.append("report")
            yield told, life.uid
            continue
        scribe.now += 0 if told == "excess" else chance.uniform(0.2, 90.0)
        if told == "leaked":
            places = [Leak(life.uid, name, "GITHUB_ENV", 3, "DATABASE_URL", True)]
            scribe.add(credential.leaked(life.step_uid, life.uid, name, places))
        endings = {"unproven": unproven, "expired": expiring}
        if told == "left":
            scribe.add(credential.left(life.step_uid, life.uid, name, [CHANGE], ""))
        life.end(endings.get(told, proven), exit_code=None if told == "excess" else int(told == "leaked"))
        before = life
        yield told, life.uid
        if told == "excess":
            break
    if handed_out is not None:
        scribe.now += 5
        handed_out.end(proven)
    scribe.close()
    scribe.sign()


def _set_up(life: Life, told: str, before: Life | None) -> None:
    if told == "overlapping":
        life.delivery = "outputs"
    elif told == "shared" and before is not None:
        life.lease_id, life.db_user = before.lease_id, before.db_user
    elif told == "not measured":
        life.measurement = NotMeasured("the profile says measure: off")
    elif told in ("excess", "warned"):
        life.measurement = measured(life.profile, life.scribe.now, EXCESS)


def make_site(
    folder: Path,
    repositories: int = 40,
    runs: int = 4,
    seed: int = 1,
    *,
    signed: int | None = None,
    every: int = 3,
    days: float = 30.0,
) -> Site:
    """`runs` of each repository over `days`; every `every`-th job has one of `KINDS` in it, in their order.

    The first `signed` repositories have a key (None: all of them).
    """
    chance = random.Random(seed)  # noqa: S311 - the same site for the same seed
    ledgers, trust = folder / "ledgers", folder / "stepcreds-trust.json"
    signers = [
        Signer(f"transit/keys/stepcreds-ledger-{9_000_000 + number}", seed)
        for number in range(repositories if signed is None else signed)
    ]
    kinds: dict[str, list[str]] = {kind: [] for kind in ("proven", *KINDS)}
    chains, entries, end = [], 0, START
    for run in range(repositories * runs):
        number = run % repositories
        when = START + run * days * 86_400 / (repositories * runs) + chance.uniform(0, 300)
        scribe = Scribe(
            job_of(number, run, "deploy", when), chance, signers[number] if number < len(signers) else None, when
        )
        kind = "proven" if run % every else KINDS[run // every % len(KINDS)]
        for told, uid in write_job(scribe, number, kind, chance):
            kinds[told].append(uid)
        chains.append(scribe.save(ledgers / f"shop-{number:02d}"))
        entries += len(scribe.lines)
        end = max(end, scribe.now)
    keys = [signer.trusted("checkpoint", str(9_000_000 + number)) for number, signer in enumerate(signers)]
    keys.append(Signer(SEAL_KEY, seed).trusted("seal"))
    trust.write_text(dumps(Trust(str(trust), tuple(keys))))
    return Site(ledgers, trust, tuple(chains), kinds, sum(map(len, kinds.values())), entries, START, end)
