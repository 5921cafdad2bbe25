"""A job, a credential's life as its stages would hand it over, and ledgers written from them through a real journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from manual_clock import ManualClock
from stepcreds.config.model import LedgerSettings, Profile
from stepcreds.ledger import credential
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.link import ZERO, line_hash
from stepcreds.ledger.record import Event
from stepcreds.measurement import NotMeasured
from stepcreds.model import Ending, Job, Leak, Lease, Lock, Login, Outcome, Proof, Revocation
from stepcreds.secret import Secret

CANARY = "canary-7d1f0c-never-on-disk"
NOW = 1_795_336_000.0  # 2026-11-22T08:26:40Z
STEP = "aaaaaaaa-0000-4000-8000-000000000001"
UIDS = tuple(f"cccccccc-0000-4000-8000-00000000000{digit}" for digit in range(10))

JOB = Job(
    ci="github",
    iss="https://token.actions.githubusercontent.com",
    repository_id="123456",
    run_id="4711",
    run_attempt="1",
    job="deploy",
    step="migrate",
    runner={"name": "runner-4", "os": "Linux", "arch": "X64"},
    actor="octocat",
    ref="refs/heads/main",
    commit="5e3f1c0a9b7d48e2a6c4f0b1d2e3f4a5b6c7d8e9",
)
JOB_TOLD = {"actor": JOB.actor, "ref": JOB.ref, "commit": JOB.commit, "matrix": ""}
CLAIMS = {"iss": JOB.iss, "sub": "repo:shop/app:ref:refs/heads/main", "jti": "b2c1"}
PROFILE = Profile(
    name="migrate",
    role="app-migrate",
    creds="database/creds/app-migrate",
    database=None,
    access="ddl",
    schemas=("app",),
    files={"{dir}/pgpass": "{password}"},
)
LOGIN = Login(Secret(CANARY), "accessor-1", ("app-migrate",), "entity-1", 1800.0, True, "request-login", NOW + 1)
LEASE = Lease(
    "database/creds/app-migrate/lease-1",
    120.0,
    True,
    {"username": Secret("v-app-migrate-1"), "password": Secret(CANARY)},
    "request-creds",
    NOW + 1,
)
OUTCOME = Outcome(0, "exited", "", NOW + 2, NOW + 5, 0, ())
PROVEN = Ending(
    Lock("locked", NOW + 5.1, "", 2),
    Revocation("lease", "revoked", NOW + 5.2),
    Proof("gone", "refused", "not_checked", "lease lookup and refused logins", NOW + 5.25),
)
UNPROVEN = PROVEN._replace(proof=Proof("unknown", "unknown", "not_checked", "nothing answered", None))
FAILED = UNPROVEN._replace(revocation=Revocation("lease", "failed", NOW + 5.2, "sealed"))
NOT_ISSUED = Ending(
    Lock("not_applicable", None),
    Revocation("none", "not_issued", None),
    Proof("not_checked", "not_applicable", "not_checked", "nothing was issued", None),
)


def requested(uid: str = UIDS[0], profile: Profile = PROFILE) -> Event:
    return credential.requested(
        STEP,
        uid,
        profile,
        token_accessor=LOGIN.accessor,
        mount_point="auth/jwt",
        delivery="exec",
        inherited=["AWS_SECRET_ACCESS_KEY"],
    )


def issued(uid: str = UIDS[0]) -> Event:
    return credential.issued(STEP, uid, LOGIN, LEASE, db_user="v-app-migrate-1", expire_time=NOW + 121)


def closed(uid: str = UIDS[0], ending: Ending = PROVEN, outcome: Outcome | None = OUTCOME) -> Event:
    return credential.closed(
        STEP,
        uid,
        profile="migrate",
        step_name="migrate",
        command=["alembic", "upgrade", "head"],
        outcome=outcome,
        measurement=NotMeasured("the profile says measure: off"),
        ending=ending,
        expire_time=NOW + 121,
    )


def leaked(uid: str = UIDS[0]) -> Event:
    return credential.leaked(
        STEP,
        uid,
        "migrate",
        [
            Leak(uid, "migrate", "GITHUB_ENV", 3, "DATABASE_URL", True),
            Leak(uid, "migrate", "/home/runner/.pgpass", 1, "", False),
        ],
    )


def open_journal(folder: Path, job: Job = JOB, clock: ManualClock | None = None) -> Journal:
    return Journal.open(
        LedgerSettings(folder, None),
        job,
        step_uid=STEP,
        claims=CLAIMS,
        vault_addr="https://vault.example.com:8200",
        clock=clock or ManualClock(NOW),
    )


def write_ledger(folder: Path, lives: int = 3, *, close: bool = True) -> Path:
    """A chain of `lives` whole lives, written as `exec` writes it: 1 + 3 * lives lines, and one more when closed."""
    journal = open_journal(folder)
    for uid in UIDS[:lives]:
        journal.append(requested(uid))
        journal.append(issued(uid))
        journal.append(closed(uid))
    if close:
        journal.close(STEP)
    return journal.path


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def relinked(changed: Iterable[dict[str, Any]], *, recount: bool = True) -> bytes:
    """What a forger writes who knows the rules: records in a row, with seq and prev (and `entries`) to match."""
    prev = ZERO
    data = b""
    for seq, given in enumerate(changed):
        entry = {**given, "seq": seq, "prev": prev}
        if recount and entry["kind"] == "chain.closed":
            entry["entries"] = seq + 1
        line = canonical(entry)
        prev = line_hash(line)
        data += line + b"\n"
    return data
